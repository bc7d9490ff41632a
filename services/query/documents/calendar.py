"""A pool's hours in blocks: /available/select, /resources/select, /bookings/select, sizes, and rows of OpenStack."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.layouts import LayoutOrNone
from services.query.documents.parts import (
    Actor,
    Amounts,
    EventPosition,
    Instant,
    Next,
    PoolId,
    Position,
    Span,
    State,
    Uuid,
)

Grain = Annotated[
    str, Meta(description="The length of a block: `hour`, `day`, `week`, `month`, or hours as `6h`.", examples=["day"])
]
Zone = Annotated[str, Meta(description="The zone in which days, weeks and months begin.", examples=["Europe/London"])]


class Extent(Struct):
    """The smallest and the largest amount in an hour of the block."""

    min: Amounts
    max: Amounts


class FitsExtent(Struct):
    """How many of the template fit at the same time: the smallest and the largest number in an hour of the block."""

    min: int
    max: int


class Block(Struct):
    """One block of time. It has the values that were asked for."""

    start: Instant
    end: Instant
    hours: Annotated[int, Meta(ge=1, description="The number of hours of the block.")]
    granted: Extent | UnsetType = UNSET
    booked: Extent | UnsetType = UNSET
    shared: Extent | UnsetType = UNSET
    available: Extent | UnsetType = UNSET
    fits: FitsExtent | UnsetType = UNSET


class SizeBlock(Struct):
    """The size of a cluster in one block of time."""

    start: Instant
    end: Instant
    hours: Annotated[int, Meta(ge=1, description="The number of hours of the block.")]
    size: Extent


class Numbers(Struct):
    """A number for each block, in order. `max` is left out for blocks of one hour, where it is equal to `min`."""

    min: list[int]
    max: list[int] | UnsetType = UNSET


class NumbersByDimension(Struct):
    """A row of numbers for each dimension that was asked for."""

    servers: Numbers | UnsetType = UNSET
    cores: Numbers | UnsetType = UNSET
    memory: Numbers | UnsetType = UNSET
    tempdisc: Numbers | UnsetType = UNSET
    userdisc: Numbers | UnsetType = UNSET
    datadisc: Numbers | UnsetType = UNSET


class Columns(Struct):
    """The blocks as columns: lists of the same length. With the grain `hour` there are no lists of times: `start` is
    the first hour, each block is `step_hours` long, and there are `count` of them."""

    start: Annotated[Instant | list[Instant], Meta(description="The start of each block, or of the first.")]
    end: list[Instant] | UnsetType = UNSET
    hours: list[int] | UnsetType = UNSET
    step_hours: int | UnsetType = UNSET
    count: int | UnsetType = UNSET
    granted: NumbersByDimension | UnsetType = UNSET
    booked: NumbersByDimension | UnsetType = UNSET
    shared: NumbersByDimension | UnsetType = UNSET
    available: NumbersByDimension | UnsetType = UNSET
    size: NumbersByDimension | UnsetType = UNSET
    fits: Numbers | UnsetType = UNSET


class OfAPool(Struct):
    """The pool and the period of an answer."""

    pool: PoolId
    range: Span
    grain: Grain
    timezone: Zone
    position: Position


class Availability(OfAPool):
    """The availability of a pool. It has `columns` with `shape=columns`, else `blocks`."""

    blocks: list[Block] | UnsetType = UNSET
    columns: Columns | UnsetType = UNSET


class ClusterSizes(OfAPool):
    """The size of a cluster. It has `columns` with `shape=columns`, else `sizes`."""

    sizes: list[SizeBlock] | UnsetType = UNSET
    columns: Columns | UnsetType = UNSET


class Grant(Amounts, kw_only=True):
    """A grant of the project, with its amount of each dimension that was asked for."""

    id: Uuid
    pool: PoolId
    start: Instant
    end: Instant
    source: Annotated[str | None, Meta(description="Who granted it, as the client said.")]
    actor: Actor


class OfTemplate(Struct):
    """The template of a booking."""

    name: str
    version: int
    count: Annotated[int, Meta(description="How many of it are booked.")]


class Booking(Amounts, kw_only=True):
    """A booking, with its amount of each dimension that was asked for."""

    id: Uuid
    pool: PoolId
    start: Instant
    end: Instant
    share: Annotated[int, Meta(ge=0, le=10_000, description="The share of the cluster in basis points; 0: counts.")]
    template: OfTemplate | None
    account: str
    actor: Actor
    state: State
    created: EventPosition
    series: Annotated[Uuid | None, Meta(description="The recurring booking that it belongs to.")]
    segment: Annotated[int | None, Meta(description="The number of its part of the series.")]


class Grants(Availability, kw_only=True):
    """The granted capacity of a pool, and a page of its grants, ordered by start and id."""

    items: list[Grant]
    next: Next


class Bookings(Availability, kw_only=True):
    """The booked capacity of a pool, and a page of its bookings, ordered by start and id."""

    items: list[Booking]
    next: Next


class OpenStackRow(Struct):
    """One block, as a row of a Nova quota. `memory` is in MiB."""

    date: Annotated[str, Meta(description="A date for blocks of a day, week or month, and an instant for hours.")]
    servers: int
    memory: int
    cores: int


class OpenStackRows(OfAPool):
    """The amounts that hold in every hour of each block."""

    rows: list[OpenStackRow]


class QuotaOrCluster(Struct):
    """The period and the amounts of a grant or cluster. `memory` is in MiB, the discs are in GiB."""

    position: Position
    id: str
    startdate: Instant | None
    enddate: Instant | None
    servers: int
    cores: int
    memory: int
    tempdisc: int
    userdisc: int
    datadisc: int
    project: str


class NovaQuota(QuotaOrCluster):
    """A grant, as a Nova quota."""

    source: str | None
    actor: Actor


class MagnumCluster(QuotaOrCluster):
    """A cluster with its masters and workers of the latest decision."""

    parent: PoolId
    name: str
    kind: str
    masterflavor: str | None
    mastercount: int | None
    workerflavor: str | None
    workercount: int | None
    state: State
    layout: LayoutOrNone


class Resize(Struct):
    """A resize of a cluster. `decided` is the event that gave it its state."""

    request: Uuid | None
    position: EventPosition
    decided: EventPosition
    state: Literal["requested", "applied", "failed"]
    startdate: Instant
    enddate: Instant
    masterflavor: str | None
    mastercount: int | None
    workerflavor: str | None
    workercount: int | None
    servers: int
    cores: int
    memory: int
    tempdisc: int
    userdisc: int
    datadisc: int
    lapsed: bool
    error: str | None
    actor: Actor
    layout: LayoutOrNone


class ResizeList(Struct):
    """The resizes of a cluster, in the order in which they were requested."""

    pool: PoolId
    position: Position
    resizes: list[Resize]
