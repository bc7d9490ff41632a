"""The stream of signed checkpoints in JetStream."""

from __future__ import annotations

from nats.js.api import DiscardPolicy, StorageType, StreamConfig

STREAM = "HOURBOOK_AUDIT"
SUBJECT = "hourbook.audit.checkpoint"
STREAM_MAX = 100_000  # checkpoints in the stream; the database keeps all
CONFIG = StreamConfig(
    name=STREAM, subjects=["hourbook.audit.>"], storage=StorageType.FILE, max_msgs=STREAM_MAX, discard=DiscardPolicy.OLD
)
