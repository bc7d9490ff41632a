"""The spans of what the relay publishes, and the traces that it tells to others. Made only where traces are on."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.event_store import Stored
from shared.jetstream import STREAM
from shared.traced_positions import TOLD_MAX, Noted, TracedPositions, heard, told

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from shared.opentelemetry import Traces


class RelayTraces:
    """Knows the traces of what this process has appended, and of what others have told with the doorbell."""

    def __init__(self, traces: Traces) -> None:
        self._traces, self._positions = traces, TracedPositions()
        self._untold: deque[Noted] = deque(maxlen=TOLD_MAX)

    def stored(self, noted: Noted) -> None:
        """This process has stored the events of a command."""
        self._positions.note(noted)
        self._untold.append(noted)

    def doorbell(self) -> bytes:
        """What to tell the relay that leads: what has been stored since the last call."""
        untold = told(self._untold)
        self._untold.clear()
        return untold

    def rung(self, body: bytes) -> None:
        """Another process has rung the doorbell."""
        for noted in heard(body):
            self._positions.note(noted)

    def news(self, events: Sequence[Stored]) -> bytes:
        """What to tell the projectors with these events, which are in order."""
        return told(self._positions.between(events[0].position, events[-1].position))

    @contextlib.contextmanager
    def publishing(self, events: Sequence[Stored]) -> Iterator[Mapping[int, Mapping[str, str]]]:
        """A span for each traced command of a batch while it is published. Yields the headers that say so in the
        messages, by position."""
        spans: list[Span] = []
        headers: dict[int, Mapping[str, str]] = {}
        for noted in self._positions.between(events[0].position, events[-1].position):
            if (parent := self._traces.parse(noted.traceparent)) is not None:
                span = self._traces.begin(f"publish {STREAM}", parent, "producer", published(noted))
                spans.append(span)
                carried = self._traces.headers(span.get_span_context())
                named = {**carried, **{f"ce-{name}": value for name, value in carried.items()}}
                headers |= dict.fromkeys(range(noted.first, noted.last + 1), named)
        try:
            yield headers
        except Exception as error:
            for span in spans:
                self._traces.failed(span, type(error).__name__)
            raise
        finally:
            for span in spans:
                span.end()


def published(noted: Noted) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": STREAM,
        "messaging.batch.message_count": noted.last - noted.first + 1,
        "hourbook.position": noted.last,
    }
