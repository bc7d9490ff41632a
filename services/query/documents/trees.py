"""The reads of a pool and all pools inside it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.calendar import Booking, OfAPool, OfTemplate
from services.query.documents.parts import (
    DimensionName,
    EventPosition,
    Instant,
    Next,
    PoolId,
    Position,
    Span,
    State,
    Uuid,
)


class MatrixColumns(Struct):
    """The blocks of time, in order: lists of the same length."""

    start: list[Instant]
    end: list[Instant]
    hours: Annotated[list[int], Meta(description="The number of hours of each block.")]


class MatrixRow(Struct):
    """A pool, with a number for each block: the smallest and the largest in an hour of the block."""

    pool: PoolId
    name: str
    kind: Annotated[str, Meta(description="`project`, or what kind of cluster it is.", examples=["project", "magnum"])]
    min: list[int]
    max: list[int]


class MatrixTemplate(Struct):
    """The template whose number the matrix shows."""

    name: str
    version: int


class Matrix(OfAPool, kw_only=True):
    """What is available in a pool and in each pool inside it. It has `dimension`, or `template` if one was given."""

    dimension: DimensionName | UnsetType = UNSET
    template: MatrixTemplate | UnsetType = UNSET
    columns: MatrixColumns
    rows: list[MatrixRow]


class BookingColumns(Struct):
    """A page of bookings as columns: arrays of the same length, with those dimensions that were asked for. `pool`,
    `account`, `actor` and `template` are places in the lists of `names`, counted from 0."""

    id: list[Uuid]
    pool: list[int]
    start: list[Instant]
    end: list[Instant]
    share: Annotated[list[int], Meta(description="Shares of the cluster in basis points; 0: counts.")]
    template: Annotated[list[int | None], Meta(description="Null for a booking without a template.")]
    account: list[int]
    actor: list[int]
    state: list[State]
    created: list[EventPosition]
    series: list[Uuid | None]
    segment: list[int | None]
    servers: list[int] | UnsetType = UNSET
    cores: list[int] | UnsetType = UNSET
    memory: list[int] | UnsetType = UNSET
    tempdisc: list[int] | UnsetType = UNSET
    userdisc: list[int] | UnsetType = UNSET
    datadisc: list[int] | UnsetType = UNSET


class BookingNames(Struct):
    """The values of which the columns name the places."""

    pool: list[PoolId]
    account: list[str]
    actor: list[str]
    template: list[OfTemplate]


class TreeBookings(Struct):
    """A page of the bookings of a pool and of the pools inside it, ordered by start and id. It has `columns` and
    `names` with `shape=columns`, else `items`."""

    pool: PoolId
    range: Span
    position: Position
    next: Next
    items: list[Booking] | UnsetType = UNSET
    columns: BookingColumns | UnsetType = UNSET
    names: BookingNames | UnsetType = UNSET


class PoolSlots(Struct):
    """The earliest slots of one pool, in order."""

    pool: PoolId
    slots: list[Span]


class TreeSlots(Struct):
    """The earliest slots in a pool and in the pools inside it; the pool with the earliest slot comes first."""

    pool: PoolId
    position: Position
    duration_hours: int
    pools: list[PoolSlots]
