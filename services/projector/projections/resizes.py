"""cluster_resize: the requested, applied and failed resizes of each cluster."""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

from services.projector.projections.availability import Counts
from shared.events import ClusterResized, ClusterResizeFailed, ClusterResizeRequested, Layout
from shared.hours import hour_of


class ResizeRow(NamedTuple):
    """`position` is that of the request, or of the resize if nobody requested it. `decided` is the position of the
    event that set the state. An applied request has the hours and the size with which it was applied."""

    pool: int
    position: int
    decided: int
    request: UUID | None
    state: Literal["requested", "applied", "failed"]
    start: int
    end: int
    counts: Counts
    layout: Layout | None
    lapsed: bool
    error: str | None
    actor: str


class ResizeFailure(NamedTuple):
    decided: int
    error: str


class ResizeChanges:
    """`created`: new rows. `applied`, `failed`: requests of earlier batches, by the request's id."""

    def __init__(self) -> None:
        self.created: list[ResizeRow] = []
        self.applied: dict[UUID, ResizeRow] = {}
        self.failed: dict[UUID, ResizeFailure] = {}
        self._requests: dict[UUID, int] = {}

    def request(self, event: ClusterResizeRequested, pool: int, position: int) -> None:
        self._requests[event.request] = len(self.created)
        self.created.append(_row(event, pool, position, "requested"))

    def resize(self, event: ClusterResized, pool: int, position: int) -> None:
        row = _row(event, pool, position, "applied")
        if event.request is None:
            self.created.append(row)
        elif (place := self._requests.get(event.request)) is None:
            self.applied[event.request] = row
        else:
            before = self.created[place]
            self.created[place] = row._replace(position=before.position, actor=before.actor)

    def fail(self, event: ClusterResizeFailed, position: int) -> None:
        if (place := self._requests.get(event.request)) is None:
            self.failed[event.request] = ResizeFailure(position, event.error)
        else:
            row = self.created[place]
            self.created[place] = row._replace(decided=position, state="failed", error=event.error)


def _row(
    event: ClusterResizeRequested | ClusterResized, pool: int, position: int, state: Literal["requested", "applied"]
) -> ResizeRow:
    return ResizeRow(
        pool,
        position,
        position,
        event.request,
        state,
        hour_of(event.start),
        hour_of(event.end),
        event.capacity.counts(),
        event.layout,
        isinstance(event, ClusterResized) and event.lapsed,
        None,
        event.actor,
    )
