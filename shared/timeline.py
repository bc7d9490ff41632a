"""A capacity for each hour, as one dense array. The domain checks decisions with it, the fold sums sizes in it."""

from __future__ import annotations

import numpy as np

from shared.capacity import DIMENSIONS, Vector

WIDTH = len(DIMENSIONS)
SLACK_HOURS = 24 * 31


class Timeline:
    """`cells` is int64 of shape (hours, width) and begins at the hour `base`. All other hours are zero.

    The width is 6, the dimensions of a capacity. Shares, in basis points, have a width of 1.
    """

    __slots__ = ("base", "cells", "copy_on_write")

    def __init__(self, base: int = 0, cells: Vector | None = None, *, width: int = WIDTH) -> None:
        self.base = base
        self.cells: Vector = np.zeros((0, width), dtype=np.int64) if cells is None else cells
        self.copy_on_write = False  # another timeline uses the same cells: copy them before the next write

    def fork(self) -> Timeline:
        """A what-if copy, which uses the same cells until it is written. Forget it before this timeline is written."""
        copy = Timeline(self.base, self.cells)
        copy.copy_on_write = True
        return copy

    def freeze(self) -> Timeline:
        """A copy that never changes. This timeline copies its cells when it is written next."""
        self.copy_on_write = True
        return self.fork()

    @property
    def end(self) -> int:
        return self.base + len(self.cells)

    def read(self, start: int, end: int) -> Vector:
        """The hours `[start, end)`, shape (end - start, width). It may be a view of `cells`: do not write to it."""
        if self.base <= start and end <= self.end:
            return self.cells[start - self.base : end - self.base]
        padded = np.zeros((end - start, self.cells.shape[1]), dtype=np.int64)
        low, high = max(start, self.base), min(end, self.end)
        if low < high:
            padded[low - start : high - start] = self.cells[low - self.base : high - self.base]
        return padded

    def add(self, start: int, end: int, amount: Vector | int) -> None:
        """Adds to the hours `[start, end)` a number, a vector for all hours (width,) or one for each (hours, width)."""
        self._cover(start, end)
        self.cells[start - self.base : end - self.base] += amount

    def write(self, start: int, end: int, value: Vector) -> None:
        """Sets the hours `[start, end)` to one vector for all hours (width,), or to one for each (hours, width)."""
        self._cover(start, end)
        self.cells[start - self.base : end - self.base] = value

    def grown_by(self, start: int, end: int) -> int:
        """The number of hours by which `cells` would grow if `[start, end)` were written."""
        if self.base <= start and end <= self.end:
            return 0
        low, high = self._span(start, end)
        return high - low - len(self.cells)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """The first hour and the end of `cells` after `[start, end)` is written."""
        if not len(self.cells):
            return start, end
        low = self.base if start >= self.base else start - SLACK_HOURS
        return low, self.end if end <= self.end else end + SLACK_HOURS

    def _cover(self, start: int, end: int) -> None:
        """Makes `cells` cover the hours `[start, end)`, and belong to this timeline alone."""
        if self.base <= start and end <= self.end:
            if self.copy_on_write:
                self.cells, self.copy_on_write = self.cells.copy(), False
            return
        low, high = self._span(start, end)
        grown = np.zeros((high - low, self.cells.shape[1]), dtype=np.int64)
        if len(self.cells):
            grown[self.base - low : self.end - low] = self.cells
        self.base, self.cells, self.copy_on_write = low, grown, False
