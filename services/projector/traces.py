"""The spans of events that become visible. Made only where traces are on.

The projector reads the events from the store, which knows no trace. The relay's news tell the traces. They may come
before the events are folded or after it, so both are kept for a while.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared.traced_positions import Batch, Batches, Noted, TracedPositions, heard

if TYPE_CHECKING:
    from shared.opentelemetry import Traces


class FoldTraces:
    """`heard` for each message of the relay, `folded` for each batch."""

    def __init__(self, traces: Traces) -> None:
        self._traces, self._waiting = traces, TracedPositions()
        self._batches = Batches()

    def heard(self, body: bytes) -> None:
        for noted in heard(body):
            self._waiting.note(noted)
        self._note_visible(self._waiting.take_up_to(self._batches.last))

    def folded(self, position: int, count: int, began_ns: int) -> None:
        """A batch of `count` events up to `position` is visible now."""
        self._batches.add(Batch(position - count + 1, position, began_ns, time.time_ns()))
        self._note_visible(self._waiting.take_up_to(position))

    def _note_visible(self, noted: list[Noted]) -> None:
        """The span `visible`, from the append until the live generation has the events, and `fold` in it. What another
        process has folded is left out: that one notes it."""
        for one in noted:
            batch = self._batches.holding(one.last)
            parent = self._traces.parse(one.traceparent)
            if batch is not None and parent is not None:
                attributes = {"hourbook.position": one.last}
                visible = self._traces.record("visible", parent, one.stored_ns, batch.ended_ns, attributes)
                batched = {"hourbook.events": batch.last - batch.first + 1}
                self._traces.record("fold", visible, batch.began_ns, batch.ended_ns, batched)
