"""The rule of over-commit, for many claims at once: which claims on a pool fit, and which are tentative.

A claim is a booking, or the growth of a cluster. It is tentative if some hour has too little for it and all older
claims together; younger claims do not count. In an hour that is not short every claim fits, so only short hours are
looked at. Short hours in a row that are alike in everything are one row here.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.command.domain.blocks import Block, Mask
from services.command.domain.state import Booking, Pool, ProjectState
from shared.capacity import NOTHING, Capacity, Vector, reserved_more
from shared.hours import Period
from shared.timeline import Timeline

Hours = npt.NDArray[np.int64]


class Claim(NamedTuple):
    """A claim on a pool in `[start, end)`: the counts or share of a booking, or the tentative growth of a cluster."""

    order: int
    key: UUID | str
    start: int
    end: int
    capacity: Capacity
    share: int
    tentative: bool
    growth: Timeline | None = None


class Rows:
    """The short hours of a pool, from `first` on, that some claim touches, as rows, and the rows of each claim."""

    def __init__(self, pool: Pool, claims: list[Claim], first: int) -> None:
        starts, ends = (np.array([claim[column] for claim in claims], dtype=np.int64) for column in (2, 3))
        starts = starts.clip(first)
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
        self.left = free[firsts].copy()
        self.size = size[firsts]
        self.shares = shares[firsts].copy()
        self.spans = [
            *zip(self.hours.searchsorted(starts).tolist(), self.hours.searchsorted(ends).tolist(), strict=True)
        ]
        self.counts = np.array([claim.capacity.counts() for claim in claims], dtype=np.int64)

    def of_all(self) -> int:
        """The sum of the rows of all claims: the work that is to do."""
        return sum(high - low for low, high in self.spans)

    def unfit(self, claims: list[Claim]) -> Iterator[tuple[Claim, bool]]:
        """Each claim, youngest first as they are given, with whether some hour is too short for it. After that, what it
        takes counts as free for the older ones."""
        for number, claim in enumerate(claims):
            low, high = self.spans[number]
            if low == high:
                yield claim, False
                continue
            left, taken = self.left[low:high], self._taken(claim, number, low, high)
            yield claim, bool(((left < 0) & (taken[1] > 0)).any())
            left += taken[0]

    def _taken(self, claim: Claim, number: int, low: int, high: int) -> tuple[Vector, Vector]:
        """What the claim takes in its rows; and an array that is above 0 in the dimensions in which it takes some."""
        if claim.growth is not None:
            hours = self.hours[low:high]
            grown = claim.growth.read(claim.start, claim.end)[hours - claim.start]
            return grown, grown
        if not claim.share:
            counts: Vector = self.counts[number]
            return counts, counts
        size, shares = self.size[low:high], self.shares[low:high]
        shares -= claim.share
        return reserved_more(size, shares, claim.share), size


def changed(claims: list[Claim], rows: Rows) -> list[Claim]:
    """The claims that become tentative or are tentative no more, oldest first. `claims` come youngest first."""
    found = [claim for claim, unfit in rows.unfit(claims) if unfit != claim.tentative]
    return found[::-1]


def claims_on(state: ProjectState, pool_id: str, sure: list[tuple[UUID, Booking]], first: int) -> list[Claim]:
    """The tentative claims on a pool with hours from `first` on, and the bookings of `sure`; youngest first. Of a
    cluster only the tentative growth is a claim: the rest of its size is not in what is free."""
    claims = [
        _of(key, booking)
        for key in state.tentative
        if (booking := state.bookings[key]).pool == pool_id and max(booking.start, first) < booking.end
    ]
    claims += [_of(key, booking) for key, booking in sure]
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and (growth := cluster.growth) is not None and growth.end > first:
            claims.append(
                Claim(cluster.order, cluster_id, growth.base, growth.end, NOTHING, 0, tentative=True, growth=growth)
            )
    claims.sort(key=lambda claim: claim.order, reverse=True)
    return claims


def sure_in(state: ProjectState, pool_id: str, hours: list[int], most: int) -> list[tuple[UUID, Booking]]:
    """The live bookings of a pool in any of these hours (ascending) that are not tentative. If there are more than
    `most`, returns `most` + 1 of them."""
    if not hours:
        return []
    found = (
        (key, one)
        for key, one in touching(state, pool_id, Period(hours[0], hours[-1] + 1))
        if not one.tentative and bisect_left(hours, one.start) < bisect_left(hours, one.end)
    )
    return [*islice(found, min(most, sys.maxsize - 1) + 1)]


def touching(state: ProjectState, pool_id: str, hours: Period) -> Iterator[tuple[UUID, Booking]]:
    """The live bookings of a pool in some of these hours. A project may have a million bookings."""
    start, end = hours

    def in_block(block: Block) -> Mask | None:
        if (of_pool := block.of_pool(pool_id)) is None:
            return None
        starts, ends = block.columns["start"], block.columns["end"]
        return of_pool & (ends > start) & (starts < end) & (starts < ends)

    return state.bookings.select(
        in_block, lambda one: one.end > start and one.start < end and one.pool == pool_id and one.start < one.end
    )


def _of(key: UUID, booking: Booking) -> Claim:
    return Claim(booking.order, key, booking.start, booking.end, booking.capacity, booking.share, booking.tentative)
