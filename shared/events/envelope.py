"""The envelope: the fields that every stored event has, read without the rest of the event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields as they are stored. `at` is an instant (RFC 3339, UTC), `command` a UUID, `project` the stream."""

    type: str
    at: str
    actor: str
    command: str
    project: str
    reason: str | None = None

    @property
    def instant(self) -> datetime:
        """The instant when the event was decided. Raises ValueError if `at` is not an instant."""
        return datetime.fromisoformat(self.at)


class PartialEnvelope(Envelope, frozen=True, kw_only=True, gc=False):
    """An envelope in which a missing field is an empty text. For readers that only show the event."""

    type: str = ""
    at: str = ""
    actor: str = ""
    command: str = ""
    project: str = ""


_one = msgspec.json.Decoder(PartialEnvelope)
_many = msgspec.json.Decoder(list[Envelope])


def decode_envelope(stored: bytes) -> Envelope:
    """The envelope of a stored event of any version. A missing field is an empty text. Raises msgspec.DecodeError if
    the bytes are not a JSON object, or if a field is not a text."""
    return _one.decode(stored)


def decode_envelopes(stored: Sequence[bytes]) -> list[Envelope]:
    """The envelopes of stored events, in their order. Raises msgspec.DecodeError if a field is missing or wrong."""
    return _many.decode(b"[" + b",".join(stored) + b"]")
