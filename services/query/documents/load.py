"""How much is booked, by account or by cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from services.query.documents.calendar import OfAPool
from services.query.documents.parts import DimensionName, Instant

Held = Annotated[list[int], Meta(description="An amount for each block, in order.")]


class LoadColumns(Struct):
    """The blocks, as lists of the same length."""

    start: Annotated[list[Instant], Meta(description="The start of each block.")]
    end: Annotated[list[Instant], Meta(description="The end of each block.")]
    hours: Annotated[list[int], Meta(description="The number of hours of each block.")]


class LoadRow(Struct):
    """What the bookings of one account, or in one cluster, hold together."""

    name: Annotated[str, Meta(description="The account, or the id of the pool.", examples=["ada", "gaia.spark"])]
    bookings: Annotated[int, Meta(ge=1, description="How many bookings there are in the range.")]
    min: Held
    max: Held
    used: Annotated[list[int], Meta(description="The resource-hours of each block, in order.")]


class LoadOfOthers(Struct):
    """What the bookings of all others hold together."""

    names: Annotated[int, Meta(ge=1, description="How many accounts or pools there are.")]
    bookings: Annotated[int, Meta(ge=1, description="How many bookings there are in the range.")]
    min: Held
    max: Held
    used: Annotated[list[int], Meta(description="The resource-hours of each block, in order.")]


class Load(OfAPool, kw_only=True):
    """How much is booked in a pool and all pools inside it. The first row has booked the most hours."""

    dimension: DimensionName
    by: Annotated[Literal["account", "cluster"], Meta(description="What has a row.")]
    columns: LoadColumns
    rows: Annotated[list[LoadRow], Meta(description="The row with the most booked hours is the first.")]
    others: Annotated[LoadOfOthers | None, Meta(description="All that have no row; null if there are none.")]
