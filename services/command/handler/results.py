"""What became of a command, and the JSON body that says so."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shared.errors import HourbookError
from shared.event_store import Remembered
from shared.hours import Period


class CommandResult(msgspec.Struct, frozen=True):
    """What became of a command.

    `entity` is the id that its answer names. `decided` are the events it made, as they are stored; none where it was so
    already. `position` and `version` are those of the last event.
    `repeated`: the idempotency key was known, and all this is of the first time. If no event was made then, `first` is
    the answer that was kept.
    Of a dry run, `decided` are the events that the command would make; or `refusal` says why it would be refused, and
    `nearest` is the nearest period in which it would not.
    """

    entity: str
    position: int
    version: int
    decided: Sequence[bytes]
    repeated: bool = False
    refusal: HourbookError | None = None
    nearest: Period | None = None
    first: Remembered | None = None


def body_around_position(entity: str, version: int, decided: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The body of an answer, before its position and after it: the position is known last. The closing brace is
    missing, so that members can follow."""
    tail = b',"version":%d,"decided":[%b]' % (version, b",".join(decided))
    return b'{"id":%b,"position":' % msgspec.json.encode(entity), tail
