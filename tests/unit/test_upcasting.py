"""A second schema version of an event type is added, and the history of version 1 still replays."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
import pytest

from services.projector.projections import Known, fold
from services.projector.projections.pools import Pools
from shared.events import EVENT_TYPES, Event, GrantCreated, GrantWithdrawn, decode_event, decode_events, encode_event
from shared.events.upcasting import Document, EventDecoder, NewerSchema, version_of
from tests.support.histories import history


class GrantCreatedTwo(GrantCreated, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantCreated"):
    """Version 2: `origin` replaces `source`, and is required."""

    schema: Annotated[int, msgspec.Meta(ge=2, le=2)]
    origin: str


class GrantWithdrawnThree(
    GrantWithdrawn, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantWithdrawn"
):
    """Version 3, which needs two steps from the first stored version."""

    schema: Annotated[int, msgspec.Meta(ge=3, le=3)]
    steps: tuple[str, ...]


def origin_of_source(document: Document) -> Document:
    return document | {"origin": document.get("source", "unknown")}


UPCASTERS = {
    ("GrantCreated", 1): origin_of_source,
    ("GrantWithdrawn", 1): lambda document: document | {"steps": ["one"]},
    ("GrantWithdrawn", 2): lambda document: document | {"steps": [*document["steps"], "two"]},
}
KINDS: Any = [
    {GrantCreated: GrantCreatedTwo, GrantWithdrawn: GrantWithdrawnThree}.get(kind, kind) for kind in EVENT_TYPES
]
DECODER: EventDecoder[Any] = EventDecoder(KINDS, UPCASTERS)


def table(events: list[Event]) -> list[tuple[int, list[int], list[list[int]]]]:
    """The hours that the events give, without those that need another table."""
    alone = [event for event in events if type(event).__name__ not in ("ClusterResized", "BookingAmended")]
    changes = fold(Pools(), Known({}, {}), 1, alone)
    return [(pool, hours.tolist(), amounts.tolist()) for pool, hours, amounts in changes.availability.rows()]


def test_old_history_replays_to_the_same_table() -> None:
    events = history(3, 400)
    stored = [encode_event(event) for event in events]
    assert {"GrantCreated", "GrantWithdrawn"} <= {type(event).__name__ for event in events}
    upcast = DECODER.decode_many(stored)
    assert table(upcast) == table(events)
    assert np.sum([len(hours) for _, hours, _ in table(events)]) > 500
    assert {type(event) for event in upcast} >= {GrantCreatedTwo, GrantWithdrawnThree}
    assert not {type(event) for event in upcast} & {GrantCreated, GrantWithdrawn}


def test_old_and_new_events_stand_side_by_side() -> None:
    old = next(event for event in history(3, 50) if isinstance(event, GrantCreated))
    fields = {name: value for name in old.__struct_fields__ if (value := getattr(old, name)) is not None}
    new = GrantCreatedTwo(**(fields | {"schema": 2, "origin": "blazar"}))
    stored = msgspec.json.encode(new)
    assert msgspec.json.decode(stored)["schema"] == 2
    first, second = DECODER.decode_many([encode_event(old), stored])
    assert (first.origin, first.schema, second) == ("nova", 2, new)
    assert first.capacity == old.capacity


def test_versions_are_climbed_one_by_one() -> None:
    old = next(event for event in history(3, 400) if isinstance(event, GrantWithdrawn))
    upcast = DECODER.decode(encode_event(old))
    assert (upcast.schema, upcast.steps, upcast.end) == (3, ("one", "two"), old.end)


def test_an_event_of_a_later_version_is_refused_not_misread() -> None:
    stored = encode_event(history(1, 1)[0])
    newer = stored[:-1] + b',"schema":2}'
    with pytest.raises(
        NewerSchema, match="ProjectCreated has schema version 2, and this version of Hourbook reads up to 1"
    ):
        decode_event(newer)
    with pytest.raises(NewerSchema):
        decode_events([stored, newer])


@pytest.mark.parametrize(
    "stored",
    [
        b"[]",
        b"{}",
        b'{"type":"Unheard"}',
        b'{"type":7}',
        b'{"type":"ProjectCreated"}',
        b'{"type":"ProjectCreated","schema":"2"}',
        b'{"type":"GrantCreated","schema":true}',
    ],
)
def test_what_is_no_event_stays_none(stored: bytes) -> None:
    for decoder in (DECODER.decode, decode_event):
        with pytest.raises(msgspec.ValidationError):
            decoder(stored)
    with pytest.raises(msgspec.DecodeError):
        decode_event(b"{")


def test_a_version_without_a_way_up_to_it_is_found_when_the_program_starts() -> None:
    with pytest.raises(ValueError, match=r"\('GrantCreated', 1\)"):
        EventDecoder(KINDS, {key: value for key, value in UPCASTERS.items() if key != ("GrantCreated", 1)})
    with pytest.raises(ValueError, match="ProjectCreated"):
        EventDecoder(KINDS, UPCASTERS | {("ProjectCreated", 1): origin_of_source})


def test_an_old_event_cannot_pass_for_a_new_one() -> None:
    class Careless(GrantCreated, frozen=True, kw_only=True, omit_defaults=True, tag="GrantCreated"):
        schema: Annotated[int, msgspec.Meta(ge=2, le=2)] = 2

    with pytest.raises(ValueError, match="does not give a schema version"):
        version_of(Careless)
