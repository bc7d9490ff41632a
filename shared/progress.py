"""How far the store, the seal and the live read models have come, as the database says: for status and Prometheus."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import msgspec

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


class Progress(NamedTuple):
    """The live generation's part is None when none is live. Ages are in seconds, by the database's clock."""

    head: int
    generation: int | None
    position: int | None
    moved_s: float | None
    parked_position: int | None
    parked_error: str | None
    oldest_s: float | None
    sealed: int = 0

    @property
    def behind(self) -> int | None:
        """Events that the live generation has not applied. It may be read a moment after the head."""
        return None if self.position is None else max(0, self.head - self.position)


PROGRESS = """
SELECT h.position, g.generation, g.position, extract(epoch FROM now() - g.moved_at)::float8,
       g.parked_position, g.parked_error, (SELECT coalesce(max(size), 0) FROM audit_checkpoint)
FROM event_head h LEFT JOIN generation g ON g.live
"""
EVENT = "SELECT data, now() FROM event WHERE position = $1"


async def read_progress(connection: Connection) -> Progress:
    """Raises asyncpg's errors; LookupError when the database has not been migrated to hold a head."""
    record = await connection.fetchrow(PROGRESS)
    if record is None:
        raise LookupError("event_head is empty")
    head, generation, position, moved_s, parked_position, parked_error, sealed = record
    oldest_s = None
    if position is not None and position < head:
        waiting = await connection.fetchrow(EVENT, position + 1)
        if waiting is not None:
            data, now = waiting
            oldest_s = (now - msgspec.json.decode(data, type=_Decided).at).total_seconds()
    return Progress(head, generation, position, moved_s, parked_position, parked_error, oldest_s, sealed)


class _Decided(msgspec.Struct):
    at: datetime
