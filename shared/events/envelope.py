"""The envelope: the fields that every stored event has, read without the rest of the event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The texts as they are stored: `at` is an instant (RFC 3339, UTC), `command` a UUID, `project` the stream."""

    type: str
    at: str
    actor: str
    command: str
    project: str
    reason: str | None = None

    @property
    def instant(self) -> datetime:
        """When the event was decided. Raises ValueError if `at` is no instant."""
        return datetime.fromisoformat(self.at)


class PartialEnvelope(Envelope, frozen=True, kw_only=True, gc=False):
    """For readers that show an event and prove nothing: a field that is missing is empty."""

    type: str = ""
    at: str = ""
    actor: str = ""
    command: str = ""
    project: str = ""


_one = msgspec.json.Decoder(PartialEnvelope)
_many = msgspec.json.Decoder(list[Envelope])


def decode_envelope(stored: bytes) -> Envelope:
    """The envelope of a stored event, of whatever version; a field that is missing is empty. Raises msgspec.DecodeError
    on bytes that are no JSON object, and on a field that is no text."""
    return _one.decode(stored)


def decode_envelopes(stored: Sequence[bytes]) -> list[Envelope]:
    """The envelopes of whole events, in their order. Raises msgspec.DecodeError, also when a field is missing."""
    return _many.decode(b"[" + b",".join(stored) + b"]")
