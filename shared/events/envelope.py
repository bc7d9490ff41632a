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


_decoder = msgspec.json.Decoder(Envelope)
_many = msgspec.json.Decoder(list[Envelope])


def decode_envelope(stored: bytes) -> Envelope:
    """The envelope of a stored event, of whatever version. Raises msgspec.DecodeError on what is no event."""
    return _decoder.decode(stored)


def decode_envelopes(stored: Sequence[bytes]) -> list[Envelope]:
    """As `decode_envelope`, for many at once, which is faster."""
    return _many.decode(b"[" + b",".join(stored) + b"]")
