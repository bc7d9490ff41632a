"""The spans of what the relay publishes, and the traces that it tells to others. Made only where traces are on."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.event_store import Stored
from shared.jetstream import STREAM
from shared.traced_positions import TOLD_MAX, Batch, Batches, Noted, TracedPositions, heard, told

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from shared.opentelemetry import Traces


class RelayTraces:
    """Knows the traces of what this process has appended, and of what others have told with the doorbell."""

    def __init__(self, traces: Traces) -> None:
        self._traces, self._positions = traces, TracedPositions()
        self._untold: deque[Noted] = deque(maxlen=TOLD_MAX)
        self._batches = Batches()
        self._in_news: dict[Noted, None] = {}  # of the batch that is published, in order

    def stored(self, noted: Noted) -> None:
        """This process has stored the events of a command."""
        self._positions.note(noted)
        self._untold.append(noted)

    def doorbell(self) -> bytes:
        """What to tell the relay that leads: what has been stored since the last call."""
        untold = told(self._untold)
        self._untold.clear()
        return untold

    @property
    def has_untold(self) -> bool:
        return bool(self._untold)

    def rung(self, body: bytes) -> bytes:
        """Another process has rung the doorbell. Returns what to tell the projectors: the traces of what this relay has
        published before it knew of them."""
        late = []
        for noted in heard(body):
            self._positions.note(noted)
            if (batch := self._batches.holding(noted.last)) is not None:
                late.append(noted)
                self._note_published(noted, batch)
        return told(late)

    def news(self, events: Sequence[Stored]) -> bytes:
        """What to tell the projectors with these events, which are in order. The relay of this process leads, so nobody
        else needs to be told."""
        self._untold.clear()
        self._in_news = dict.fromkeys(self._positions.between(events[0].position, events[-1].position))
        return told(self._in_news)

    def late_news(self) -> bytes:
        """What to tell the projectors when a batch is published: the traces that came since its news."""
        batch = self._batches.newest
        late = [noted for noted in self._positions.between(batch.first, batch.last) if noted not in self._in_news]
        for noted in late:
            self._note_published(noted, batch)
        return told(late)

    @contextlib.contextmanager
    def publishing(self, events: Sequence[Stored]) -> Iterator[Mapping[int, Mapping[str, str]]]:
        """A span for each command in the news of a batch while it is published. Yields the headers that say so in the
        messages, by position."""
        spans: list[Span] = []
        headers: dict[int, Mapping[str, str]] = {}
        first, last, began_ns = events[0].position, events[-1].position, time.time_ns()
        for noted in self._in_news:
            if (span := self._begin(noted, began_ns)) is not None:
                spans.append(span)
                carried = self._traces.headers(span.get_span_context())
                named = {**carried, **{f"ce-{name}": value for name, value in carried.items()}}
                headers |= dict.fromkeys(range(noted.first, noted.last + 1), named)
        try:
            yield headers
            self._batches.add(Batch(first, last, began_ns, time.time_ns()))
        except Exception as error:
            for span in spans:
                self._traces.failed(span, type(error).__name__)
            raise
        finally:
            for span in spans:
                span.end()

    def _note_published(self, noted: Noted, batch: Batch) -> None:
        """Makes the span of a command whose batch is published already."""
        if (span := self._begin(noted, batch.began_ns)) is not None:
            span.end(batch.ended_ns)

    def _begin(self, noted: Noted, began_ns: int) -> Span | None:
        parent = self._traces.parse(noted.traceparent)
        if parent is None:
            return None
        return self._traces.begin(f"publish {STREAM}", parent, "producer", published(noted), began_ns=began_ns)


def published(noted: Noted) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": STREAM,
        "messaging.batch.message_count": noted.last - noted.first + 1,
        "hourbook.position": noted.last,
    }
