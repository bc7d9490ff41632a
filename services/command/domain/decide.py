"""Every command's rules: `decide(state, command, context) -> events`, or the exact refusal, raised."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np

from services.command.domain.commands import (
    CancelBooking,
    Command,
    Context,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.domain.state import Claim, Pool, ProjectState
from shared.capacity import DIMENSIONS, Capacity, Vector
from shared.errors import AlreadyExists, CapacityExceeded, InvalidField, OutsidePeriod, PastIsImmutable, UnknownId
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
from shared.hours import Period, checked_period, instant_of, iso, next_hour

SHORTAGES_MAX = 100


def decide(state: ProjectState, project: str, command: Command, context: Context) -> list[Event]:
    """The events that `command` makes of `state`; none when it is already so. A refusal is raised: a HourbookError."""
    meta: dict[str, Any] = {
        "at": context.at, "actor": context.actor, "command": context.command, "reason": context.reason,
        "project": project,
    }  # fmt: skip
    if not isinstance(command, CreateProject) and state.name is None:
        raise UnknownId("project", "project", project)
    match command:
        case CreateProject():
            return _create_project(state, command, meta)
        case CreateGrant():
            return _create_grant(command, meta)
        case WithdrawGrant():
            return _withdraw_grant(state, command, context, meta)
        case CreateCluster():
            return _create_cluster(state, command, meta)
        case ResizeCluster():
            return _resize_cluster(state, command, context, meta)
        case CreateBooking():
            return _create_booking(state, command, meta)
        case CancelBooking():
            return _cancel_booking(state, command, context, meta)
        case _:
            assert_never(command)


def _create_project(state: ProjectState, command: CreateProject, meta: dict[str, Any]) -> list[Event]:
    if state.name is not None:
        raise AlreadyExists(f"id: the project {command.project!r} exists; choose another id", id=command.project)
    return [ProjectCreated(name=command.name, **meta)]


def _create_grant(command: CreateGrant, meta: dict[str, Any]) -> list[Event]:
    _something(command.capacity)
    return [
        GrantCreated(
            grant=command.grant, capacity=command.capacity, source=command.source, **_span(command.period), **meta
        )
    ]


def _withdraw_grant(state: ProjectState, command: WithdrawGrant, context: Context, meta: dict[str, Any]) -> list[Event]:
    grant = state.grants.get(command.grant)
    if grant is None:
        raise UnknownId("id", "grant", str(command.grant))
    rest = _rest(grant, context, f"grant {command.grant}")
    pool = state.pools[grant.pool]
    _room(pool, grant.pool, rest, grant.capacity.vector(), "withdrawing the grant")
    return [GrantWithdrawn(grant=command.grant, capacity=grant.capacity, **_span(rest), **meta)]


def _create_cluster(state: ProjectState, command: CreateCluster, meta: dict[str, Any]) -> list[Event]:
    parent = _pool(state, command.parent, "parent")
    if command.cluster in state.pools:
        raise AlreadyExists(f"name: the cluster {command.cluster!r} exists already", id=command.cluster)
    _something(command.capacity)
    _room(parent, command.parent, command.period, command.capacity.vector(), "the cluster")
    return [
        ClusterCreated(
            cluster=command.cluster, parent=command.parent, kind=command.kind, capacity=command.capacity,
            **_span(command.period), **meta,
        )
    ]  # fmt: skip


def _resize_cluster(state: ProjectState, command: ResizeCluster, context: Context, meta: dict[str, Any]) -> list[Event]:
    pool = _pool(state, command.cluster, "id")
    if pool.period is None or pool.parent is None:
        raise InvalidField("id", f"{command.cluster!r} is a project; its size is the sum of its grants")
    earliest = max(pool.period.start, next_hour(context.at))
    if earliest >= pool.period.end:
        raise PastIsImmutable(f"the cluster {command.cluster!r} ended at {iso(pool.period.end)}")
    period = Period(
        earliest if command.start is None else command.start, pool.period.end if command.end is None else command.end
    )
    if period.start < pool.period.start or period.end > pool.period.end:
        raise OutsidePeriod(
            f"the resize {iso(period.start)} .. {iso(period.end)} reaches outside the cluster's period"
            f" {iso(pool.period.start)} .. {iso(pool.period.end)}"
        )
    checked_period(period)
    if period.start < earliest:
        raise PastIsImmutable(f"startdate: a resize acts from the next whole hour on; the earliest is {iso(earliest)}")
    growth = command.capacity.vector() - pool.size.read(period.start, period.end)
    if not growth.any():
        return []
    _room(state.pools[pool.parent], pool.parent, period, growth, "the new size")
    _room(pool, command.cluster, period, -growth, "the new size")
    return [ClusterResized(cluster=command.cluster, capacity=command.capacity, **_span(period), **meta)]


def _create_booking(state: ProjectState, command: CreateBooking, meta: dict[str, Any]) -> list[Event]:
    pool = _pool(state, command.pool, "clusterid" if "." in command.pool else "project")
    _something(command.capacity)
    _room(pool, command.pool, command.period, command.capacity.vector(), "the booking")
    return [
        BookingCreated(
            booking=command.booking, pool=command.pool, account=command.account, capacity=command.capacity,
            **_span(command.period), **meta,
        )
    ]  # fmt: skip


def _cancel_booking(state: ProjectState, command: CancelBooking, context: Context, meta: dict[str, Any]) -> list[Event]:
    booking = state.bookings.get(command.booking)
    if booking is None:
        raise UnknownId("id", "booking", str(command.booking))
    rest = _rest(booking, context, f"booking {command.booking}")
    return [
        BookingCancelled(booking=command.booking, pool=booking.pool, capacity=booking.capacity, **_span(rest), **meta)
    ]


def _pool(state: ProjectState, pool_id: str, field: str) -> Pool:
    pool = state.pools.get(pool_id)
    if pool is None:
        raise UnknownId(field, "cluster" if "." in pool_id else "project", pool_id)
    return pool


def _something(capacity: Capacity) -> None:
    if not capacity:
        raise InvalidField("capacity", f"every dimension is 0; give at least one of {', '.join(DIMENSIONS)}")


def _span(period: Period) -> dict[str, Any]:
    return {"start": instant_of(period.start), "end": instant_of(period.end)}


def _rest(claim: Claim, context: Context, what: str) -> Period:
    """What has not begun of a claim; PastIsImmutable when that is nothing."""
    rest = Period(max(claim.start, next_hour(context.at)), claim.end)
    if rest.start >= rest.end:
        raise PastIsImmutable(f"the {what} ended at {iso(claim.end)}; what has happened cannot be undone")
    return rest


def _room(pool: Pool, pool_id: str, period: Period, asked: Vector, what: str) -> None:
    """Refuses what would take more than is free in some hour. Only dimensions that `asked` takes from are looked at."""
    free = pool.free.read(period.start, period.end)
    more = asked > free
    if not np.count_nonzero(more) or not (short := more & (asked > 0)).any():
        return
    shortages = _shortages(period, np.broadcast_to(asked, free.shape), free, short)
    first = shortages[0]
    raise CapacityExceeded(
        f"{what} asks {first['asked']} {first['dimension']} of {pool_id!r} from {first['start']} to {first['end']},"
        f" where {first['available']} are available",
        pool=pool_id, shortages=shortages[:SHORTAGES_MAX], shortages_total=len(shortages),
    )  # fmt: skip


def _shortages(period: Period, asked: Vector, free: Vector, short: Any) -> list[dict[str, Any]]:
    """Runs of hours in which the same is asked and the same is there, by dimension, in order of time."""
    runs: list[tuple[int, int, int]] = []
    for dimension in range(len(DIMENSIONS)):
        hours = np.flatnonzero(short[:, dimension])
        if not len(hours):
            continue
        figures = np.column_stack((asked[hours, dimension], free[hours, dimension]))
        breaks = np.flatnonzero((np.diff(hours) > 1) | (np.diff(figures, axis=0) != 0).any(axis=1)) + 1
        runs += [(int(run[0]), int(run[-1]) + 1, dimension) for run in np.split(hours, breaks)]
    return [
        {
            "start": iso(period.start + low), "end": iso(period.start + high), "dimension": DIMENSIONS[dimension],
            "asked": int(asked[low, dimension]), "available": int(free[low, dimension]),
        }
        for low, high, dimension in sorted(runs)
    ]  # fmt: skip
