"""A capacity per hour, dense: what the decisions are checked against and what the fold adds up."""

from __future__ import annotations

import numpy as np

from shared.capacity import DIMENSIONS, Vector

WIDTH = len(DIMENSIONS)
SLACK_HOURS = 24 * 31


class Timeline:
    """int64 cells of shape (hours, width); hours never written are zero and cost nothing to read.

    The width is 6, the dimensions of a capacity, unless another is given: shares, in basis points, have 1.
    """

    __slots__ = ("base", "cells", "lent")

    def __init__(self, base: int = 0, cells: Vector | None = None, *, width: int = WIDTH) -> None:
        self.base = base
        self.cells: Vector = np.zeros((0, width), dtype=np.int64) if cells is None else cells
        self.lent = False  # whether somebody else looks at these cells: whoever writes takes cells of its own first

    def fork(self) -> Timeline:
        """A copy, which costs nothing before it is written. To be forgotten before this one is written."""
        copy = Timeline(self.base, self.cells)
        copy.lent = True
        return copy

    def freeze(self) -> Timeline:
        """The hours as they are now, for good: this one goes on with cells of its own when it is written next."""
        self.lent = True
        return self.fork()

    @property
    def end(self) -> int:
        return self.base + len(self.cells)

    def read(self, start: int, end: int) -> Vector:
        """The hours `[start, end)`, shape (end - start, width). A view where they are all held: do not write to it."""
        if self.base <= start and end <= self.end:
            return self.cells[start - self.base : end - self.base]
        padded = np.zeros((end - start, self.cells.shape[1]), dtype=np.int64)
        low, high = max(start, self.base), min(end, self.end)
        if low < high:
            padded[low - start : high - start] = self.cells[low - self.base : high - self.base]
        return padded

    def add(self, start: int, end: int, amount: Vector | int) -> None:
        """Adds to the hours `[start, end)` one number, one vector of shape (width,), or one an hour, (hours, width)."""
        self._cover(start, end)
        self.cells[start - self.base : end - self.base] += amount

    def write(self, start: int, end: int, value: Vector) -> None:
        """Sets the hours `[start, end)` to one vector of shape (width,), or one an hour, (end - start, width)."""
        self._cover(start, end)
        self.cells[start - self.base : end - self.base] = value

    def grown_by(self, start: int, end: int) -> int:
        """How many more hours it would hold if `[start, end)` were written."""
        if self.base <= start and end <= self.end:
            return 0
        low, high = self._span(start, end)
        return high - low - len(self.cells)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """The first hour and the end of what it holds once `[start, end)` is written."""
        if not len(self.cells):
            return start, end
        low = self.base if start >= self.base else start - SLACK_HOURS
        return low, self.end if end <= self.end else end + SLACK_HOURS

    def _cover(self, start: int, end: int) -> None:
        """Makes room for the hours, in cells that nobody else looks at."""
        if self.base <= start and end <= self.end:
            if self.lent:
                self.cells, self.lent = self.cells.copy(), False
            return
        low, high = self._span(start, end)
        grown = np.zeros((high - low, self.cells.shape[1]), dtype=np.int64)
        if len(self.cells):
            grown[self.base - low : self.end - low] = self.cells
        self.base, self.cells, self.lent = low, grown, False
