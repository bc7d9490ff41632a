"""Events of a batch by columns say what the same events say in full, and what cannot be read has the same error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from shared.capacity import capacity_of
from shared.events import (
    BookingCancelled,
    BookingCreated,
    BookingLapsed,
    Event,
    decode_event,
    decode_events,
    encode_event,
)
from shared.events.batch import BookingColumns, EventBatch, JoinedEvents, decode_batch, decode_chunks
from shared.events.booking_columns import THIN
from shared.events.upcasting import name_of, version_of
from shared.hours import instant_of
from tests.support.histories import history
from tests.unit.specimens import EVERY_FIELD, REQUIRED_FIELDS


@pytest.fixture(autouse=True)
def columns_for_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.events.batch.COLUMNS_MIN", 0)
    monkeypatch.setattr("shared.events.batch.CHUNK", 64)


def in_full(stored: Sequence[bytes], batch: EventBatch) -> list[Event]:
    """All events of the batch, each in full again, in their order."""
    found = dict(batch.others)
    for part in (batch.created, batch.ended):
        for row, place in enumerate(part.places.tolist()):
            assert place not in found
            found[place] = one_in_full(decode_event(stored[place]), part, row)
    assert sorted(found) == list(range(batch.length))
    return [found[place] for place in range(batch.length)]


def one_in_full(event: Event, part: BookingColumns, row: int) -> Event:
    """The event with what the columns say in place of what it says."""
    said: dict[str, Any] = {
        "booking": UUID(bytes=part.ids[row].tobytes()),
        "start": instant_of(int(part.starts[row])),
        "end": instant_of(int(part.ends[row])),
        "capacity": capacity_of(part.counts[row]),
        "share": int(part.shares[row]),
        "actor": part.actors.at(row),
        "pool": part.pools.at(row),
    }
    if part.accounts.at(row):
        said |= {"account": part.accounts.at(row), "template": part.templates.at(row)}
        said |= {"tentative": bool(part.tentative[row]), "series": part.series.at(row)}
    return msgspec.structs.replace(event, **said)


@pytest.mark.parametrize("size", [1, 7, 400])
def test_a_batch_by_columns_has_the_same_events(size: int) -> None:
    events = [*history(11, 800, projects=3), *EVERY_FIELD, *REQUIRED_FIELDS]
    stored = [encode_event(event) for event in events]
    created = ended = 0
    for at in range(0, len(stored), size):
        batch = decode_batch(stored[at : at + size])
        assert in_full(stored[at : at + size], batch) == events[at : at + size]
        created, ended = created + batch.created.rows, ended + batch.ended.rows
    assert created > 50
    assert ended > 20


def test_the_columns_hold_the_bookings_that_have_no_other_event_in_the_batch() -> None:
    batch = decode_batch([encode_event(event) for event in history(12, 900, projects=3)])
    apart = {event.booking.bytes for _, event in batch.others if hasattr(event, "booking")}
    made, gone = batch.created.names(), batch.ended.names()
    created = dict(zip(made, batch.created.places.tolist(), strict=True))
    assert not apart & {*made, *gone}
    assert (len(created), len(set(gone))) == (len(made), len(gone))
    together = 0
    for name, place, row in zip(gone, batch.ended.places.tolist(), batch.ended_rows.tolist(), strict=True):
        if row < 0:
            assert name not in created
        else:
            together += 1
            assert made[row] == name
            assert created[name] < place
    assert together > 5


@pytest.mark.parametrize(("kind", "thin"), THIN.items())
def test_a_thin_event_has_the_fields_of_its_event_in_their_order(kind: type[msgspec.Struct], thin: Any) -> None:
    fields, thin_fields = msgspec.structs.fields(kind), msgspec.structs.fields(thin)
    assert [field.name for field in thin_fields] == [field.name for field in fields]
    assert [field.required for field in thin_fields] == [field.required for field in fields]
    assert (name_of(thin), version_of(thin)) == (name_of(kind), version_of(kind))


def documents() -> Iterator[dict[str, Any]]:
    for event in (*EVERY_FIELD, *REQUIRED_FIELDS):
        if isinstance(event, (BookingCreated, BookingCancelled, BookingLapsed)):
            yield msgspec.json.decode(encode_event(event))


ODD: list[tuple[str, Any]] = [
    *((name, text) for name in ("booking", "command") for text in ("", "ab", "01890A5D-AC96-774B-BCCE-B302099A8057")),
    *((name, "01890a5dac96774bbcceb302099a8057") for name in ("booking", "command")),
    *((name, "01890a5d-ac96-774b-bcce-b302099a805g") for name in ("booking", "command")),
    *(
        (name, text)
        for name in ("start", "end", "at")
        for text in (
            "2087-01-01T05:30:00Z",
            "2087-01-01T05:00:00+01:00",
            "2087-01-01T05:00:00z",
            "2087-01-01 05:00:00Z",
            "2087-01-01T05:00Z",
            "2087-01-01T05:00:00",
            "2087-01-01T24:00:00Z",
            "2087-02-29T05:00:00Z",
            "2087-01-01T05:00:00.000Z",
            5,
        )
    ),
    *(("capacity", {"cores": count}) for count in (-1, 10**13, 1.5, 1.0, 10**12)),
    *(("capacity", value) for value in ({"gpus": 1}, "cores", None)),
    *(("share", share) for share in (-1, 10_001, "5", 10_000)),
    *(("schema", schema) for schema in (0, 1, 2, "1")),
    *(("tentative", value) for value in (1, None, True)),
    *(("auth", value) for value in ("magic", None)),
    *(("series", value) for value in ("01890A5D-AC96-774B-BCCE-B302099A8057", "series")),
    ("template", {"name": "small"}),
    ("pool", None),
    ("pool", "gaia\N{SNOWMAN}\n"),
    ("type", "NobodyKnows"),
    ("unknown", {"more": [1, 2]}),
]


def outcome(read: Callable[[Sequence[bytes]], Any], stored: Sequence[bytes]) -> Any:
    try:
        return read(stored)
    except Exception as error:
        return type(error), str(error)


def by_columns(stored: Sequence[bytes]) -> Any:
    """The events, or the error of decoding them by columns."""
    batch = outcome(decode_batch, stored)
    return in_full(stored, batch) if isinstance(batch, EventBatch) else batch


@pytest.mark.parametrize(("field", "value"), ODD)
def test_what_is_not_as_hourbook_stores_it_is_read_as_in_full(field: str, value: Any) -> None:
    plain = [encode_event(event) for event in EVERY_FIELD]
    for document in documents():
        stored = msgspec.json.encode(document | {field: value})
        without = msgspec.json.encode({name: given for name, given in document.items() if name != field})
        for one in (stored, without, without[:-1]):
            for many in ([*plain, one], [one]):
                assert by_columns(many) == outcome(decode_events, many)


def test_two_events_stored_as_one_are_none() -> None:
    one = encode_event(EVERY_FIELD[0])
    with pytest.raises(msgspec.DecodeError, match="trailing"):
        decode_batch([one, one + b"," + one])
    with pytest.raises(ValueError, match="2 stored events read as 3"):
        decode_chunks([JoinedEvents(b",".join([one, one, one]), 2)])


def test_joined_events_are_the_same_events() -> None:
    stored = [encode_event(event) for event in history(11, 500, projects=3)]
    odd = msgspec.json.encode(
        msgspec.json.decode(encode_event(EVERY_FIELD[17])) | {"start": "2087-01-01T05:00:00+01:00"}
    )
    stored.insert(77, odd)
    chunks = [
        JoinedEvents(b",".join(stored[at : at + 60]), len(stored[at : at + 60])) for at in range(0, len(stored), 60)
    ]
    batch = decode_chunks(chunks)
    assert batch.created.rows > 30
    assert in_full(stored, batch) == decode_events(stored)
