"""The stream of signed checkpoints in JetStream."""

from __future__ import annotations

from typing import NamedTuple

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

STREAM = "HOURBOOK_AUDIT"
SUBJECT = "hourbook.audit.checkpoint"
STREAM_MAX = 100_000  # checkpoints in the stream; the database keeps all
CONFIG = StreamConfig(
    name=STREAM, subjects=["hourbook.audit.>"], storage=StorageType.FILE, max_msgs=STREAM_MAX, discard=DiscardPolicy.OLD
)


class Published(NamedTuple):
    """A message of the stream: its text, which should be a signed checkpoint, and its sequence."""

    text: str
    sequence: int


async def last_message(context: JetStreamContext) -> Published | None:
    """The newest message of the stream; None if there is none. Raises NATS's errors."""
    try:
        message = await context.get_last_msg(STREAM, SUBJECT)
    except NotFoundError:
        return None
    return Published((message.data or b"").decode(errors="replace"), message.seq or 0)
