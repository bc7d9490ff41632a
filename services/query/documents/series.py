"""A recurring booking as one thing."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from services.query.documents.parts import Instant, PoolId, Position, Uuid


class OccurrenceNow(Struct):
    """An occurrence of a series, as it is now. One that was cancelled or has lapsed has the period that ended."""

    booking: Annotated[Uuid | None, Meta(description="The id of its booking; null if it was not booked.")]
    start: Instant
    end: Instant
    state: Annotated[
        Literal["confirmed", "tentative", "cancelled", "lapsed", "skipped"],
        Meta(description="`skipped`: it was refused when the series was booked."),
    ]
    refused: Annotated[str | None, Meta(description="Why it was skipped; null for the others.")]


class OccurrenceCounts(Struct):
    """How many occurrences have each state."""

    confirmed: Annotated[int, Meta(ge=0, description="How many hold what they ask.")]
    tentative: Annotated[int, Meta(ge=0, description="How many are of a pool that lacks something.")]
    cancelled: Annotated[int, Meta(ge=0, description="How many were cancelled.")]
    lapsed: Annotated[int, Meta(ge=0, description="How many the ledger gave back.")]
    skipped: Annotated[int, Meta(ge=0, description="How many were not booked.")]


class SeriesNow(Struct):
    """A recurring booking, and what has become of each occurrence."""

    id: Uuid
    project: Annotated[str, Meta(description="The id of its project.")]
    pool: PoolId
    account: str
    rrule: Annotated[str, Meta(description="The rule, as it was given (RFC 5545).", examples=["FREQ=WEEKLY;COUNT=6"])]
    timezone: Annotated[str, Meta(description="The zone in which the rule is read.", examples=["Europe/London"])]
    first: Annotated[Instant, Meta(description="When the first occurrence was to begin.")]
    position: Position
    occurrences: Annotated[list[OccurrenceNow], Meta(description="In the order in which they were planned.")]
    counts: Annotated[OccurrenceCounts, Meta(description="How many occurrences have each state.")]
