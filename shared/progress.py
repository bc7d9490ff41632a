"""How far the store and all that follows it have come, as the database says: for status and Prometheus."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import msgspec

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


class Progress(NamedTuple):
    """The live generation's part is None when none is live. Ages are in seconds, by the database's clock.

    Beside the generation: up to where a checkpoint is `sealed`, the `past` is kept for as_of, the history is `indexed`
    for searching, and notices account for the events (`noticed`); `told_s` ago was the hour up to which they are told,
    None before the first. `delivered` is where the webhook of events that is furthest behind stands, None when there is
    none; `notices_undelivered` how many notices one of notices is behind at most.
    """

    head: int
    generation: int | None
    position: int | None
    moved_s: float | None
    parked_position: int | None
    parked_error: str | None
    oldest_s: float | None
    sealed: int = 0
    past: int = 0
    indexed: int = 0
    noticed: int = 0
    told_s: float | None = None
    unpublished: int = 0
    delivered: int | None = None
    notices_undelivered: int | None = None
    webhooks_disabled: int = 0
    dead_letters: int = 0

    @property
    def behind(self) -> int | None:
        """Events that the live generation has not applied. It may be read a moment after the head."""
        return None if self.position is None else max(0, self.head - self.position)


PROGRESS = """
SELECT h.position, g.generation, g.position, extract(epoch FROM now() - g.moved_at)::float8,
       g.parked_position, g.parked_error, (SELECT coalesce(max(size), 0) FROM audit_checkpoint),
       past.position, indexed.position,
       n.position, extract(epoch FROM now() - n.told_until)::float8, n.seq - n.published,
       (SELECT min(position) FROM webhook WHERE disabled IS NULL AND (types IS NULL OR types <> '{}')),
       (SELECT n.seq - min(notice) FROM webhook WHERE disabled IS NULL AND kinds <> '{}'),
       (SELECT count(*) FROM webhook WHERE disabled IS NOT NULL), (SELECT count(*) FROM webhook_dead_letter)
FROM event_head h CROSS JOIN past_head past CROSS JOIN event_index_head indexed CROSS JOIN notice_head n
LEFT JOIN generation g ON g.live
"""
EVENT = "SELECT data, now() FROM event WHERE position = $1"


async def read_progress(connection: Connection) -> Progress:
    """Raises asyncpg's errors; LookupError when the database has not been migrated to hold a head."""
    record = await connection.fetchrow(PROGRESS)
    if record is None:
        raise LookupError("event_head is empty")
    head, generation, position, moved_s, parked_position, parked_error, *others = record
    oldest_s = None
    if position is not None and position < head:
        waiting = await connection.fetchrow(EVENT, position + 1)
        if waiting is not None:
            data, now = waiting
            oldest_s = (now - msgspec.json.decode(data, type=_Decided).at).total_seconds()
    return Progress(head, generation, position, moved_s, parked_position, parked_error, oldest_s, *others)


class _Decided(msgspec.Struct):
    at: datetime
