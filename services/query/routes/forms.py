"""The forms of the answers: their media types, and what a route says of its own."""

from __future__ import annotations

from typing import Any

from shared.http.answers import EVENT_STREAM, Answers

CALENDAR = "text/calendar"  # UTF-8, which the response's header says
CSV = "text/csv"
NDJSON = "application/x-ndjson"
TEXT = "text/plain"


def in_json(*types: Any, also: tuple[str, ...] = ()) -> Answers:
    """A JSON document of one of these types. `also` are the media types that a client may prefer to JSON."""
    return Answers(types, also)


def live(event: Any) -> Answers:
    """Server-sent events. `event` is the type of their `data`."""
    return Answers((), (EVENT_STREAM,), event)


def only(media_type: str) -> Answers:
    """A text of this media type."""
    return Answers((), (media_type,))
