"""availability_hour: what is granted, booked and shared out, a pool, an hour. A batch adds to each row once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from shared.capacity import DIMENSIONS, Vector

Counts = tuple[int, int, int, int, int, int]
WIDTH = len(DIMENSIONS)
SHARES = 2 * WIDTH  # the column of the basis points, after what is granted and what is booked
AMOUNTS_WIDTH = SHARES + 1
Amount = tuple[int, int, Counts]
# A pool; its hours, shape (n,), ascending; what to add to each, shape (n, 13).
HourRows = tuple[int, Vector, Vector]
ShareAmount = tuple[int, int, int]


class AvailabilityChanges:
    """Amounts to add, by pool, as they come: `(first hour, hour after the last, six counts)`, of shares one figure, in
    basis points. `pools` says how far they reach in each pool, and adds them up."""

    def __init__(self) -> None:
        self.granted: defaultdict[int, list[Amount]] = defaultdict(list)
        self.booked: defaultdict[int, list[Amount]] = defaultdict(list)
        self.shares: defaultdict[int, list[ShareAmount]] = defaultdict(list)

    def pools(self) -> list[PoolHours]:
        """What is to be added, pool by pool, in order. Raises ValueError on a period that cannot be."""
        return [self._pool(pool) for pool in sorted(self.granted.keys() | self.booked.keys() | self.shares.keys())]

    def rows(self) -> Iterator[HourRows]:
        """The hours touched, pool by pool, in order."""
        return (pool.rows() for pool in self.pools())

    def _pool(self, pool: int) -> PoolHours:
        shares = [(start, end, (share,)) for start, end, share in self.shares.get(pool, ())]
        kinds = (self.granted.get(pool), 0), (self.booked.get(pool), WIDTH), (shares, SHARES)
        given = [(*_columns(amounts), column) for amounts, column in kinds if amounts]
        base = min(int(starts.min()) for starts, *_ in given)
        length = max(int(ends.max()) for _, ends, *_ in given) - base
        if max(int(starts.max()) for starts, *_ in given) - base > length:
            raise ValueError("a period ends before it starts")
        return PoolHours(pool, base, length, given)


class PoolHours(NamedTuple):
    """What is to be added to the hours of a pool. They lie within `length` hours from `base` on: it takes the memory of
    all of these to add it up, and so much is written at most."""

    pool: int
    base: int
    length: int
    given: list[tuple[Vector, Vector, Iterator[tuple[int, ...]], int]]

    def rows(self) -> HourRows:
        """The hours touched, once."""
        steps = np.zeros((AMOUNTS_WIDTH + 1, self.length + 1), dtype=np.int64)
        for starts, ends, counts, column in self.given:
            _add_steps(steps, starts - self.base, ends - self.base, counts, column)
        cells = np.cumsum(steps, axis=1)
        touched = np.flatnonzero(cells[AMOUNTS_WIDTH])
        return self.pool, touched + self.base, cells[:AMOUNTS_WIDTH, touched].T


def _columns(amounts: Sequence[tuple[int, int, tuple[int, ...]]]) -> tuple[Vector, Vector, Iterator[tuple[int, ...]]]:
    """The starts, the ends, and one dimension's amounts after the other."""
    starts, ends, counts = zip(*amounts, strict=True)
    return np.array(starts), np.array(ends), zip(*counts, strict=True)


def _add_steps(steps: Vector, starts: Vector, ends: Vector, counts: Iterable[tuple[int, ...]], column: int) -> None:
    """Where each amount begins and where it ends; the last row counts how many cover an hour."""
    _step(steps[AMOUNTS_WIDTH], starts, ends, 1)
    for row, figures in enumerate(counts, column):
        if any(figures):  # mostly two of six are
            _step(steps[row], starts, ends, np.array(figures))


def _step(steps: Vector, starts: Vector, ends: Vector, amounts: Vector | int) -> None:
    np.add.at(steps, starts, amounts)
    np.subtract.at(steps, ends, amounts)


class HourSums:
    """What many batches add to the hours: each row can then be written once, however many of them touch it."""

    def __init__(self) -> None:
        self._pools: dict[int, tuple[int, Vector]] = {}
        self.hours = 0  # that are held, touched or not

    def add(self, pool: int, hours: Vector, amounts: Vector) -> None:
        if not len(hours):
            return
        cells = self._span(pool, int(hours[0]), int(hours[-1]) + 1)
        places = hours - self._pools[pool][0]
        cells[places, :AMOUNTS_WIDTH] += amounts
        cells[places, AMOUNTS_WIDTH] = 1

    def has_room(self, rows: HourRows, hours_max: int) -> bool:
        """Whether no more hours than that are held with these. When nothing is held, there is room."""
        pool, hours, _ = rows
        if not self.hours or not len(hours):
            return True
        base, cells = self._pools.get(pool, (int(hours[0]), ()))
        after = max(int(hours[-1]) + 1, base + len(cells))
        return self.hours + after - min(int(hours[0]), base) - len(cells) <= hours_max

    def take(self) -> Iterator[HourRows]:
        """The hours touched, pool by pool, in order. Nothing is left."""
        pools, self._pools, self.hours = self._pools, {}, 0
        for pool in sorted(pools):
            base, cells = pools.pop(pool)
            touched = np.flatnonzero(cells[:, AMOUNTS_WIDTH])
            yield pool, touched + base, cells[touched, :AMOUNTS_WIDTH]

    def _span(self, pool: int, low: int, high: int) -> Vector:
        """The pool's cells, which reach from `low` to `high` at least."""
        base, cells = self._pools.get(pool, (low, np.zeros((0, AMOUNTS_WIDTH + 1), dtype=np.int64)))
        first, after = min(low, base), max(high, base + len(cells))
        if after - first > len(cells):
            wider = np.zeros((after - first, AMOUNTS_WIDTH + 1), dtype=np.int64)
            wider[base - first : base - first + len(cells)] = cells
            self.hours += len(wider) - len(cells)
            cells = wider
        self._pools[pool] = first, cells
        return cells
