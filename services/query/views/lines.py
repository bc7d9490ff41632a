"""Events as text, one line for each: NDJSON with the stored JSON, or CSV."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.query.render.tables import table_lines
from services.query.views.history import HistoricEvent
from shared.events import PartialEnvelope

COLUMNS = (
    "position",
    "version",
    "at",
    "project",
    "type",
    "actor",
    "account",
    "pool",
    "entity",
    "reason",
    "command",
    "event",
)

_encoder = msgspec.json.Encoder()


class Head(PartialEnvelope, frozen=True, kw_only=True, gc=False):
    """The columns of an event. A field that events of its type do not have is empty."""

    account: str = ""
    pool: str | None = None
    cluster: str | None = None
    booking: str | None = None
    grant: str | None = None

    @property
    def where(self) -> str:
        """The pool that the event is about."""
        return self.pool or self.cluster or self.project


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the history of one booking, grant or cluster: who did what, when and why."""

    position: int
    version: int
    at: str
    actor: str
    type: str
    reason: str | None
    event: msgspec.Raw


_head = msgspec.json.Decoder(Head)


def ndjson(events: Sequence[HistoricEvent]) -> bytes:
    return _encoder.encode_lines(events)


def csv_head() -> bytes:
    return table_lines([COLUMNS])


def csv_lines(events: Sequence[HistoricEvent]) -> bytes:
    return table_lines(cells_of(event) for event in events)


def cells_of(event: HistoricEvent) -> tuple[object, ...]:
    head = head_of(event.event)
    return (
        event.position,
        event.version,
        head.at,
        head.project,
        head.type,
        head.actor,
        head.account,
        head.where,
        head.booking or head.grant or head.cluster or head.project,
        head.reason or "",
        head.command,
        event.event,
    )


def history_entry(event: HistoricEvent) -> HistoryEntry:
    head = head_of(event.event)
    return HistoryEntry(
        position=event.position,
        version=event.version,
        at=head.at,
        actor=head.actor,
        type=head.type,
        reason=head.reason,
        event=event.event,
    )


def head_of(stored: bytes | msgspec.Raw) -> Head:
    """The columns of a stored event; all are empty for an event that cannot be decoded."""
    try:
        return _head.decode(stored)
    except msgspec.MsgspecError:
        return Head()
