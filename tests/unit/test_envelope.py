"""The fields that every stored event has can be read without the rest of the event."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from shared.events import decode_envelope, decode_envelopes, decode_event

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.stem)
def test_the_envelope_says_what_the_event_says(golden: Path) -> None:
    stored = golden.read_bytes()
    envelope, event = decode_envelope(stored), decode_event(stored)
    assert envelope.type == type(event).__name__
    assert (envelope.actor, envelope.project, envelope.reason) == (event.actor, event.project, event.reason)
    assert (envelope.at, envelope.command) == (json.loads(stored)["at"], str(event.command))
    assert envelope.instant == event.at


def test_many_envelopes_are_read_in_their_order() -> None:
    stored = [golden.read_bytes() for golden in GOLDEN]
    one_by_one = [msgspec.structs.asdict(decode_envelope(one)) for one in stored]
    assert [msgspec.structs.asdict(one) for one in decode_envelopes(stored)] == one_by_one
    assert decode_envelopes([]) == []


@pytest.mark.parametrize("field", ["type", "at", "actor", "command", "project"])
def test_a_field_that_is_missing_is_empty_where_one_is_shown_and_refused_where_many_are_checked(field: str) -> None:
    event = json.loads(GOLDEN[0].read_bytes())
    stored = json.dumps({name: value for name, value in event.items() if name != field}).encode()
    with pytest.raises(msgspec.DecodeError, match=field):
        decode_envelopes([GOLDEN[0].read_bytes(), stored])
    without = decode_envelope(stored)
    assert getattr(without, field) == ""
    assert msgspec.structs.replace(without, **{field: event[field]}) == decode_envelope(GOLDEN[0].read_bytes())


@pytest.mark.parametrize("stored", [b"", b"[]", b'"at"', b'{"at":1}', b'{"type":"BookingCreated"'])
def test_what_is_no_event_is_refused(stored: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_envelope(stored)
