"""Clusters: drawn from a parent, resized, and Magnum's resizes, which are asked for before they are applied."""

from __future__ import annotations

from typing import Any

import msgspec

from services.command.domain.commands import (
    ApplyResize,
    Context,
    CreateCluster,
    FailResize,
    LayoutChange,
    RequestResize,
    ResizeCluster,
)
from services.command.domain.room import admit, meta_of, pool_of, something, span
from services.command.domain.state import Pool, ProjectState, Resize
from services.command.domain.templates import lay_out
from shared.capacity import Capacity, reserved
from shared.errors import AlreadyExists, InvalidField, OutsidePeriod, PastIsImmutable, UnknownId
from shared.events import ClusterCreated, ClusterResized, ClusterResizeFailed, ClusterResizeRequested, Event, Layout
from shared.hours import Period, checked_period, iso, next_hour

LEVELS_MAX = 8  # of pools, the project among them


def create_cluster(state: ProjectState, project: str, command: CreateCluster, context: Context) -> list[Event]:
    parent = pool_of(state, command.parent, "parent")
    if command.parent.count(".") >= LEVELS_MAX - 1:
        raise InvalidField("parent", f"{command.parent!r} lies {LEVELS_MAX} levels deep, and nothing may lie deeper")
    if command.cluster in state.pools:
        raise AlreadyExists(f"name: the cluster {command.cluster!r} exists already", id=command.cluster)
    capacity, layout = _size_of(state, command.capacity, command.layout, None)
    something(capacity)
    tentative = admit(parent, command.parent, command.period, capacity.vector(), context, "the cluster")
    return [
        ClusterCreated(
            cluster=command.cluster, parent=command.parent, kind=command.kind, capacity=capacity, layout=layout,
            overcommit=command.overcommit, tentative=tentative, **span(command.period), **meta_of(context, project),
        )
    ]  # fmt: skip


def resize_cluster(state: ProjectState, project: str, command: ResizeCluster, context: Context) -> list[Event]:
    pool, period = _checked(state, command, context)
    capacity, layout = _size_of(state, command.capacity, command.layout, pool.layout)
    return _resized(state, Resize(command.cluster, period, capacity, layout), context, project)


def request_resize(state: ProjectState, project: str, command: RequestResize, context: Context) -> list[Event]:
    """Takes nothing yet; the room is looked at when it is applied."""
    pool, period = _checked(state, command.resize, context)
    capacity, layout = _size_of(state, command.resize.capacity, command.resize.layout, pool.layout)
    return [
        ClusterResizeRequested(
            request=command.request, cluster=command.resize.cluster, capacity=capacity, layout=layout, **span(period),
            **meta_of(context, project),
        )
    ]  # fmt: skip


def apply_resize(state: ProjectState, project: str, command: ApplyResize, context: Context) -> list[Event]:
    """The size that was asked for, from the next whole hour on if the time asked for has begun meanwhile."""
    resize = _request(state, command.cluster, command.request)
    start = max(resize.period.start, next_hour(context.at))
    if start >= resize.period.end:
        raise PastIsImmutable(f"the resize was for hours until {iso(resize.period.end)}, which are over")
    resize = msgspec.structs.replace(resize, period=Period(start, resize.period.end))
    return _resized(state, resize, context, project, request=command.request)


def fail_resize(state: ProjectState, project: str, command: FailResize, context: Context) -> list[Event]:
    _request(state, command.cluster, command.request)
    meta = meta_of(context, project)
    return [ClusterResizeFailed(request=command.request, cluster=command.cluster, error=command.error, **meta)]


def _resized(state: ProjectState, resize: Resize, context: Context, project: str, **applied: Any) -> list[Event]:
    """Growth is drawn from the parent; what the cluster loses must not be booked, nor reserved by shares."""
    pool, period = state.pools[resize.cluster], resize.period
    assert pool.parent is not None
    size, shares = pool.size.read(*period), pool.shares.read(*period)
    growth = resize.capacity.vector() - size
    if not growth.any() and not applied and resize.layout == pool.layout:
        return []
    tentative = admit(state.pools[pool.parent], pool.parent, period, growth, context, "the new size")
    lost = reserved(size + growth, shares) - reserved(size, shares) - growth
    admit(pool, resize.cluster, period, lost, context, "the new size")
    return [
        ClusterResized(
            cluster=resize.cluster, capacity=resize.capacity, layout=resize.layout, tentative=tentative,
            **span(period), **applied, **meta_of(context, project),
        )
    ]  # fmt: skip


def _checked(state: ProjectState, command: ResizeCluster, context: Context) -> tuple[Pool, Period]:
    """The cluster, and the hours from when to when it is to be resized."""
    pool = pool_of(state, command.cluster, "id")
    if pool.period is None:
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
    return pool, period


def _size_of(
    state: ProjectState, capacity: Capacity, change: LayoutChange | None, before: Layout | None
) -> tuple[Capacity, Layout | None]:
    return (capacity, None) if change is None else lay_out(state, change, before)


def _request(state: ProjectState, cluster: str, request: Any) -> Resize:
    resize = state.requests.get(request)
    if resize is None or resize.cluster != cluster:
        raise UnknownId("request", "pending resize of this cluster", str(request))
    return resize
