"""Notices: scheduled notifications (reminders) of bookings and conflicts. Their kinds, their bodies, and their form on
the stream HOURBOOK_NOTICES."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig

from shared.streams import keep_stream

STREAM = "HOURBOOK_NOTICES"
SUBJECT = "hourbook.notices"
DUPLICATES_S = 3600.0  # the stream drops a notice that is published again within this time
CONFIG = StreamConfig(
    name=STREAM, subjects=[f"{SUBJECT}.>"], storage=StorageType.FILE, allow_direct=True, duplicate_window=DUPLICATES_S
)

KINDS = {
    "booking.started": "A booking has started.",
    "booking.ending": "A booking ends soon.",
    "booking.ended": "A booking has ended.",
    "conflict.approaching": "The ledger will soon settle over-committed hours.",
}
# Notices of one instant: a booking ends before the next one takes its place, and starts before it is about to end.
ORDER = ("booking.ended", "booking.started", "booking.ending", "conflict.approaching")


class BookingNotice(msgspec.Struct, frozen=True, kw_only=True):
    """`booking` of `account` holds capacity of `pool` in `[start, end)`. `time` is when the notice was due."""

    id: str
    type: str
    time: datetime
    project: str
    booking: str
    pool: str
    account: str
    start: datetime
    end: datetime


class ConflictNotice(msgspec.Struct, frozen=True, kw_only=True):
    """`pool` is over-committed in `[start, end)`. The ledger settles that at `deadline`. `time` is when the notice was
    due."""

    id: str
    type: str
    time: datetime
    project: str
    pool: str
    start: datetime
    end: datetime
    deadline: datetime


class Notice(msgspec.Struct, frozen=True):
    """A stored notice. `data` is the body as JSON; `subject` is the booking's id or the pool's."""

    seq: int
    id: str
    kind: str
    project: str
    subject: str
    due: datetime
    data: str


def cloud_event(notice: Notice) -> tuple[str, dict[str, str]]:
    """A notice's NATS subject and headers: those of a CloudEvent, and the id by which the stream finds a duplicate."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": notice.id,
        "ce-source": "/hourbook",
        "ce-type": notice.kind,
        "ce-subject": notice.subject,
        "ce-time": notice.due.isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        "Nats-Msg-Id": notice.id,
    }
    return f"{SUBJECT}.{notice.project}.{notice.kind}", headers


async def ensure_stream(context: JetStreamContext, replicas: int | None = None) -> str | None:
    """Makes the stream if there is none, and keeps it as `keep_stream` does. Says what is wrong with its replicas."""
    return (await keep_stream(context, CONFIG, replicas)).wrong


def schemas(ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of the body of each kind, and the components that these schemas refer to."""
    types = [ConflictNotice if kind.startswith("conflict") else BookingNotice for kind in KINDS]
    made, components = msgspec.json.schema_components(types, ref_template=ref_template)
    return dict(zip(KINDS, made, strict=True)), components
