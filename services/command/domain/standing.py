"""Which claims on a pool have what they take, and which have not: the one rule of over-commit, for many claims at once.

A claim (a booking, or what a cluster took to grow) is tentative when some hour has not got it, counted with all older
claims and without the younger ones. Hours that are not short have got every claim, so only the short ones are looked
at, and of those, the ones that are alike in everything are one row.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import ChainMap
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.command.domain.state import Booking, Pool, ProjectState
from shared.capacity import NOTHING, Capacity, Vector, reserved_more
from shared.hours import Period
from shared.timeline import Timeline

Hours = npt.NDArray[np.int64]


class Claim(NamedTuple):
    """A claim on a pool in `[start, end)`: a booking's counts or share, or what a cluster holds tentatively."""

    order: int
    key: UUID | str
    start: int
    end: int
    capacity: Capacity
    share: int
    tentative: bool
    growth: Timeline | None = None


class Rows:
    """The short hours of a pool that any of the claims touches, alike ones as one row, and the rows of each claim."""

    def __init__(self, pool: Pool, claims: list[Claim]) -> None:
        starts, ends = (np.array([claim[column] for claim in claims], dtype=np.int64) for column in (2, 3))
        low, high = int(starts.min()), int(ends.max())
        free, size, shares = (timeline.read(low, high) for timeline in (pool.free, pool.size, pool.shares))
        short = np.flatnonzero((free < 0).any(axis=1))
        grown = [claim.growth.read(low, high)[short] for claim in claims if claim.growth is not None]
        new = np.isin(short, np.concatenate((starts, ends)) - low)
        new[:1] = True
        new[1:] |= np.diff(short) > 1
        for figures in (free[short], size[short], shares[short], *grown):
            new[1:] |= (np.diff(figures, axis=0) != 0).any(axis=1)
        firsts = short[new]
        self.hours: Hours = firsts + low
        self.left, self.size, self.shares = free[firsts].copy(), size[firsts], shares[firsts].copy()
        self.spans = [
            *zip(self.hours.searchsorted(starts).tolist(), self.hours.searchsorted(ends).tolist(), strict=True)
        ]
        self.counts = np.array([claim.capacity.counts() for claim in claims], dtype=np.int64)

    def of_all(self) -> int:
        """How many rows of claims there are to look at."""
        return sum(high - low for low, high in self.spans)

    def unfit(self, claims: list[Claim]) -> Iterator[tuple[Claim, bool]]:
        """Each claim, youngest first as they are given, with whether some hour has not got it. Once looked at it is
        left out: what it takes is there for the older ones."""
        for number, claim in enumerate(claims):
            low, high = self.spans[number]
            if low == high:
                yield claim, False
                continue
            left, taken = self.left[low:high], self._taken(claim, number, low, high)
            yield claim, bool(((left < 0) & (taken[1] > 0)).any())
            left += taken[0]

    def _taken(self, claim: Claim, number: int, low: int, high: int) -> tuple[Vector, Vector]:
        """What the claim takes of its rows, and what is above nothing where it takes any: of a share, the size."""
        if claim.growth is not None:
            hours = self.hours[low:high]
            grown = claim.growth.cells[hours - claim.growth.base]
            return grown, grown
        if not claim.share:
            counts: Vector = self.counts[number]
            return counts, counts
        size, shares = self.size[low:high], self.shares[low:high]
        shares -= claim.share
        return reserved_more(size, shares, claim.share), size


def changed(claims: list[Claim], rows: Rows) -> list[Claim]:
    """The claims whose standing is not what the rule says, oldest first. `claims` come youngest first, and `rows` are
    theirs."""
    found = [claim for claim, unfit in rows.unfit(claims) if unfit != claim.tentative]
    return found[::-1]


def claims_on(state: ProjectState, pool_id: str, sure: list[tuple[UUID, Booking]]) -> list[Claim]:
    """The tentative claims on a pool, and those bookings that are sure yet; youngest first. Of a cluster only what it
    holds tentatively is a claim here: the rest of its size is counted in what is free."""
    claims = [
        _of(key, booking)
        for key in state.tentative
        if (booking := state.bookings[key]).pool == pool_id and booking.start < booking.end
    ]
    claims += [_of(key, booking) for key, booking in sure]
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and (growth := cluster.growth) is not None:
            claims.append(
                Claim(cluster.order, cluster_id, growth.base, growth.end, NOTHING, 0, tentative=True, growth=growth)
            )
    claims.sort(key=lambda claim: claim.order, reverse=True)
    return claims


def sure_in(state: ProjectState, pool_id: str, hours: list[int], most: int) -> list[tuple[UUID, Booking]]:
    """The live bookings of a pool in any of these hours, ascending, that are not tentative; one more than `most` of
    those that are too many."""
    if not hours:
        return []
    found = (
        (key, one)
        for key, one in touching(state, pool_id, Period(hours[0], hours[-1] + 1))
        if not one.tentative and bisect_left(hours, one.start) < bisect_left(hours, one.end)
    )
    return [*islice(found, min(most, sys.maxsize - 1) + 1)]


def touching(state: ProjectState, pool_id: str, hours: Period) -> Iterator[tuple[UUID, Booking]]:
    """The live bookings of a pool in some of these hours. A project may have had a million: the maps that a sketch lays
    over each other are walked one by one, because together they are twenty times as slow."""
    start, end = hours
    maps = state.bookings.maps if isinstance(state.bookings, ChainMap) else [state.bookings]
    for number, bookings in enumerate(maps):
        newer = ChainMap(*maps[:number])
        for key, one in bookings.items():
            lives = one.end > start and one.start < end and one.pool == pool_id and one.start < one.end
            if lives and key not in newer:
                yield key, one


def _of(key: UUID, booking: Booking) -> Claim:
    return Claim(booking.order, key, booking.start, booking.end, booking.capacity, booking.share, booking.tentative)
