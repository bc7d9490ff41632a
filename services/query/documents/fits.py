"""How much fits, and where more is promised than there is."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.parts import (
    AllAmounts,
    DimensionName,
    EventPosition,
    Instant,
    PoolId,
    Position,
    Span,
    State,
)


class TemplateFits(Struct):
    """How many of the newest version of a template fit."""

    name: str
    version: int
    capacity: AllAmounts
    fits: int


class Now(Struct):
    """The availability in the current hour."""

    pool: PoolId
    position: Position
    hour: Instant
    available: AllAmounts
    templates: list[TemplateFits]


class SlotList(Struct):
    """The earliest slots, in order."""

    pool: PoolId
    position: Position
    duration_hours: int
    slots: list[Span]


class MostOfTemplate(Struct):
    """How many of a template fit in every hour of the range."""

    template: str
    version: int
    count: int


class MostThatFits(Struct):
    """The answer with `most=`."""

    pool: PoolId
    range: Span
    position: Position
    most: MostOfTemplate


class Claim(Struct):
    """A booking or a cluster that takes of the dimension. It has either `booking` or `cluster`, its id."""

    account: str | None
    start: Instant
    end: Instant
    state: State
    position: EventPosition
    amount: int
    booking: str | UnsetType = UNSET
    cluster: str | UnsetType = UNSET


class Conflict(Struct):
    """Hours in which a pool lacks the same amount of one dimension."""

    pool: PoolId
    start: Instant
    end: Instant
    dimension: DimensionName
    deficit: Annotated[int, Meta(ge=1)]
    deadline: Annotated[Instant, Meta(description="When the ledger settles it: the youngest claims give way first.")]
    claims: Annotated[list[Claim], Meta(description="The oldest first; 100 at most.")]
    claims_total: int


class ConflictList(Struct):
    """Conflicts, ordered by deadline; 500 at most."""

    pool: PoolId
    range: Span
    position: Position
    conflicts: list[Conflict]
    conflicts_total: int


class Figures(Struct):
    """The four values of an hour."""

    granted: AllAmounts
    booked: AllAmounts
    shared: AllAmounts
    available: AllAmounts


class ChangedHours(Struct):
    """Hours in a row with the same figures before and the same figures after."""

    start: Instant
    end: Instant
    before: Figures
    after: Figures


class ChangingEvent(Struct):
    """An event that changed hours of the pool."""

    position: EventPosition
    type: str
    periods: list[Span]


class Diff(Struct, rename={"first": "from", "second": "to"}):
    """What changed in a pool between two positions."""

    pool: PoolId
    first: Annotated[int, Meta(description="The earlier position.")]
    second: Annotated[int, Meta(description="The later position.")]
    position: Position
    hours: list[ChangedHours]
    events: list[ChangingEvent]
