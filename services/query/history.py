"""The events as they are stored: read from the store itself, in order, never encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from services.query.database import Database
from shared.errors import UnknownId

if TYPE_CHECKING:
    from asyncpg import Record


class HistoricEvent(msgspec.Struct, frozen=True, gc=False):
    """An event in its place; `event` is what is stored, byte for byte."""

    position: int
    version: int
    event: msgspec.Raw


class History(NamedTuple):
    """Some events, the store's last position when they were read, and what to ask for as `after` next, if any."""

    head: int
    events: list[HistoricEvent]
    following: int | None


EVENTS = """
SELECT h.position AS head, e.position, e.version, e.data
FROM event_head h LEFT JOIN LATERAL (
    SELECT position, version, data FROM event WHERE position > $1 ORDER BY position LIMIT $2
) e ON true
ORDER BY e.position
"""


async def read_events(database: Database, after: int, limit: int) -> History:
    """The events after a position, `limit` at most."""
    return history_of(await database.fetch(EVENTS, after, limit + 1), limit)


# A project's versions grow with the positions, so the version that `after` lies at is found by halving.
PROJECT_EVENTS = """
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, coalesce((SELECT version FROM stream_head WHERE stream = $3), 0)
    UNION ALL
    SELECT CASE WHEN e.position <= $1 THEN e.version ELSE low END,
           CASE WHEN e.position <= $1 THEN high ELSE e.version - 1 END
    FROM halving JOIN event e ON e.stream = $3 AND e.version = (low + high + 1) / 2
    WHERE low < high
)
SELECT h.position AS head, e.position, e.version, e.data
FROM event_head h LEFT JOIN LATERAL (
    SELECT position, version, data FROM event
    WHERE stream = $3 AND version > (SELECT low FROM halving WHERE low = high) ORDER BY version LIMIT $2
) e ON true
ORDER BY e.version
"""


async def read_project_events(database: Database, project: str, after: int, limit: int) -> History:
    """One project's events after a position, `limit` at most. Raises UnknownId for a project without any."""
    history = history_of(await database.fetch(PROJECT_EVENTS, after, limit + 1, project), limit)
    if not history.events and not await has_events(database, project):
        raise UnknownId("project", "project", project)
    return history


HAS_EVENTS = "SELECT version FROM stream_head WHERE stream = $1"


async def has_events(database: Database, project: str) -> bool:
    return await database.fetchrow(HAS_EVENTS, project) is not None


def history_of(records: Sequence[Record], limit: int) -> History:
    events = [
        HistoricEvent(record["position"], record["version"], msgspec.Raw(record["data"]))
        for record in records[:limit]
        if record["position"] is not None
    ]
    return History(records[0]["head"], events, events[-1].position if len(records) > limit else None)


EVENT_AT = """
SELECT h.position AS head, e.position, e.version, e.data
FROM event_head h LEFT JOIN event e ON e.position = $1
"""


async def read_event(database: Database, position: int) -> History:
    """The one event at a position. Raises UnknownId."""
    history = history_of(await database.fetch(EVENT_AT, position), 1)
    if not history.events:
        raise UnknownId("position", "event", str(position))
    return history


# Events are decided in the order of their positions, but for what commands wait for each other and what the clocks of
# several command services differ: within a minute, which is why the search goes for the minute before.
POSITION_BEFORE = """
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, position FROM event_head
    UNION ALL
    SELECT CASE WHEN early THEN middle ELSE low END, CASE WHEN early THEN high ELSE middle - 1 END
    FROM halving
    CROSS JOIN LATERAL (SELECT (low + high + 1) / 2) AS m (middle)
    CROSS JOIN LATERAL (
        SELECT (convert_from(data, 'UTF8')::json ->> 'at')::timestamptz < $1::timestamptz - interval '1 minute'
        FROM event WHERE position = middle
    ) AS e (early)
    WHERE low < high
), near (position) AS (SELECT low FROM halving WHERE low = high)
SELECT coalesce(min(e.position) - 1, (SELECT position FROM event_head)) AS position FROM near, LATERAL (
    SELECT position FROM event
    WHERE event.position > near.position AND (convert_from(data, 'UTF8')::json ->> 'at')::timestamptz >= $1
    ORDER BY position LIMIT 1
) e
"""


async def position_before(database: Database, moment: datetime) -> int:
    """The position before the first event that was decided at `moment` or later; the head when there is none."""
    record = await database.fetchrow(POSITION_BEFORE, moment)
    assert record is not None
    position: int = record["position"]
    return position
