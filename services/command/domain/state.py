"""A project's state, and how each event changes it."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

import msgspec

from shared.capacity import Capacity
from shared.events import (
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    ProjectCreated,
)
from shared.hours import Period, hour_of
from shared.timeline import Timeline


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A live grant or booking: what it gives or takes, in which hours, of which pool."""

    pool: str
    start: int
    end: int
    capacity: Capacity


class Pool(msgspec.Struct):
    """A project or a cluster. `size` is what it has an hour (granted, or the cluster's size), `free` what is left."""

    parent: str | None
    period: Period | None
    size: Timeline
    free: Timeline


class ProjectState(msgspec.Struct):
    """All that the decisions of one project look at. `version` counts the events folded into it."""

    version: int = 0
    name: str | None = None
    pools: dict[str, Pool] = {}
    grants: dict[UUID, Claim] = {}
    bookings: dict[UUID, Claim] = {}


def evolve(state: ProjectState, event: Event) -> ProjectState:
    """Folds one event into `state`, in place, and returns it. Never refuses: a stored event is a fact."""
    match event:
        case ProjectCreated():
            state.name = event.name
            state.pools[event.project] = Pool(parent=None, period=None, size=Timeline(), free=Timeline())
        case GrantCreated():
            claim = _claim(event.project, event)
            state.grants[event.grant] = claim
            _offer(state.pools[claim.pool], claim, +1)
        case GrantWithdrawn():
            _cut(state.grants, event.grant, hour_of(event.start))
            _offer(state.pools[event.project], _claim(event.project, event), -1)
        case ClusterCreated():
            claim = _claim(event.cluster, event)
            pool = Pool(parent=event.parent, period=Period(claim.start, claim.end), size=Timeline(), free=Timeline())
            state.pools[event.cluster] = pool
            _offer(pool, claim, +1)
            _take(state.pools[event.parent], claim, +1)
        case ClusterResized():
            _resize(state, _claim(event.cluster, event))
        case BookingCreated():
            claim = _claim(event.pool, event)
            state.bookings[event.booking] = claim
            _take(state.pools[claim.pool], claim, +1)
        case BookingCancelled():
            _cut(state.bookings, event.booking, hour_of(event.start))
            _take(state.pools[event.pool], _claim(event.pool, event), -1)
        case _:
            assert_never(event)
    state.version += 1
    return state


def _claim(
    pool: str,
    event: GrantCreated | GrantWithdrawn | ClusterCreated | ClusterResized | BookingCreated | BookingCancelled,
) -> Claim:
    return Claim(pool, hour_of(event.start), hour_of(event.end), event.capacity)


def _offer(pool: Pool, claim: Claim, sign: int) -> None:
    amount = claim.capacity.vector() * sign
    pool.size.add(claim.start, claim.end, amount)
    pool.free.add(claim.start, claim.end, amount)


def _take(pool: Pool, claim: Claim, sign: int) -> None:
    pool.free.add(claim.start, claim.end, claim.capacity.vector() * -sign)


def _cut(claims: dict[UUID, Claim], key: UUID, end: int) -> None:
    """The claim ends at `end`; it stays known, so that a second cancel is told that it is over."""
    claims[key] = msgspec.structs.replace(claims[key], end=end)


def _resize(state: ProjectState, claim: Claim) -> None:
    pool = state.pools[claim.pool]
    assert pool.parent is not None
    size = claim.capacity.vector()
    growth = size - pool.size.read(claim.start, claim.end)
    pool.free.add(claim.start, claim.end, growth)
    state.pools[pool.parent].free.add(claim.start, claim.end, -growth)
    pool.size.write(claim.start, claim.end, size)
