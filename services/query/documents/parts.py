"""The parts that several answers have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.events import Event

Instant = Annotated[str, Meta(description="An instant in UTC.", extra_json_schema={"format": "date-time"})]
Position = Annotated[int, Meta(ge=0, description="The position that the answer shows: all events up to it.")]
Next = Annotated[str | None, Meta(description="The `after` of the next page; null on the last page.")]
NextNumber = Annotated[int | None, Meta(description="The `after` of the next page; null on the last page.")]
PoolId = Annotated[str, Meta(description="The id of a project or a cluster.", examples=["gaia", "gaia.spark"])]
Actor = Annotated[str, Meta(description="The id of the principal who asked for it.")]
ActorOrNone = Annotated[
    str | None, Meta(description="The id of the principal who asked for it; null for readers who may not see names.")
]
EventPosition = Annotated[int, Meta(ge=1, description="The position of the event.")]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
State = Annotated[
    Literal["confirmed", "tentative"],
    Meta(description="`tentative` while the pool lacks something that it takes; else `confirmed`."),
]
DimensionName = Literal["servers", "cores", "memory", "tempdisc", "userdisc", "datadisc"]


class Span(Struct):
    """A period: two instants in UTC. The end is not included."""

    start: Instant
    end: Instant


class Amounts(Struct):
    """An amount of each dimension that was asked for. Servers and cores are counts, `memory` is in MiB, the discs are
    in GiB. The available amount is negative where more is promised than there is."""

    servers: int | UnsetType = UNSET
    cores: int | UnsetType = UNSET
    memory: int | UnsetType = UNSET
    tempdisc: int | UnsetType = UNSET
    userdisc: int | UnsetType = UNSET
    datadisc: int | UnsetType = UNSET


class AllAmounts(Struct):
    """An amount of each dimension. Servers and cores are counts, `memory` is in MiB, the discs are in GiB."""

    servers: int
    cores: int
    memory: int
    tempdisc: int
    userdisc: int
    datadisc: int


class StoredEvent(Struct):
    """An event of the history."""

    position: EventPosition
    version: Annotated[int, Meta(ge=1, description="Its number among the events of its project.")]
    event: Annotated[Event, Meta(description="The stored JSON, byte for byte.")]
