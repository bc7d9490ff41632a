"""Clusters: created from a parent, resized; and Magnum's resizes, which are requested before they are applied."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec

from services.command.domain.capacity_check import check_capacity, known_pool, require_non_zero
from services.command.domain.commands import (
    ApplyResize,
    Context,
    CreateCluster,
    FailResize,
    RequestResize,
    ResizeCluster,
)
from services.command.domain.event_fields import meta_of, times_of
from services.command.domain.layouts import size_of
from services.command.domain.state import Pool, ProjectState, Resize
from shared.capacity import reserved
from shared.errors import AlreadyExists, InvalidField, NoLongerHeld, OutsidePeriod, PastIsImmutable, UnknownId
from shared.events import ClusterCreated, ClusterResized, ClusterResizeFailed, ClusterResizeRequested, Event
from shared.hours import Period, checked_period, instant_of, iso, next_hour

LEVELS_MAX = 8  # of pools, the project among them


def create_cluster(state: ProjectState, project: str, command: CreateCluster, context: Context) -> list[Event]:
    parent = known_pool(state, command.parent, "parent")
    if command.parent.count(".") >= LEVELS_MAX - 1:
        raise InvalidField("parent", f"{command.parent!r} lies {LEVELS_MAX} levels deep, and nothing may lie deeper")
    _check_name(state, command, context)
    capacity, layout = size_of(state, command.capacity, command.layout, None)
    require_non_zero(capacity)
    tentative = check_capacity(parent, command.parent, command.period, capacity.vector(), context, "the cluster")
    return [
        ClusterCreated(
            cluster=command.cluster,
            parent=command.parent,
            kind=command.kind,
            capacity=capacity,
            layout=layout,
            overcommit=command.overcommit,
            tentative=tentative,
            **times_of(command.period),
            **meta_of(context, project),
        ),
        *_given_up(state, project, command.cluster, context),
    ]


def _check_name(state: ProjectState, command: CreateCluster, context: Context) -> None:
    """Raises AlreadyExists if a cluster has the name, unless it and all that is in it have ended before the new one
    begins."""
    before = state.pools.get(command.cluster)
    if before is None:
        return
    inside = [pool for name, pool in state.pools.items() if name.startswith(f"{command.cluster}.")]
    until = max(pool.size.last_hour() for pool in (before, *inside))
    held = max(pool.held_until() for pool in (before, *inside))
    if until > next_hour(context.at):
        wrong = f"exists until {iso(until)}; resize it to nothing to end it before, or choose another name"
    elif held > command.period.start and held > until:
        wrong = f"has ended, but is booked until {iso(held)}; cancel that, or choose another startdate or name"
    elif held > command.period.start:
        wrong = f"was another cluster until {iso(held)}; choose a startdate from then on, or another name"
    else:
        return
    raise AlreadyExists(f"name: {command.cluster!r} {wrong}", id=command.cluster, until=iso(max(until, held)))


def _given_up(state: ProjectState, project: str, cluster: str, context: Context) -> list[Event]:
    """Fails the requested resizes of the old cluster of this name, and of the clusters that were in it."""
    error, meta = "the cluster has ended, and another has its name", meta_of(context, project)
    return [
        ClusterResizeFailed(request=request, cluster=resize.cluster, error=error, **meta)
        for request, resize in state.requests.items()
        if f"{resize.cluster}.".startswith(f"{cluster}.")
    ]


def resize_cluster(state: ProjectState, project: str, command: ResizeCluster, context: Context) -> list[Event]:
    """No event if the cluster has this size already; that is also asked of hours that have begun."""
    resize, earliest = _checked(state, command, context)
    if resize.period.start < earliest and not _is_so(state.pools[resize.cluster], resize):
        raise _too_early(earliest)
    return _resized(state, resize, context, project)


def request_resize(state: ProjectState, project: str, command: RequestResize, context: Context) -> list[Event]:
    """Notes the request. It takes nothing, and capacity is checked when it is applied."""
    resize, earliest = _checked(state, command.resize, context)
    if resize.period.start < earliest:
        raise _too_early(earliest)
    return [
        ClusterResizeRequested(
            request=command.request,
            cluster=resize.cluster,
            capacity=resize.capacity,
            layout=resize.layout,
            **times_of(resize.period),
            **meta_of(context, project),
        )
    ]


def apply_resize(state: ProjectState, project: str, command: ApplyResize, context: Context) -> list[Event]:
    """Applies the requested size: for the requested hours, without those that have begun meanwhile."""
    resize = _request(state, command.cluster, command.request, "applied")
    if resize is None:
        return []
    start = max(resize.period.start, next_hour(context.at))
    if start >= resize.period.end:
        raise PastIsImmutable(f"the resize was for hours until {iso(resize.period.end)}, which are over")
    resize = msgspec.structs.replace(resize, period=Period(start, resize.period.end))
    return _resized(state, resize, context, project, request=command.request)


def fail_resize(state: ProjectState, project: str, command: FailResize, context: Context) -> list[Event]:
    if _request(state, command.cluster, command.request, "failed") is None:
        return []
    meta = meta_of(context, project)
    return [ClusterResizeFailed(request=command.request, cluster=command.cluster, error=command.error, **meta)]


def _resized(state: ProjectState, resize: Resize, context: Context, project: str, **applied: Any) -> list[Event]:
    """Checks that the parent has what the cluster gains, and that the cluster does not need what it loses."""
    pool, period = state.pools[resize.cluster], resize.period
    assert pool.parent is not None
    size, shares = pool.size.read(*period), pool.shares.read(*period)
    growth = resize.capacity.vector() - size
    if not applied and _is_so(pool, resize):
        return []
    tentative = check_capacity(state.pools[pool.parent], pool.parent, period, growth, context, "the new size")
    lost = reserved(size + growth, shares) - reserved(size, shares) - growth
    check_capacity(pool, resize.cluster, period, lost, context, "the new size")
    return [
        ClusterResized(
            cluster=resize.cluster,
            capacity=resize.capacity,
            layout=resize.layout,
            tentative=tentative,
            **times_of(period),
            **applied,
            **meta_of(context, project),
        )
    ]


def _checked(state: ProjectState, command: ResizeCluster, context: Context) -> tuple[Resize, int]:
    """The new size and its hours, and the earliest hour that can be changed. Raises PastIsImmutable, OutsidePeriod."""
    pool = known_pool(state, command.cluster, "id")
    if pool.period is None:
        raise InvalidField("id", f"{command.cluster!r} is a project; its size is the sum of its grants")
    earliest, end = max(pool.period.start, next_hour(context.at)), pool.period.end
    if earliest >= end:
        over = "ended at" if instant_of(end) <= context.at else "ends with the hour that has begun, at"
        raise PastIsImmutable(f"the cluster {command.cluster!r} {over} {iso(end)}")
    period = Period(earliest if command.start is None else command.start, end if command.end is None else command.end)
    if period.start < pool.period.start or period.end > end:
        raise OutsidePeriod(
            f"the resize {iso(period.start)} .. {iso(period.end)} reaches outside the cluster's period"
            f" {iso(pool.period.start)} .. {iso(end)}"
        )
    capacity, layout = size_of(state, command.capacity, command.layout, pool.layout)
    return Resize(command.cluster, checked_period(period), capacity, layout), earliest


def _is_so(pool: Pool, resize: Resize) -> bool:
    size = pool.size.read(*resize.period)
    if not (size == resize.capacity.vector()).all():
        return False
    return resize.layout is None or (pool.layout is not None and resize.layout.same_nodes(pool.layout))


def _too_early(earliest: int) -> PastIsImmutable:
    return PastIsImmutable(f"startdate: a resize acts from the next whole hour on; the earliest is {iso(earliest)}")


def _request(state: ProjectState, cluster: str, request: UUID, outcome: Literal["applied", "failed"]) -> Resize | None:
    """The requested resize that shall end with `outcome`; None if it has ended so. Raises NoLongerHeld if it has ended
    otherwise, UnknownId."""
    known = state.resize_outcomes.get(request)
    if known is not None and known.cluster == cluster:
        if known.outcome == outcome:
            return None
        is_so = "was applied" if known.outcome == "applied" else "has failed"
        raise NoLongerHeld(f"the resize {request} {is_so} already")
    resize = state.requests.get(request)
    if resize is None or resize.cluster != cluster:
        raise UnknownId("request", "pending resize of this cluster", str(request))
    return resize
