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
from shared.errors import Refused
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
from shared.hours import Period, instant_of, next_hour
from shared.timeline import Timeline

EVENTS_MAX = 30_000  # of one command: their ordinals are smallints
SETTLED_MAX = 500


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
    (in hours so far off that this is allowed) are contested. Raises Refused when that would be more than a command may
    contest at once; what it does not confirm for that reason is confirmed later."""
    pools = dict.fromkeys(pool for event in events for pool in _pools_of(event))
    if not pools or not state.overcommits():
        return []
    after = sketch(state, pools)
    for event in events:
        evolve(after, event)
    touched = dict.fromkeys(pool for pool_id in pools for pool in (after.pools[pool_id].parent, pool_id) if pool)
    meta = meta_of(context, project)
    changed = _given_back(state, after, meta)
    for pool_id in touched:
        changed += _reviewed(state, after, pool_id, context, meta)
    if len(changed) > EVENTS_MAX:
        contested: list[Event] = [event for event in changed if isinstance(event, BookingContested)]
        if len(contested) > EVENTS_MAX:
            raise Refused(f"it would contest {len(contested)} bookings at once; take away less, in several steps")
        changed = contested or changed[:EVENTS_MAX]
    return changed


def settle(state: ProjectState, project: str, context: Context) -> list[Event]:
    """Makes whole what is over-committed within its pool's horizon: the youngest tentative claims give way first, a
    booking by lapsing, a cluster by shrinking to what is there. So many at once at most: send it until nothing comes.
    What that gives back to others follows as of any events (`consequences`)."""
    if not state.overcommits():
        return []
    after, meta, events = sketch(state, state.pools), meta_of(context, project), list[Event]()
    first, claims = next_hour(context.at), dict[str, list[UUID]]()
    while len(events) < SETTLED_MAX and (found := _first_short(after, first, context)) is not None:
        pool_id, hour = found
        if pool_id not in claims:
            claims[pool_id] = [key for key, one in state.bookings.items() if one.pool == pool_id and one.end > first]
        event = _give_way(after, claims[pool_id], pool_id, hour, first, meta)
        if event is None:
            break
        events.append(event)
        evolve(after, event)
    return events


def _given_back(before: ProjectState, after: ProjectState, meta: dict[str, Any]) -> list[Event]:
    """Of the clusters that hold nothing tentatively any more, because they gave it back: said, for those who only read
    the events."""
    return [
        ClusterConfirmed(cluster=pool_id, **meta)
        for pool_id, pool in before.pools.items()
        if pool.growth is not None and after.pools[pool_id].growth is None
    ]


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


def _reviewed(
    before: ProjectState, state: ProjectState, pool_id: str, context: Context, meta: dict[str, Any]
) -> list[Event]:
    """The claims of a pool whose standing the rule has changed, oldest first; `state` is not changed.

    Where no hour has become shorter only tentative claims can have changed theirs, and they are few.
    """
    pool = state.pools[pool_id]
    first = next_hour(context.at)
    hours = (first, max(first, pool.free.end))
    free = pool.free.read(*hours)
    short = np.flatnonzero((free < 0).any(axis=1))
    old = before.pools[pool_id].free.read(*hours)
    among: Period | None = None
    if len(short) and ((free < old) & (free < 0)).any():
        among = Period(first + int(short[0]), first + int(short[-1]) + 1)
    claims = sorted(_claims(state, pool_id, among), key=lambda claim: claim.order, reverse=True)
    counts, shares = Timeline(), Timeline(width=1)  # what the claims younger than the one looked at take
    standing = []
    for claim in claims:
        fits = _fits(pool, claim, counts, shares)
        if fits == claim.tentative:
            standing.append(claim)
        counts.add(claim.start, claim.end, claim.counts)
        shares.add(claim.start, claim.end, claim.shares)
    changed: list[Event] = []
    for claim in reversed(standing):
        if isinstance(claim.key, UUID):
            kind = BookingConfirmed if claim.tentative else BookingContested
            changed.append(kind(booking=claim.key, pool=pool_id, **meta))
        elif claim.tentative:
            changed.append(ClusterConfirmed(cluster=claim.key, **meta))
    return changed


def _fits(pool: Pool, claim: _Taken, counts: Timeline, shares: Timeline) -> bool:
    """Whether every hour has what the claim takes once the younger claims are left out."""
    hours = (claim.start, claim.end)
    size, shared = pool.size.read(*hours), pool.shares.read(*hours)
    free = pool.free.read(*hours) + counts.read(*hours)
    free = free + reserved(size, shared) - reserved(size, shared - shares.read(*hours))
    takes = (claim.counts > 0) | ((claim.shares > 0) & (size > 0))
    return not ((free < 0) & takes).any()


def _claims(state: ProjectState, pool_id: str, among: Period | None) -> Iterator[_Taken]:
    """The tentative claims on a pool, and all that touch the hours `among`. Of a cluster only what it holds tentatively
    is a claim here: the rest of its size is counted in what is free."""
    for key in state.tentative:
        booking = state.bookings[key]
        if booking.pool == pool_id and booking.start < booking.end:
            yield _taken(key, booking)
    if among is not None:
        for key, booking in state.bookings.items():
            touches = booking.start < among.end and booking.end > among.start and booking.start < booking.end
            if touches and booking.pool == pool_id and not booking.tentative:
                yield _taken(key, booking)
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and cluster.growth is not None:
            held = cluster.growth
            nothing = np.zeros((len(held.cells), 1), dtype=np.int64)
            yield _Taken(cluster.order, cluster_id, held.base, held.cells, nothing, tentative=True)


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


def _give_way(
    state: ProjectState, bookings: list[UUID], pool_id: str, hour: int, first: int, meta: dict[str, Any]
) -> Event | None:
    """The one claim that goes next in a short hour: of the pool's `bookings` and clusters. Tentative ones go first, and
    among those the youngest; when none is left the youngest of all."""
    pool = state.pools[pool_id]
    free = pool.free.read(hour, hour + 1)[0]
    short = free < 0
    size = pool.size.read(hour, hour + 1)[0]
    found: list[tuple[bool, int, UUID | str]] = []
    for key in bookings:
        booking = state.bookings[key]
        if booking.start <= hour < booking.end:
            takes = size > 0 if booking.share else booking.capacity.vector() > 0
            if (takes & short).any():
                found.append((booking.tentative, booking.order, key))
    for cluster_id, cluster in state.pools.items():
        if cluster.parent == pool_id and (cluster.size.read(hour, hour + 1)[0][short] > 0).any():
            grown = cluster.growth is not None and (cluster.growth.read(hour, hour + 1)[0][short] > 0).any()
            found.append((bool(grown), cluster.order, cluster_id))
    if not found:
        return None
    tentative, _, claim = max(found, key=lambda one: one[:2])
    if isinstance(claim, UUID):
        return _lapse(claim, state.bookings[claim], hour, first, meta)
    return _shrink(state.pools[claim], claim, pool, hour, meta, only_growth=tentative)


def _lapse(key: UUID, booking: Booking, hour: int, first: int, meta: dict[str, Any]) -> Event:
    """A booking that has not begun goes whole; one that has keeps the hours before the short one."""
    start = hour if booking.began < first else booking.start
    return BookingLapsed(
        booking=key, pool=booking.pool, capacity=booking.capacity, share=booking.share,
        start=instant_of(start), end=instant_of(booking.end), **meta,
    )  # fmt: skip


def _shrink(
    cluster: Pool, cluster_id: str, parent: Pool, hour: int, meta: dict[str, Any], *, only_growth: bool
) -> Event:
    """The cluster gives back what is missing in the hour, and in the hours after it that miss the same: no more than
    what it holds tentatively, as long as there are tentative claims."""
    assert cluster.period is not None
    end = min(cluster.period.end, parent.free.end)
    size, missing = cluster.size.read(hour, end), -np.minimum(parent.free.read(hour, end), 0)
    if only_growth and cluster.growth is not None:
        missing = np.minimum(missing, cluster.growth.read(hour, end))
    left = np.maximum(size - missing, 0)
    same = (left == left[0]).all(axis=1) & (size == size[0]).all(axis=1)
    hours = len(same) if same.all() else int(np.argmin(same))
    return ClusterResized(
        cluster=cluster_id, capacity=capacity_of(left[0]), lapsed=True,
        start=instant_of(hour), end=instant_of(hour + hours), **meta,
    )  # fmt: skip
