"""Notices: what time brings, told as it comes. Their kinds, their ids, their form on the stream HOURBOOK_NOTICES."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import NotFoundError

STREAM = "HOURBOOK_NOTICES"
SUBJECT = "hourbook.notices"
DUPLICATES_S = 3600.0  # for so long the stream drops a notice that is published again

KINDS = {
    "booking.started": "A booking has begun.",
    "booking.ending": "A booking ends soon.",
    "booking.ended": "A booking has ended.",
    "conflict.approaching": "Hours that are promised more than they have will soon be settled by the ledger.",
}
# At one instant: what is over makes room before what begins takes it, and nothing is about to end that has not begun.
ORDER = ("booking.ended", "booking.started", "booking.ending", "conflict.approaching")


class BookingNotice(msgspec.Struct, frozen=True, kw_only=True):
    """`booking` of `account` holds something of `pool` in `[start, end)`; `time` is the instant that this tells of."""

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
    """In `[start, end)`, `pool` is promised more than it has; at `deadline` the ledger settles it. `time` is when that
    came near."""

    id: str
    type: str
    time: datetime
    project: str
    pool: str
    start: datetime
    end: datetime
    deadline: datetime


class Notice(msgspec.Struct, frozen=True):
    """A notice as it is stored; `data` is the body, `subject` the booking or the pool."""

    seq: int
    id: str
    kind: str
    project: str
    subject: str
    due: datetime
    data: str


def cloud_event(notice: Notice) -> tuple[str, dict[str, str]]:
    """A notice's subject and its headers: a CloudEvent's, and the id by which the stream knows a repetition."""
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


async def ensure_stream(context: JetStreamContext) -> None:
    """Makes the stream if there is none."""
    try:
        await context.stream_info(STREAM)
    except NotFoundError:
        config = StreamConfig(
            name=STREAM,
            subjects=[f"{SUBJECT}.>"],
            storage=StorageType.FILE,
            allow_direct=True,
            duplicate_window=DUPLICATES_S,
        )
        await context.add_stream(config)


def schemas(ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of each kind's body, and what they refer to."""
    types = [ConflictNotice if kind.startswith("conflict") else BookingNotice for kind in KINDS]
    made, components = msgspec.json.schema_components(types, ref_template=ref_template)
    return dict(zip(KINDS, made, strict=True)), components
