"""Which answers a route gives: the types of its JSON, and its other forms. The OpenAPI document is made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

ANSWERS = "answers"  # the key in the `opt` of a route
ERROR_PAGES = "error_pages"  # the same: true where a browser gets an error as a page
JSON, EVENT_STREAM = "application/json", "text/event-stream"


class Answers(NamedTuple):
    """The answer to a request that succeeds. `types` are those of the JSON document, one of them at a time; none: there
    is no JSON. `event` is the type of the `data` of a server-sent event. `also` are the media types of the other
    forms."""

    types: tuple[Any, ...] = ()
    also: tuple[str, ...] = ()
    event: Any = None
    errors: tuple[int, ...] = ()

    @property
    def media_type(self) -> str:
        """The media type of the answer where a client asks for none."""
        return JSON if self.types else self.also[0]
