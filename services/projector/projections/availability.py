"""availability_hour: what is granted and booked, a pool, an hour. A batch adds to each row once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.capacity import DIMENSIONS, Vector

Counts = tuple[int, int, int, int, int, int]
WIDTH = len(DIMENSIONS)
NOTHING: Counts = (0, 0, 0, 0, 0, 0)


class AvailabilityChanges:
    """Amounts to add, as they come; `rows` adds them up."""

    def __init__(self) -> None:
        self._pools: dict[int, tuple[list[int], list[int], list[Counts], list[Counts]]] = {}

    def grant(self, pool: int, start: int, end: int, amount: Counts) -> None:
        self._add(pool, start, end, amount, NOTHING)

    def book(self, pool: int, start: int, end: int, amount: Counts) -> None:
        self._add(pool, start, end, NOTHING, amount)

    def _add(self, pool: int, start: int, end: int, granted: Counts, booked: Counts) -> None:
        starts, ends, grants, books = self._pools.setdefault(pool, ([], [], [], []))
        starts.append(start)
        ends.append(end)
        grants.append(granted)
        books.append(booked)

    def rows(self) -> Iterator[tuple[int, Vector, Vector]]:
        """By pool, in order: the hours touched, ascending, shape (n,), and what to add to each, shape (n, 12)."""
        for pool, (starts, ends, grants, books) in sorted(self._pools.items()):
            base, last = min(starts), max(ends)
            first, after = np.array(starts) - base, np.array(ends) - base
            amounts = np.hstack([np.array(grants, dtype=np.int64), np.array(books, dtype=np.int64)])
            steps = np.zeros((last - base + 1, 2 * WIDTH + 1), dtype=np.int64)
            np.add.at(steps[:, : 2 * WIDTH], first, amounts)
            np.subtract.at(steps[:, : 2 * WIDTH], after, amounts)
            np.add.at(steps[:, 2 * WIDTH], first, 1)
            np.subtract.at(steps[:, 2 * WIDTH], after, 1)
            cells = np.cumsum(steps, axis=0)
            touched = np.flatnonzero(cells[:, 2 * WIDTH])
            yield pool, touched + base, cells[touched, : 2 * WIDTH]
