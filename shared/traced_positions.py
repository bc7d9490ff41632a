"""Which trace an event belongs to: kept in memory for a while. No stored byte and no column says so.

The command service notes it after each append. It tells it in two messages that it sends anyway: the doorbell, to the
relay of another process, and the news, to the projectors. Such a message may come after the events were published or
folded, so spans are made then too. Where it is lost or a process ends, the spans of those positions are missing from
their traces; nothing else is.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

NOTED_MAX = 10_000
BATCHES_MAX = 1000
TOLD_MAX = 1000  # in one message: 100 KB

Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """A command whose events are `first` to `last`, stored at `stored_ns` (nanoseconds since 1970). `traceparent` names
    the span of its append."""

    first: Positive
    last: Positive
    traceparent: Annotated[str, Meta(max_length=55)]
    stored_ns: Positive


_message: msgspec.json.Decoder[list[Noted]] = msgspec.json.Decoder(Annotated[list[Noted], Meta(max_length=TOLD_MAX)])


class TracedPositions:
    """The newest NOTED_MAX commands that have a trace, in order of position. One that is told again counts once."""

    def __init__(self) -> None:
        self._noted: list[Noted] = []
        self._known: dict[Noted, None] = {}  # in the order in which they came; those that were taken too

    def note(self, noted: Noted) -> None:
        if noted in self._known:
            return
        self._known[noted] = None
        if len(self._known) > 2 * NOTED_MAX:
            del self._known[next(iter(self._known))]
        insort(self._noted, noted, key=_last_of)
        if len(self._noted) > NOTED_MAX:
            del self._noted[: NOTED_MAX // 10]

    def between(self, first: int, last: int) -> list[Noted]:
        """The commands with an event at these positions."""
        found = []
        for noted in self._noted[bisect_left(self._noted, first, key=_last_of) :]:
            if noted.first > last:
                break
            found.append(noted)
        return found

    def take_up_to(self, position: int) -> list[Noted]:
        """Removes and returns the commands whose events are all at `position` or before it."""
        end = bisect_left(self._noted, position + 1, key=_last_of)
        taken, self._noted = self._noted[:end], self._noted[end:]
        return taken


class Batch(NamedTuple):
    """Events that were published or folded together: their positions, and when that began and ended."""

    first: int
    last: int
    began_ns: int
    ended_ns: int


class Batches:
    """The newest BATCHES_MAX batches: a trace may be told after its events are done."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque(maxlen=BATCHES_MAX)

    @property
    def newest(self) -> Batch:
        """Raises IndexError before there is one."""
        return self._batches[-1]

    @property
    def last(self) -> int:
        """The last position of the newest batch; 0 before there is one."""
        return self.newest.last if self._batches else 0

    def add(self, batch: Batch) -> None:
        self._batches.append(batch)

    def holding(self, position: int) -> Batch | None:
        return next((batch for batch in reversed(self._batches) if batch.first <= position <= batch.last), None)


def told(noted: Iterable[Noted]) -> bytes:
    """The body of a message that tells of these commands, of TOLD_MAX at most; empty for none."""
    some = list(noted)[-TOLD_MAX:]
    return msgspec.json.encode(some) if some else b""


def heard(body: bytes) -> list[Noted]:
    """What a message tells; nothing if it is not of this form. Whoever may ring the doorbell may have sent it, so
    nothing but spans is made of it."""
    if not body:
        return []
    try:
        return _message.decode(body)
    except msgspec.MsgspecError:
        return []


def _last_of(noted: Noted) -> int:
    return noted.last
