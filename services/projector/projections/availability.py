"""availability_hour: what each pool has granted, booked and shared out in each hour. A batch adds to each row once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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


class Amounts(NamedTuple):
    """Amounts by columns: n periods, each of one pool, and what it adds to each of its hours.

    pools, starts, ends  shape (n,); hours `[start, end)`
    values               shape (n, k): for the columns of an hour from `column` on
    """

    pools: Vector
    starts: Vector
    ends: Vector
    values: Vector
    column: int


class AvailabilityChanges:
    """What a batch adds to the hours: single amounts by pool, and `many` amounts by columns."""

    def __init__(self) -> None:
        self.granted: defaultdict[int, list[Amount]] = defaultdict(list)
        self.booked: defaultdict[int, list[Amount]] = defaultdict(list)
        self.shares: defaultdict[int, list[ShareAmount]] = defaultdict(list)
        self.many: list[Amounts] = []

    def hours(self) -> BatchHours:
        """All amounts. Raises ValueError if a period ends before it starts."""
        given = [one for one in (*self._single(), *self.many) if len(one.pools)]
        if any((one.ends < one.starts).any() for one in given):
            raise ValueError("a period ends before it starts")
        return BatchHours.of(given)

    def rows(self) -> Iterator[HourRows]:
        """The changed hours of each pool, in the order of the pools' numbers."""
        return self.hours().rows()

    def _single(self) -> Iterator[Amounts]:
        """The single amounts, by columns."""
        yield from _by_columns(self.granted, 0)
        yield from _by_columns(self.booked, WIDTH)
        shares = {pool: [(low, high, (share,)) for low, high, share in given] for pool, given in self.shares.items()}
        yield from _by_columns(shares, SHARES)


def _by_columns(given: Mapping[int, Sequence[tuple[int, int, tuple[int, ...]]]], column: int) -> Iterator[Amounts]:
    rows = [(pool, *amount) for pool, amounts in given.items() for amount in amounts]
    if rows:
        pools, starts, ends, values = (np.array(part, dtype=np.int64) for part in zip(*rows, strict=True))
        yield Amounts(pools, starts, ends, values, column)


class BatchHours(NamedTuple):
    """Amounts to add to the hours of pools.

    pools    numbers of the pools, ascending
    bases    the first hour of each pool that an amount reaches
    lengths  how many hours of each pool they reach over: as many rows may change, and their sum takes memory for all
    """

    pools: Vector
    bases: Vector
    lengths: Vector
    given: list[Amounts]

    @classmethod
    def of(cls, given: list[Amounts]) -> BatchHours:
        most = max((int(one.pools.max()) for one in given), default=0)
        bases, afters = np.full(most + 1, _NEVER), np.full(most + 1, -_NEVER)
        for one in given:
            np.minimum.at(bases, one.pools, one.starts)
            np.maximum.at(afters, one.pools, one.ends)
        pools = (bases < _NEVER).nonzero()[0]
        return cls(pools, bases[pools], afters[pools] - bases[pools], given)

    @property
    def total(self) -> int:
        """The number of hours of all pools."""
        return int(self.lengths.sum())

    def rows(self) -> Iterator[HourRows]:
        """The changed hours of each pool, each once.

        Each amount is added where it starts and subtracted where it ends. The sum over all hours so far is then the
        amount in each hour. The pools lie behind each other in one array, because the sum is 0 at the end of each.
        """
        if not len(self.pools):
            return
        begins = np.cumsum(self.lengths + 1) - (self.lengths + 1)  # where each pool lies; its last cell is behind it
        places = np.zeros(int(self.pools[-1]) + 1, dtype=np.int64)
        places[self.pools] = begins - self.bases
        cells = np.zeros((AMOUNTS_WIDTH + 1, self.total + len(self.pools)), dtype=np.int64)
        for one in self.given:
            _add_steps(cells, one, places[one.pools])
        np.cumsum(cells, axis=1, out=cells)
        for pool, base, begin, length in zip(
            self.pools.tolist(), self.bases.tolist(), begins.tolist(), self.lengths.tolist(), strict=True
        ):
            changed = np.flatnonzero(cells[AMOUNTS_WIDTH, begin : begin + length])
            yield pool, changed + base, cells[:AMOUNTS_WIDTH, changed + begin].T


_NEVER = 2**40  # later than every hour


def _add_steps(cells: Vector, amounts: Amounts, places: Vector) -> None:
    """Adds each amount where it starts and subtracts it where it ends. `places` is where hour 0 of each would lie. The
    last row of the cells counts the amounts that cover an hour."""
    starts, ends = amounts.starts + places, amounts.ends + places
    if len(starts) <= FEW:
        for start, end, values in zip(starts.tolist(), ends.tolist(), amounts.values, strict=True):
            columns = slice(amounts.column, amounts.column + len(values))
            cells[columns, start] += values
            cells[columns, end] -= values
            cells[AMOUNTS_WIDTH, start] += 1
            cells[AMOUNTS_WIDTH, end] -= 1
        return
    _step(cells[AMOUNTS_WIDTH], starts, ends, 1)
    for row in np.flatnonzero(amounts.values.any(axis=0)).tolist():  # mostly two of six dimensions have any
        _step(cells[amounts.column + row], starts, ends, np.ascontiguousarray(amounts.values[:, row]))


FEW = 4  # so many amounts are added one by one in less time


def _step(cells: Vector, starts: Vector, ends: Vector, amounts: Vector | int) -> None:
    np.add.at(cells, starts, amounts)
    np.subtract.at(cells, ends, amounts)


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
