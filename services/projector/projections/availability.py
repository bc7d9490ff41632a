"""availability_hour: what is granted and booked, a pool, an hour. A batch adds to each row once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

import numpy as np

from shared.capacity import DIMENSIONS, Vector

Counts = tuple[int, int, int, int, int, int]
WIDTH = len(DIMENSIONS)
Amount = tuple[int, int, Counts]


class AvailabilityChanges:
    """Amounts to add, by pool, as they come: `(first hour, hour after the last, six counts)`. `rows` adds them up."""

    def __init__(self) -> None:
        self.granted: defaultdict[int, list[Amount]] = defaultdict(list)
        self.booked: defaultdict[int, list[Amount]] = defaultdict(list)

    def rows(self) -> Iterator[tuple[int, Vector, Vector]]:
        """By pool, in order: the hours touched, ascending, shape (n,), and what to add to each, shape (n, 12)."""
        for pool in sorted(self.granted.keys() | self.booked.keys()):
            granted, booked = self.granted.get(pool, []), self.booked.get(pool, [])
            base = min(amount[0] for amount in chain(granted, booked))
            last = max(amount[1] for amount in chain(granted, booked))
            steps = np.zeros((last - base + 1, 2 * WIDTH + 1), dtype=np.int64)
            _add_steps(steps, base, granted, 0)
            _add_steps(steps, base, booked, WIDTH)
            cells = np.cumsum(steps, axis=0)
            touched = np.flatnonzero(cells[:, 2 * WIDTH])
            yield pool, touched + base, cells[touched, : 2 * WIDTH]


def _add_steps(steps: Vector, base: int, amounts: list[Amount], column: int) -> None:
    """Where each amount begins and where it ends; the last column counts how many cover an hour."""
    if not amounts:
        return
    starts, ends, counts = zip(*amounts, strict=True)
    first, after = np.array(starts) - base, np.array(ends) - base
    each = np.array(counts, dtype=np.int64)
    np.add.at(steps[:, column : column + WIDTH], first, each)
    np.subtract.at(steps[:, column : column + WIDTH], after, each)
    np.add.at(steps[:, 2 * WIDTH], first, 1)
    np.subtract.at(steps[:, 2 * WIDTH], after, 1)
