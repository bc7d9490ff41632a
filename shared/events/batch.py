"""A batch of stored events, with the events of bookings by columns. For readers of many events.

Most events create or end a booking. They are decoded into small structs: ids and hours stay texts, a capacity stays
JSON. Their columns are made for all of them at once. All other events are decoded as everywhere, in full. So is every
event that is not in the form in which Hourbook stores it now.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Union
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from shared.capacity import DIMENSIONS, Capacity, Vector
from shared.events.model import (
    EVENT_TYPES,
    BookingCancelled,
    BookingCreated,
    BookingLapsed,
    Event,
    decode_event,
    decode_events,
)
from shared.events.parts import BasisPoints, FromTemplate
from shared.events.upcasting import FirstVersion
from shared.hours import hour_of

Bytes = npt.NDArray[np.uint8]


class ThinEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """The fields of an event that creates or ends a booking, as they are stored. `at` is decoded, so that it is
    checked. What the other fields say is checked with their columns."""

    at: datetime
    actor: str
    command: str
    project: str
    reason: str | None = None
    schema: FirstVersion = 1
    auth: Literal["oidc", "keystone", "token"] | None = None


class ThinCreated(ThinEvent, frozen=True, kw_only=True, gc=False, tag="BookingCreated"):
    booking: str
    pool: str
    account: str
    start: str
    end: str
    capacity: msgspec.Raw = msgspec.Raw(b"{}")
    share: BasisPoints = 0
    template: FromTemplate | None = None
    tentative: bool = False
    series: UUID | None = None


class ThinCancelled(ThinEvent, frozen=True, kw_only=True, gc=False, tag="BookingCancelled"):
    booking: str
    pool: str
    start: str
    end: str
    capacity: msgspec.Raw = msgspec.Raw(b"{}")
    share: BasisPoints = 0


class ThinLapsed(ThinCancelled, frozen=True, kw_only=True, gc=False, tag="BookingLapsed"):
    """As ThinCancelled."""


class CreatedBookings(NamedTuple):
    """BookingCreated events by columns, in their order: n events.

    places     their places in the batch, ascending; the first event of a batch has place 0
    bookings   ids as texts; `ids` has the same ids as bytes, shape (n, 16)
    starts     hours, as `ends`
    counts     shape (n, 6), in the order of DIMENSIONS
    shares     basis points
    events     the events themselves, for the other fields
    """

    places: Vector
    bookings: list[str]
    ids: Bytes
    pools: list[str]
    starts: Vector
    ends: Vector
    counts: Vector
    shares: Vector
    actors: list[str]
    accounts: list[str]
    events: list[ThinCreated]


class EndedBookings(NamedTuple):
    """BookingCancelled and BookingLapsed events by columns, in their order. Columns as in CreatedBookings.

    created  where the booking is in the batch's CreatedBookings; -1 if an earlier batch created it
    """

    places: Vector
    bookings: list[str]
    ids: Bytes
    pools: list[str]
    starts: Vector
    ends: Vector
    counts: Vector
    shares: Vector
    created: Vector
    events: list[ThinCancelled]


class EventBatch(NamedTuple):
    """`length` events. Each is in one of the three parts.

    A booking whose events are in `created` or `ended` has no other event in the batch: it is created once, or ended
    once, or created and then ended. So the two parts may be applied in any order after `others`, which has the place
    and the event of all others, in their order. A pool may be created in `others` after an event that names it.
    """

    length: int
    others: list[tuple[int, Event]]
    created: CreatedBookings
    ended: EndedBookings


_KINDS: Any = Union[
    (
        ThinCreated,
        ThinCancelled,
        ThinLapsed,
        *(kind for kind in EVENT_TYPES if kind not in (BookingCreated, BookingCancelled, BookingLapsed)),
    )
]
THIN = ThinCreated, ThinCancelled  # the latter has ThinLapsed within it
ENDINGS = {ThinCancelled, ThinLapsed}
OF_BOOKINGS = {kind for kind in EVENT_TYPES if "booking" in kind.__struct_fields__}
_one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_KINDS)
_many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[_KINDS])
_capacity = msgspec.json.Decoder(Capacity)


COLUMNS_MIN = 24  # for fewer events, columns take longer than the events one by one


def decode_batch(stored: Sequence[bytes]) -> EventBatch:
    """The events of these stored bytes. Raises as `decode_events` does."""
    if len(stored) < COLUMNS_MIN:
        return EventBatch(len(stored), list(enumerate(decode_events(stored))), NONE_CREATED, NONE_ENDED)
    events = _decode(stored)
    try:
        return _parts(stored, events, _tangled(events))
    except _Unusual:
        for place, event in enumerate(events):
            if isinstance(event, THIN) and _is_unusual(event):
                events[place] = decode_event(stored[place])
        return _parts(stored, events, _tangled(events))


def _decode(stored: Sequence[bytes]) -> list[Any]:
    """The events: those of bookings thin, all others in full."""
    try:
        events = _many.decode(b"[" + b",".join(stored) + b"]")
    except msgspec.ValidationError:
        return [_decode_one(data) for data in stored]
    return events if len(events) == len(stored) else [decode_event(data) for data in stored]


def _decode_one(stored: bytes) -> Any:
    try:
        return _one.decode(stored)
    except msgspec.ValidationError:  # an older version, or no event: the full classes convert it, or say what is wrong
        return decode_event(stored)


def _tangled(events: Sequence[Any]) -> set[int]:
    """The places of the thin events of each booking that has other events in the batch than one that creates it, one
    that ends it, or both in this order."""
    kinds = set(map(type, events))
    created = [event.booking for event in events if type(event) is ThinCreated]
    if kinds <= {ThinCreated} and len(set(created)) == len(created):
        return set()
    ended = [event.booking for event in events if type(event) in ENDINGS]
    others = {str(event.booking) for event in events if type(event) in OF_BOOKINGS}
    tangled = _repeated(created) | _repeated(ended) | others
    if ended:
        first = {event.booking: place for place, event in enumerate(events) if type(event) is ThinCreated}
        gone = [(place, event.booking) for place, event in enumerate(events) if type(event) in ENDINGS]
        tangled |= {booking for place, booking in gone if first.get(booking, -1) > place}
    if not tangled:
        return set()
    return {place for place, event in enumerate(events) if isinstance(event, THIN) and event.booking in tangled}


def _repeated(bookings: Sequence[str]) -> set[str]:
    if len(set(bookings)) == len(bookings):
        return set()
    return {booking for booking, count in Counter(bookings).items() if count > 1}


def _parts(stored: Sequence[bytes], events: Sequence[Any], full: set[int]) -> EventBatch:
    """The parts of the batch. The events at the places `full` are decoded in full. Raises _Unusual."""
    kinds = set(map(type, events))
    created = [place for place, event in enumerate(events) if type(event) is ThinCreated]
    ended = [place for place, event in enumerate(events) if type(event) in ENDINGS] if kinds & ENDINGS else []
    if full:
        created, ended = [[place for place in places if place not in full] for places in (created, ended)]
    others: list[tuple[int, Event]] = []
    if len(created) + len(ended) < len(events):
        thin = {*created, *ended}
        rest = [place for place in range(len(events)) if place not in thin]
        others = [(place, decode_event(stored[place]) if place in full else events[place]) for place in rest]
    return EventBatch(len(stored), others, *_bookings(events, created, ended))


def _bookings(
    events: Sequence[Any], created: Sequence[int], ended: Sequence[int]
) -> tuple[CreatedBookings, EndedBookings]:
    """The columns of the events at these places. Raises _Unusual."""
    made = _created(created, [events[place] for place in created]) if created else NONE_CREATED
    return made, _ended(ended, [events[place] for place in ended], made) if ended else NONE_ENDED


def _created(places: Sequence[int], events: list[ThinCreated]) -> CreatedBookings:
    return CreatedBookings(
        **_columns(places, events),
        actors=[event.actor for event in events],
        accounts=[event.account for event in events],
        events=events,
    )


def _ended(places: Sequence[int], events: list[ThinCancelled], made: CreatedBookings) -> EndedBookings:
    index = dict(zip(made.bookings, range(len(made.bookings)), strict=True)) if events else {}
    created = np.array([index.get(event.booking, -1) for event in events], dtype=np.int64)
    return EndedBookings(**_columns(places, events), created=created, events=events)


def _columns(places: Sequence[int], events: Sequence[ThinCreated | ThinCancelled]) -> dict[str, Any]:
    """The columns of both parts. Raises _Unusual."""
    bookings = [event.booking for event in events]
    ids = _ids([*bookings, *(event.command for event in events)])[: len(bookings)]
    return {
        "places": np.array(places, dtype=np.int64),
        "bookings": bookings,
        "ids": ids,
        "pools": [event.pool for event in events],
        "starts": np.array([_hour(event.start) for event in events], dtype=np.int64),
        "ends": np.array([_hour(event.end) for event in events], dtype=np.int64),
        "counts": _counts([event.capacity for event in events]),
        "shares": np.array([event.share for event in events], dtype=np.int64),
    }


class _Unusual(Exception):
    """Some event is not in the form in which Hourbook stores it now. The full classes may still decode it."""


def _is_unusual(event: ThinCreated | ThinCancelled) -> bool:
    try:
        _columns([0], [event])
    except _Unusual:
        return True
    return False


DASHES = [8, 13, 18, 23]
DIGITS = [place for place in range(36) if place not in DASHES]
NO_DIGIT = 255
VALUES = np.full(256, NO_DIGIT, dtype=np.uint8)  # of each hexadecimal digit
VALUES[list(b"0123456789abcdef")] = range(16)


def _ids(texts: Sequence[str]) -> Bytes:
    """The ids as bytes, shape (n, 16). Raises _Unusual for a text that is not 8-4-4-4-12 small hexadecimal digits."""
    joined = "".join(texts)
    if set(map(len, texts)) - {36} or not joined.isascii():
        raise _Unusual
    letters = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(-1, 36)
    values = VALUES[letters[:, DIGITS]]
    if (letters[:, DASHES] != ord("-")).any() or (values == NO_DIGIT).any():
        raise _Unusual
    return values[:, ::2] * np.uint8(16) + values[:, 1::2]


WHOLE_HOUR = re.compile(r"\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):00:00Z", re.ASCII)


@lru_cache(maxsize=100_000)  # the hours of eleven years
def _hour(text: str) -> int:
    """The hour of an instant. Raises _Unusual for a text that is not a whole UTC hour as Hourbook writes it."""
    if not WHOLE_HOUR.fullmatch(text):
        raise _Unusual
    try:
        return hour_of(datetime.fromisoformat(text))
    except ValueError:
        raise _Unusual from None


def _counts(stored: Sequence[msgspec.Raw]) -> Vector:
    """The counts of these capacities, shape (n, 6). Raises _Unusual for what is no capacity."""
    texts = [bytes(capacity) for capacity in stored]
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    try:
        table = [_capacity.decode(capacity).counts() for capacity in rows]
    except msgspec.DecodeError:
        raise _Unusual from None
    return np.array(table, dtype=np.int64).reshape(-1, len(DIMENSIONS))[[rows[text] for text in texts]]


NONE_CREATED = _created([], [])
NONE_ENDED = _ended([], [], NONE_CREATED)
