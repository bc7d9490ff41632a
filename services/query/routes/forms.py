"""The forms of the answers: their media types, and what a route says of its own."""

from __future__ import annotations

from typing import Any

from shared.http.answers import EVENT_STREAM, Answers

CALENDAR = "text/calendar"  # UTF-8, which the response's header says
CSV = "text/csv"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"


def in_json(*types: Any, also: tuple[str, ...] = (), errors: tuple[int, ...] = ()) -> Answers:
    """A JSON document of one of these types. `also` are the media types that a client may prefer to JSON, `errors` the
    statuses of errors that other reads do not have."""
    return Answers(types, also, errors=errors)


def live(event: Any) -> Answers:
    """Server-sent events. `event` is the type of their `data`."""
    return Answers((), (EVENT_STREAM,), event)


def only(media_type: str) -> Answers:
    """A text of this media type."""
    return Answers((), (media_type,))
