"""The spans of commands: how long one waited, and the append that it was a part of. Made only where traces are on.

One append is for many requests. Its span is inside of the first request's trace and links to all of them. Each request
has a span of its own for its part, which links to the append.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from services.command.handler.deciding import DecidedBatch, Decision
from services.command.handler.queue import Submitted, Waiting
from shared.traced_positions import Noted

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from shared.opentelemetry import Traces


class BatchTraces:
    """`on_stored` is told the trace of each command whose events are stored."""

    def __init__(self, traces: Traces, on_stored: Callable[[Noted], None]) -> None:
        self._traces, self._on_stored = traces, on_stored

    def waiting(self) -> Waiting | None:
        """What a command takes into the queue; None if its request has no trace that is kept."""
        parent = self._traces.present()
        return None if parent is None else Waiting(parent, time.time_ns())

    def taken(self, batch: list[Submitted]) -> None:
        """The turn of these commands has come."""
        now = time.time_ns()
        for submitted in batch:
            if (waiting := submitted.waiting) is not None:
                waiting.taken_ns = now
                self._traces.record("queue", waiting.parent, waiting.since_ns, now)

    async def append(self, decided: DecidedBatch, append: Callable[[], Awaitable[int | None]], head: int) -> int | None:
        """Calls `append` and returns its answer, the first position, inside of a span. `head` is the position before
        it."""
        parents = [one.submitted.waiting.parent for one in decided.decisions if one.submitted.waiting is not None]
        if not parents:
            return await append()
        commands, events = len(decided.decisions), sum(len(one.events) for one in decided.decisions)
        attributes = {"hourbook.commands": commands, "hourbook.events": events}
        span = self._traces.begin("group commit", parents[0], attributes=attributes, links=parents)
        with self._traces.during(span):
            first = await append()
        if first is not None:
            self._note_parts(decided.decisions, first or head + 1, span.get_span_context())
        return first

    def _note_parts(self, decisions: list[Decision], first: int, commit: SpanContext) -> None:
        """A span for the part of each request. `first` is the position of the batch's first event."""
        now = time.time_ns()
        for one in decisions:
            last = first + len(one.events) - 1
            if (waiting := one.submitted.waiting) is not None:
                attributes: dict[str, str | int] = {"hourbook.events": len(one.events)}
                if one.refusal is not None:
                    attributes["hourbook.refusal"] = one.refusal.code
                if one.events:
                    attributes["hourbook.position"] = last
                part = self._traces.record("append", waiting.parent, waiting.taken_ns, now, attributes, [commit])
                if one.events:
                    self._on_stored(Noted(first, last, self._traces.headers(part)["traceparent"], now))
            first = last + 1
