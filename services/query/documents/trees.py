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

    start: Annotated[list[Instant], Meta(description="The start of each block.")]
    end: Annotated[list[Instant], Meta(description="The end of each block.")]
    hours: Annotated[list[int], Meta(description="The number of hours of each block.")]


class MatrixRow(Struct):
    """A pool, with a number for each block: the smallest and the largest in an hour of the block."""

    pool: PoolId
    name: str
    kind: Annotated[str, Meta(description="`project`, or what kind of cluster it is.", examples=["project", "magnum"])]
    min: Annotated[list[int], Meta(description="The lowest in each block.")]
    max: Annotated[list[int], Meta(description="The highest in each block.")]


class MatrixTemplate(Struct):
    """The template whose number the matrix shows."""

    name: str
    version: int


class Matrix(OfAPool, kw_only=True):
    """What is available in a pool and in each pool inside it. It has `dimension`, or `template` if one was given."""

    dimension: DimensionName | UnsetType = UNSET
    template: Annotated[MatrixTemplate | UnsetType, Meta(description="The template that is counted.")] = UNSET
    columns: Annotated[MatrixColumns, Meta(description="The blocks of time.")]
    rows: Annotated[list[MatrixRow], Meta(description="The pools, each before those inside it.")]


def place_in(name: str) -> Meta:
    """What a column says that holds places."""
    return Meta(description=f"For each booking, a place in the list `{name}` of `names`, from 0.")


class BookingColumns(Struct):
    """A page of bookings as columns: arrays of the same length, with those dimensions that were asked for. `pool`,
    `account`, `actor` and `template` are places in the lists of `names`, counted from 0."""

    id: Annotated[list[Uuid], Meta(description="The id of each booking.")]
    pool: Annotated[list[int], place_in("pool")]
    start: Annotated[list[Instant], Meta(description="The start of each booking.")]
    end: Annotated[list[Instant], Meta(description="The end of each booking.")]
    share: Annotated[list[int], Meta(description="The share of the cluster in basis points; 0: counts.")]
    template: Annotated[
        list[int | None], Meta(description="As `pool`, in the list `template`; null: the booking has no template.")
    ]
    account: Annotated[list[int], place_in("account")]
    actor: Annotated[list[int], place_in("actor")]
    state: Annotated[list[State], Meta(description="The state of each booking.")]
    created: Annotated[list[EventPosition], Meta(description="The event that made each booking.")]
    series: Annotated[list[Uuid | None], Meta(description="The recurring booking of each; null: it is of none.")]
    segment: Annotated[list[int | None], Meta(description="0; 1: what follows a change while the booking ran.")]
    servers: Annotated[list[int] | UnsetType, Meta(description="How many servers each booking takes.")] = UNSET
    cores: Annotated[list[int] | UnsetType, Meta(description="How many cores each booking takes.")] = UNSET
    memory: Annotated[list[int] | UnsetType, Meta(description="How much memory each takes, in MiB.")] = UNSET
    tempdisc: Annotated[list[int] | UnsetType, Meta(description="How much scratch disc each takes, in GiB.")] = UNSET
    userdisc: Annotated[list[int] | UnsetType, Meta(description="How much user disc each takes, in GiB.")] = UNSET
    datadisc: Annotated[list[int] | UnsetType, Meta(description="How much data disc each takes, in GiB.")] = UNSET


class BookingNames(Struct):
    """The values of which the columns name the places."""

    pool: Annotated[list[PoolId], Meta(description="The ids of the pools.")]
    account: Annotated[list[str], Meta(description="The names of the accounts.")]
    actor: Annotated[list[str], Meta(description="The ids of the principals who asked for the bookings.")]
    template: Annotated[list[OfTemplate], Meta(description="The templates, with their version and how many of them.")]


class TreeBookings(Struct):
    """A page of the bookings of a pool and of the pools inside it, ordered by start and id. It has `columns` and
    `names` with `shape=columns`, else `items`."""

    pool: PoolId
    range: Span
    position: Position
    next: Next
    items: list[Booking] | UnsetType = UNSET
    columns: Annotated[BookingColumns | UnsetType, Meta(description="An array for each field of the bookings.")] = UNSET
    names: Annotated[BookingNames | UnsetType, Meta(description="The values of which columns name the places.")] = UNSET


class PoolSlots(Struct):
    """The earliest slots of one pool, in order."""

    pool: PoolId
    slots: list[Span]


class TreeSlots(Struct):
    """The earliest slots in a pool and in the pools inside it; the pool with the earliest slot comes first."""

    pool: PoolId
    position: Position
    duration_hours: int
    pools: Annotated[list[PoolSlots], Meta(description="The pools in which it fits.")]
