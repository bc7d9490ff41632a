"""availability_hour: what each pool has granted, booked and shared out in each hour. A batch adds to each row once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from shared.capacity import DIMENSIONS, Vector

Counts = tuple[int, int, int, int, int, int]
WIDTH = len(DIMENSIONS)
SHARES = 2 * WIDTH  # the column of shares (basis points), after those of granted and booked
AMOUNTS_WIDTH = SHARES + 1
Amount = tuple[int, int, Counts]  # first hour, hour after the last, counts to add
ShareAmount = tuple[int, int, int]  # likewise, basis points to add
# A pool; its hours, ascending, shape (n,); what to add to each hour, shape (n, 13).
HourRows = tuple[int, Vector, Vector]


class AvailabilityChanges:
    """Amounts to add, by pool, in the order of the events. `pools` groups them, and `PoolHours.rows` sums them."""

    def __init__(self) -> None:
        self.granted: defaultdict[int, list[Amount]] = defaultdict(list)
        self.booked: defaultdict[int, list[Amount]] = defaultdict(list)
        self.shares: defaultdict[int, list[ShareAmount]] = defaultdict(list)

    def pools(self) -> list[PoolHours]:
        """The amounts of each pool, in the order of the pools' numbers. Raises ValueError if a period ends before it
        starts."""
        return [self._pool(pool) for pool in sorted(self.granted.keys() | self.booked.keys() | self.shares.keys())]

    def rows(self) -> Iterator[HourRows]:
        """The changed hours of each pool, in the order of the pools' numbers."""
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
    """Amounts to add to one pool. All lie within `length` hours from the hour `base` on. Their sum takes memory for
    that many hours, and changes at most that many rows."""

    pool: int
    base: int
    length: int
    given: list[tuple[Vector, Vector, Iterator[tuple[int, ...]], int]]

    def rows(self) -> HourRows:
        """The changed hours, each once."""
        steps = np.zeros((AMOUNTS_WIDTH + 1, self.length + 1), dtype=np.int64)
        for starts, ends, counts, column in self.given:
            _add_steps(steps, starts - self.base, ends - self.base, counts, column)
        cells = np.cumsum(steps, axis=1)
        changed = np.flatnonzero(cells[AMOUNTS_WIDTH])
        return self.pool, changed + self.base, cells[:AMOUNTS_WIDTH, changed].T


def _columns(amounts: Sequence[tuple[int, int, tuple[int, ...]]]) -> tuple[Vector, Vector, Iterator[tuple[int, ...]]]:
    """The starts, the ends, and an iterator over the amounts, one dimension at a time."""
    starts, ends, counts = zip(*amounts, strict=True)
    return np.array(starts), np.array(ends), zip(*counts, strict=True)


def _add_steps(steps: Vector, starts: Vector, ends: Vector, counts: Iterable[tuple[int, ...]], column: int) -> None:
    """Adds each amount where it starts and subtracts it where it ends. The last row counts the amounts that cover an
    hour."""
    _step(steps[AMOUNTS_WIDTH], starts, ends, 1)
    for row, figures in enumerate(counts, column):
        if any(figures):  # mostly two of six dimensions have any
            _step(steps[row], starts, ends, np.array(figures))


def _step(steps: Vector, starts: Vector, ends: Vector, amounts: Vector | int) -> None:
    np.add.at(steps, starts, amounts)
    np.subtract.at(steps, ends, amounts)


class HourSums:
    """The sum of what many batches add to the hours. So each row is written once for all of them."""

    def __init__(self) -> None:
        self._pools: dict[int, tuple[int, Vector]] = {}
        self.hours = 0  # held in memory, changed or not

    def add(self, pool: int, hours: Vector, amounts: Vector) -> None:
        if not len(hours):
            return
        cells = self._span(pool, int(hours[0]), int(hours[-1]) + 1)
        places = hours - self._pools[pool][0]
        cells[places, :AMOUNTS_WIDTH] += amounts
        cells[places, AMOUNTS_WIDTH] = 1

    def has_room(self, rows: HourRows, hours_max: int) -> bool:
        """Whether at most `hours_max` hours are held after these are added. Always true while nothing is held."""
        pool, hours, _ = rows
        if not self.hours or not len(hours):
            return True
        base, cells = self._pools.get(pool, (int(hours[0]), ()))
        after = max(int(hours[-1]) + 1, base + len(cells))
        return self.hours + after - min(int(hours[0]), base) - len(cells) <= hours_max

    def take(self) -> Iterator[HourRows]:
        """Removes all sums and yields them: the changed hours of each pool, in the order of the pools' numbers."""
        pools, self._pools, self.hours = self._pools, {}, 0
        for pool in sorted(pools):
            base, cells = pools.pop(pool)
            changed = np.flatnonzero(cells[:, AMOUNTS_WIDTH])
            yield pool, changed + base, cells[changed, :AMOUNTS_WIDTH]

    def _span(self, pool: int, low: int, high: int) -> Vector:
        """The pool's cells, extended so that they cover the hours `[low, high)`. The first is that of the pool's
        base."""
        base, cells = self._pools.get(pool, (low, np.zeros((0, AMOUNTS_WIDTH + 1), dtype=np.int64)))
        first, after = min(low, base), max(high, base + len(cells))
        if after - first > len(cells):
            wider = np.zeros((after - first, AMOUNTS_WIDTH + 1), dtype=np.int64)
            wider[base - first : base - first + len(cells)] = cells
            self.hours += len(wider) - len(cells)
            cells = wider
        self._pools[pool] = first, cells
        return cells
