"""The newest events that this process has appended. The relay takes them from here, and need not read them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from uuid import UUID

from shared.event_store import Pending, Stored


class JustAppended:
    """Events in order of position, without a gap: `most` at most, which is a few megabytes.

    Events that another process has appended are not here. When there would be more than `most`, all before leave. The
    relay reads both from the store.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: deque[Pending] = deque()
        self._next = 0  # the position after that of the last event
        self._term: UUID | None = None

    def add(self, term: UUID | None, first_position: int, events: Sequence[Pending]) -> None:
        """Adds what was appended to the store of this term. Forgets all before if these do not follow them."""
        if term != self._term or first_position != self._next or len(self._events) + len(events) > self._most:
            self._events.clear()
        self._term, self._next = term, first_position + len(events)
        self._events.extend(events)

    def after(self, position: int, count_max: int, term: UUID | None) -> list[Stored]:
        """The events after this position of the store of this term, `count_max` at most. They leave. Empty if they are
        not here."""
        first = self._next - len(self._events)
        while self._events and first <= position:
            self._events.popleft()
            first += 1
        if term != self._term or first != position + 1:
            return []
        taken = [self._events.popleft() for _ in range(min(count_max, len(self._events)))]
        return [stored_at(place, event) for place, event in enumerate(taken, first)]


def stored_at(position: int, event: Pending) -> Stored:
    return Stored(
        position,
        event.stream,
        event.version,
        event.command_id,
        event.request_id,
        event.request_hash,
        event.type,
        event.data,
        event.ordinal,
    )
