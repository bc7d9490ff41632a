"""The history, in pages and live."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from services.query.documents.parts import (
    Actor,
    EventPosition,
    Instant,
    NextNumber,
    PoolId,
    Position,
    StoredEvent,
    Uuid,
)
from shared.events import Event


class EventPage(Struct):
    """A page of events, ordered by position."""

    position: Annotated[int, Meta(description="The position of the last stored event.")]
    events: list[StoredEvent]
    next: NextNumber


class HistoryEntry(Struct):
    """Who did what, when and why."""

    position: EventPosition
    version: int
    at: Annotated[Instant, Meta(description="The instant of the decision.")]
    actor: Actor
    type: str
    reason: str | None
    event: Annotated[Event, Meta(description="The stored JSON, byte for byte.")]


class HistoryPage(Struct):
    """A page of the history of one thing, the oldest first."""

    id: str
    position: Position
    history: list[HistoryEntry]
    next: NextNumber


class OfABooking(Struct, tag_field="type"):
    """A notice about a booking. `time` is when it was due."""

    id: Annotated[str, Meta(description="The same each time that it is published.")]
    time: Instant
    project: str
    booking: Uuid
    pool: PoolId
    account: str
    start: Instant
    end: Instant


class BookingStarted(OfABooking, tag="booking.started"):
    """A booking has started."""


class BookingEnding(OfABooking, tag="booking.ending"):
    """A booking ends soon."""


class BookingEnded(OfABooking, tag="booking.ended"):
    """A booking has ended."""


class ConflictApproaching(Struct, tag_field="type", tag="conflict.approaching"):
    """The ledger will soon settle over-committed hours, at `deadline`. `time` is when the notice was due."""

    id: Annotated[str, Meta(description="The same each time that it is published.")]
    time: Instant
    project: str
    pool: PoolId
    start: Instant
    end: Instant
    deadline: Instant


class NumberedNotice(Struct):
    """A notice with its number."""

    seq: Annotated[int, Meta(ge=1, description="Its number: 1, 2, 3 …")]
    notice: BookingStarted | BookingEnding | BookingEnded | ConflictApproaching


class NoticePage(Struct):
    """A page of notices, ordered by `seq`."""

    notices: list[NumberedNotice]
    next: NextNumber


class Refusal(Struct):
    """A command that was refused."""

    id: int
    at: Instant
    project: str
    actor: Actor
    command: Annotated[str, Meta(description="What was asked, as `CreateBooking`.")]
    asked: Annotated[dict[str, Any], Meta(description="The body of the command.")]
    reason: str | None
    code: Annotated[str, Meta(description="The code of the problem document that answered it.")]
    detail: str
    facts: Annotated[dict[str, Any], Meta(description="The facts of the problem document.")]
    dropped: Annotated[int, Meta(description="How many refusals before this one could not be logged.")]


class RefusalPage(Struct):
    """A page of the log of refusals."""

    refusals: list[Refusal]
    next: NextNumber
