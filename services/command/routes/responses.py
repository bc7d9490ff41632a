"""The answers to commands: 201 for a new decision, 200 for a repeat, for what was so already, and for a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from services.command.handler.results import CommandResult, body_around_position
from services.command.keys import REPEATED, kept_response
from shared.events import BookingCreated, Event, SeriesCreated, decode_event
from shared.hours import Period, iso
from shared.http.problem_type import Problem
from shared.http.problems import problem_body
from shared.http.responses import EncodedResponse

Position = Annotated[
    int, Meta(description="The position of the last event in the ledger. Give it as `min_position` to a read.")
]
Version = Annotated[int, Meta(description="The number of events of the project.")]
Events = Annotated[list[Event], Meta(description="The events, in order, as GET /events shows them.")]


class Occurrence(msgspec.Struct, frozen=True):
    """One occurrence of a recurring booking."""

    start: Annotated[datetime, Meta(description="Its start, UTC.")]
    end: Annotated[datetime, Meta(description="Its end, UTC. It is not included.")]
    booking: Annotated[
        UUID | None, Meta(description="The id by which this occurrence alone is amended or cancelled; null if refused.")
    ]
    refused: Annotated[str | None, Meta(description="Why it was left out (`skip`); null if it was booked.")]


class Series(msgspec.Struct, frozen=True):
    """A recurring booking as a whole."""

    id: Annotated[str, Meta(description="The id of the series.")]
    amend: Annotated[str, Meta(description="POST to this path to amend all occurrences.")]
    cancel: Annotated[str, Meta(description="POST to this path to cancel all occurrences.")]


class Outcome(msgspec.Struct, frozen=True):
    """The answer to a command that was carried out, or that changed nothing because it was so already."""

    id: Annotated[str, Meta(description="The id of what the command made or changed.")]
    position: Position
    version: Version
    decided: Events
    occurrences: Annotated[
        list[Occurrence] | None, Meta(description="Only of a recurring booking: its occurrences, in order.")
    ] = None
    series: Annotated[Series | None, Meta(description="Only of a recurring booking: the booking as a whole.")] = None


class Nearest(msgspec.Struct, frozen=True):
    """Two UTC instants."""

    start: Annotated[str, Meta(description="The first hour.")]
    end: Annotated[str, Meta(description="The end. It is not included.")]


class Previewed(msgspec.Struct, frozen=True):
    """The answer to a dry run."""

    dry_run: Annotated[bool, Meta(description="Always true.")]
    accepted: Annotated[bool, Meta(description="Whether the command would be carried out.")]
    position: Annotated[int, Meta(description="The position of the newest event that the decision knew.")]
    version: Version
    decided: Annotated[list[Event], Meta(description="The events that the command would make.")]
    problem: Annotated[Problem | None, Meta(description="Why it would be refused; null if it would not.")]
    nearest: Annotated[
        Nearest | None,
        Meta(
            description="If there is too little capacity: the nearest period of the same length in which there is"
            " enough. Null if there is none, or if the command is refused for another reason."
        ),
    ]


def respond(result: CommandResult, *, recurs: bool) -> EncodedResponse[Outcome]:
    """The answer to a command. `recurs`: it books a series, so that its answer lists the occurrences."""
    if result.first is not None:
        return kept_response(result.first)
    head, tail = body_around_position(result.entity, result.version, result.decided)
    more = series_members(result.decided) if recurs and result.decided else b""
    body = b"%b%d%b%b}" % (head, result.position, tail, more)
    if result.repeated:
        return EncodedResponse(body, headers=REPEATED)
    return EncodedResponse(body, status_code=201 if result.decided else 200)


def previewed(result: CommandResult) -> EncodedResponse[Outcome]:
    """The answer to a dry run."""
    problem = None if result.refusal is None else msgspec.Raw(problem_body(result.refusal))
    body = {
        "dry_run": True,
        "accepted": result.refusal is None,
        "position": result.position,
        "version": result.version,
        "decided": [msgspec.Raw(event) for event in result.decided],
        "problem": problem,
        "nearest": _span(result.nearest),
    }
    return EncodedResponse(msgspec.json.encode(body))


def _span(period: Period | None) -> dict[str, str] | None:
    return None if period is None else {"start": iso(period.start), "end": iso(period.end)}


def series_members(decided: Sequence[bytes]) -> bytes:
    """The members `occurrences` and `series` of the answer that `decided`, the events of a recurring booking, made.

    Raises ValueError if they are not the events of one.
    """
    booked, skipped = list[Occurrence](), list[Occurrence]()
    series: UUID | None = None
    for event in map(decode_event, decided):
        if isinstance(event, SeriesCreated):
            series = event.series
            skipped += [Occurrence(one.start, one.end, None, one.why) for one in event.skipped]
        elif isinstance(event, BookingCreated):
            booked.append(Occurrence(event.start, event.end, event.booking, None))
    if series is None:
        raise ValueError("the events make no series")
    occurrences = sorted(booked + skipped, key=lambda one: (one.start, one.end))
    whole = f"/bookings/series/{series}"
    links = Series(str(series), f"{whole}/amend", f"{whole}/cancel")
    return b',"occurrences":%b,"series":%b' % (msgspec.json.encode(occurrences), msgspec.json.encode(links))
