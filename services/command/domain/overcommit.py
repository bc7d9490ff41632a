"""Over-commit: who is tentative, who is confirmed when capacity comes back, and who gives way when time runs out.

One rule says who is tentative: a claim on a pool (a booking, or what a cluster took to grow) that some hour has not got
when it is counted with all older claims and without the younger ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from services.command.domain.commands import Context
from services.command.domain.room import horizon_of, meta_of
from services.command.domain.state import Booking, Pool, ProjectState, evolve, sketch
from shared.capacity import Vector, capacity_of, reserved
from shared.events import (
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingLapsed,
    ClusterConfirmed,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
)
from shared.hours import instant_of, next_hour
from shared.timeline import Timeline


class _Taken(NamedTuple):
    """A claim on a pool by the hour from `start` on: six counts, shape (hours, 6), and basis points, (hours, 1)."""

    order: int
    key: UUID | str
    start: int
    counts: Vector
    shares: Vector
    tentative: bool

    @property
    def end(self) -> int:
        return self.start + len(self.counts)


def consequences(state: ProjectState, project: str, events: list[Event], context: Context) -> list[Event]:
    """What follows of `events`, in the same append: claims that fit now are confirmed, and claims that no longer fit
    (in hours so far off that this is allowed) are contested."""
    pools = dict.fromkeys(pool for event in events for pool in _pools_of(event))
    if not pools or not state.overcommits():
        return []
    after = sketch(state, pools)
    for event in events:
        evolve(after, event)
    touched = dict.fromkeys(pool for pool_id in pools for pool in (after.pools[pool_id].parent, pool_id) if pool)
    meta = meta_of(context, project)
    return [event for pool_id in touched for event in _reviewed(after, pool_id, meta)]


def settle(state: ProjectState, project: str, context: Context) -> list[Event]:
    """Makes whole what is over-committed within its pool's horizon: the youngest tentative claims give way first, a
    booking by lapsing, a cluster by shrinking to what is there."""
    if not state.overcommits():
        return []
    after, meta, events = sketch(state, state.pools), meta_of(context, project), list[Event]()
    first = next_hour(context.at)
    while (found := _first_short(after, first, context)) is not None:
        event = _give_way(after, *found, first, meta)
        if event is None:
            break
        events.append(event)
        evolve(after, event)
    if events:
        events += [event for pool_id in list(after.pools) for event in _reviewed(after, pool_id, meta)]
    return events


def _pools_of(event: Event) -> tuple[str, ...]:
    """The pools in which the event may give back or take away."""
    match event:
        case GrantCreated() | GrantWithdrawn():
            return (event.project,)
        case ClusterResized():
            return (event.cluster,)
        case BookingAmended() | BookingCancelled() | BookingLapsed():
            return (event.pool,)
        case _:
            return ()


def _reviewed(state: ProjectState, pool_id: str, meta: dict[str, Any]) -> Iterator[Event]:
    """The claims of a pool whose standing the rule has changed, oldest first; `state` is not changed."""
    pool = state.pools[pool_id]
    short = (pool.free.cells < 0).any()
    claims = sorted(_claims(state, pool_id, all_of_them=bool(short)), key=lambda claim: claim.order, reverse=True)
    counts, shares = Timeline(), Timeline(width=1)  # what the claims younger than the one looked at take
    standing = []
    for claim in claims:
        fits = _fits(pool, claim, counts, shares)
        if fits == claim.tentative:
            standing.append(claim)
        counts.add(claim.start, claim.end, claim.counts)
        shares.add(claim.start, claim.end, claim.shares)
    for claim in reversed(standing):
        if isinstance(claim.key, UUID):
            changed = BookingConfirmed if claim.tentative else BookingContested
            yield changed(booking=claim.key, pool=pool_id, **meta)
        elif claim.tentative:
            yield ClusterConfirmed(cluster=claim.key, **meta)


def _fits(pool: Pool, claim: _Taken, counts: Timeline, shares: Timeline) -> bool:
    """Whether every hour has what the claim takes once the younger claims are left out."""
    hours = (claim.start, claim.end)
    size, shared = pool.size.read(*hours), pool.shares.read(*hours)
    free = pool.free.read(*hours) + counts.read(*hours)
    free = free + reserved(size, shared) - reserved(size, shared - shares.read(*hours))
    takes = (claim.counts > 0) | ((claim.shares > 0) & (size > 0))
    return not ((free < 0) & takes).any()


def _claims(state: ProjectState, pool_id: str, *, all_of_them: bool) -> Iterator[_Taken]:
    """The claims on a pool: the tentative ones, or all. Of a cluster only what it holds tentatively is a claim here:
    the rest of its size is counted in what is free."""
    keys = state.bookings if all_of_them else state.tentative
    for key in keys:
        booking = state.bookings[key]
        if booking.pool == pool_id and booking.start < booking.end:
            yield _taken(key, booking)
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and cluster.growth is not None:
            held = cluster.growth
            nothing = np.zeros((len(held.cells), 1), dtype=np.int64)
            yield _Taken(cluster.growth_order, cluster_id, held.base, held.cells, nothing, tentative=True)


def _taken(key: UUID, booking: Booking) -> _Taken:
    hours = booking.end - booking.start
    counts = np.broadcast_to(booking.capacity.vector(), (hours, 6))
    shares = np.full((hours, 1), booking.share, dtype=np.int64)
    return _Taken(booking.order, key, booking.start, counts, shares, booking.tentative)


def _first_short(state: ProjectState, first: int, context: Context) -> tuple[str, int] | None:
    """The first pool, parents before children, with an hour that has less than nothing and must not, and that hour."""
    for pool_id, pool in state.pools.items():  # in the order in which they were created
        horizon = horizon_of(pool, context.at)
        until = pool.free.end if horizon is None else min(pool.free.end, horizon)
        if first < until and len(hours := np.flatnonzero((pool.free.read(first, until) < 0).any(axis=1))):
            return pool_id, first + int(hours[0])
    return None


def _give_way(state: ProjectState, pool_id: str, hour: int, first: int, meta: dict[str, Any]) -> Event | None:
    """The one claim that goes next in a short hour. Tentative ones go first, and among those the youngest; when none is
    left the youngest of all."""
    pool = state.pools[pool_id]
    free = pool.free.read(hour, hour + 1)[0]
    short = free < 0
    size = pool.size.read(hour, hour + 1)[0]
    found: list[tuple[bool, int, UUID | str]] = []
    for key, booking in state.bookings.items():
        if booking.pool == pool_id and booking.start <= hour < booking.end:
            takes = size > 0 if booking.share else booking.capacity.vector() > 0
            if (takes & short).any():
                found.append((booking.tentative, booking.order, key))
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and (cluster.size.read(hour, hour + 1)[0][short] > 0).any():
            grown = cluster.growth is not None and (cluster.growth.read(hour, hour + 1)[0][short] > 0).any()
            found.append((bool(grown), cluster.growth_order, cluster_id))
    if not found:
        return None
    _, _, claim = max(found, key=lambda one: one[:2])
    if isinstance(claim, UUID):
        return _lapse(claim, state.bookings[claim], hour, first, meta)
    return _shrink(state.pools[claim], claim, pool, hour, meta)


def _lapse(key: UUID, booking: Booking, hour: int, first: int, meta: dict[str, Any]) -> Event:
    """A booking that has not begun goes whole; one that has keeps the hours before the short one."""
    start = hour if booking.began < first else booking.start
    return BookingLapsed(
        booking=key, pool=booking.pool, capacity=booking.capacity, share=booking.share,
        start=instant_of(start), end=instant_of(booking.end), **meta,
    )  # fmt: skip


def _shrink(cluster: Pool, cluster_id: str, parent: Pool, hour: int, meta: dict[str, Any]) -> Event:
    """The cluster gives back what is missing in the hour, and in the hours after it that miss the same."""
    assert cluster.period is not None
    end = min(cluster.period.end, parent.free.end)
    size, missing = cluster.size.read(hour, end), -np.minimum(parent.free.read(hour, end), 0)
    left = np.maximum(size - missing, 0)
    same = (left == left[0]).all(axis=1) & (size == size[0]).all(axis=1)
    hours = len(same) if same.all() else int(np.argmin(same))
    return ClusterResized(
        cluster=cluster_id, capacity=capacity_of(left[0]), lapsed=True,
        start=instant_of(hour), end=instant_of(hour + hours), **meta,
    )  # fmt: skip
