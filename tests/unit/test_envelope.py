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
    assert decode_envelopes(stored) == [decode_envelope(one) for one in stored]
    assert decode_envelopes([]) == []


@pytest.mark.parametrize("field", ["type", "at", "actor", "command", "project"])
def test_what_lacks_a_field_of_the_envelope_is_no_event(field: str) -> None:
    event = json.loads(GOLDEN[0].read_bytes())
    del event[field]
    with pytest.raises(msgspec.DecodeError, match=field):
        decode_envelope(json.dumps(event).encode())
