"""A batch of stored events, with the events of bookings by columns. For readers of many events.

Most events create or cancel a booking. They are decoded into small structs, of which each column is made for all of
them at once (`booking_columns.py`). All other events are decoded as everywhere, in full. So is every event that is not
in the form in which Hourbook stores it now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, Union

import msgspec
import numpy as np

from shared.capacity import Vector
from shared.events.booking_columns import (
    NONE,
    THIN,
    BookingColumns,
    Booleans,
    Repeated,
    ThinCancelled,
    ThinCreated,
    columns_of,
    joined,
)
from shared.events.model import EVENT_TYPES, Event, decode_event, decode_events

__all__ = [
    "CHUNK",
    "BookingColumns",
    "Booleans",
    "EventBatch",
    "JoinedEvents",
    "Repeated",
    "decode_batch",
    "decode_chunks",
]

CHUNK = 2000  # events that are decoded at a time: their memory stays in the processor's cache
COLUMNS_MIN = 24  # for fewer events, columns take longer than the events one by one


class EventBatch(NamedTuple):
    """`length` events. Each is in one of the three parts.

    others   place and event of all that are not in the other two parts, in their order
    created  bookings that were created
    ended    bookings that were cancelled; `ended_rows` is the row of each in `created`, -1 if an earlier batch made it

    A booking of `created` or `ended` has no other event in the batch: it is created, or cancelled, or created and then
    cancelled. So the two parts may be applied after `others`. But `others` may create a pool that an event before it
    names.
    """

    length: int
    others: list[tuple[int, Event]]
    created: BookingColumns
    ended: BookingColumns
    ended_rows: Vector


class JoinedEvents(Sequence[bytes]):
    """`length` stored events as one text, with a comma between two of them. The store gives them in less time so."""

    def __init__(self, text: bytes, length: int) -> None:
        self.text, self._length = text, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: Any) -> Any:
        """The stored bytes of one event, or of some. Raises ValueError if the text has more or fewer events."""
        return self._parts[place]

    @cached_property
    def _parts(self) -> list[bytes]:
        parts = [bytes(part) for part in _parts.decode(b"[" + self.text + b"]")]
        if len(parts) != self._length:
            raise ValueError(f"{self._length} stored events read as {len(parts)}")
        return parts


def decode_batch(stored: Sequence[bytes]) -> EventBatch:
    """The events of these stored bytes. Raises as `decode_events` does."""
    if len(stored) < COLUMNS_MIN:
        return EventBatch(len(stored), list(enumerate(decode_events(stored))), NONE, NONE, NONE.places)
    return decode_chunks([stored[at : at + CHUNK] for at in range(0, len(stored), CHUNK)])


def decode_chunks(stored: Sequence[Sequence[bytes]]) -> EventBatch:
    """As `decode_batch`, of chunks of about CHUNK events. Raises ValueError too: two events are stored as one."""
    firsts = [0, *accumulate(map(len, stored))]
    chunks = [_decode_chunk(chunk, first) for chunk, first in zip(stored, firsts, strict=False)]
    created, cancelled = joined([chunk[0] for chunk in chunks]), joined([chunk[1] for chunk in chunks])
    others = [one for chunk in chunks for one in chunk[2]]
    named = {event.booking.bytes for _, event in others if type(event) in OF_BOOKINGS}  # type: ignore[union-attr]
    made, gone = created.names(), cancelled.names()
    if tangled := _tangled(created, cancelled, made, gone, named):
        (created, places), (cancelled, more) = _without(created, made, tangled), _without(cancelled, gone, tangled)
        for place in (*places, *more):
            chunk = bisect_right(firsts, place) - 1
            others.append((place, decode_event(stored[chunk][place - firsts[chunk]])))
        others.sort(key=itemgetter(0))
        made, gone = created.names(), cancelled.names()
    row_of = dict(zip(made, range(len(made)), strict=True)) if gone else {}
    rows = np.array([row_of.get(name, -1) for name in gone], dtype=np.int64)
    return EventBatch(firsts[-1], others, created, cancelled, rows)


def _without(part: BookingColumns, names: list[bytes], tangled: set[bytes]) -> tuple[BookingColumns, list[int]]:
    """(The columns without these bookings, the places of their events.)"""
    stays = np.array([name not in tangled for name in names], dtype=bool)
    return part.only(stays), part.places[~stays].tolist()


def _tangled(
    created: BookingColumns, cancelled: BookingColumns, made: list[bytes], gone: list[bytes], others: set[bytes]
) -> set[bytes]:
    """The bookings that have other events in the batch than one that creates them, one that cancels them, or both in
    this order. `others` are the bookings of all other events."""
    tangled = others & {*made, *gone} if others else set()
    for names in (made, gone):
        if len(set(names)) < len(names):
            tangled |= {name for name, times in Counter(names).items() if times > 1}
    if gone:
        first = dict(zip(made, created.places.tolist(), strict=True))
        ended = zip(gone, cancelled.places.tolist(), strict=True)
        tangled |= {name for name, place in ended if first.get(name, -1) > place}
    return tangled


OF_BOOKINGS = {kind for kind in EVENT_TYPES if "booking" in kind.__struct_fields__}


_KINDS: Any = Union[tuple(THIN.get(kind, kind) for kind in EVENT_TYPES)]  # noqa: UP007
_one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_KINDS)
_parts: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[_KINDS])


def _decode_chunk(
    stored: Sequence[bytes], first: int
) -> tuple[BookingColumns, BookingColumns, list[tuple[int, Event]]]:
    """(Created bookings, cancelled ones, the place and the event of all others.) `first` is the place of the first."""
    events = _decode(stored)
    kinds = list(map(type, events))
    created = columns_of(*_of_kind(ThinCreated, events, kinds))
    cancelled = columns_of(*_of_kind(ThinCancelled, events, kinds)) if ThinCancelled in kinds else NONE
    others: list[tuple[int, Event]] = []
    if created.rows + cancelled.rows < len(stored):
        rest = np.ones(len(stored), dtype=bool)
        rest[created.places] = rest[cancelled.places] = False
        thin = (ThinCreated, ThinCancelled)
        others = [
            (first + place, decode_event(stored[place]) if kinds[place] in thin else events[place])
            for place in np.flatnonzero(rest).tolist()
        ]
    return _later(created, first), _later(cancelled, first), others


def _later(part: BookingColumns, places: int) -> BookingColumns:
    return msgspec.structs.replace(part, places=part.places + places) if places else part


def _decode(stored: Sequence[bytes]) -> list[Any]:
    """The events: those of bookings thin, all others in full."""
    try:
        text = stored.text if isinstance(stored, JoinedEvents) else b",".join(stored)
        events = _many.decode(b"[" + text + b"]")
    except msgspec.ValidationError:
        return [_decode_one(data) for data in stored]
    if len(events) != len(stored):  # somebody stored two events as one
        return [decode_event(data) for data in stored]
    return events


def _decode_one(stored: bytes) -> Any:
    try:
        return _one.decode(stored)
    except msgspec.ValidationError:  # an older version, or no event: the full classes convert it, or say what is wrong
        return decode_event(stored)


def _of_kind(kind: type[Any], events: list[Any], kinds: list[type[Any]]) -> tuple[Vector, list[Any]]:
    places = [place for place, one in enumerate(kinds) if one is kind]
    chosen = events if len(places) == len(events) else [events[place] for place in places]
    return np.array(places, dtype=np.int64), chosen
