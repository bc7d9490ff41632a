"""The stored events, in order, with their stored bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from services.query.database import BeyondTheEnd, Database
from shared.errors import UnknownId
from shared.event_store import POSITION_MAX
from shared.postgres import Record


class HistoricEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with its position and version. `event` is the stored JSON, byte for byte."""

    position: int
    version: int
    event: msgspec.Raw


class History(NamedTuple):
    """A page of events. `head` is the last stored position when they were read. `following` is the `after` of the next
    page, None on the last."""

    head: int
    events: list[HistoricEvent]
    following: int | None


EVENTS = """
SELECT h.position AS head, e.position, e.version, e.data
FROM event_head h LEFT JOIN LATERAL (
    SELECT position, version, data FROM event WHERE position > $1 AND position < $3 ORDER BY position LIMIT $2
) e ON true
ORDER BY e.position
"""


async def read_events(database: Database, after: int, before: int, limit: int) -> History:
    """The events between two positions, both excluded, at most `limit`."""
    return history_of(await database.fetch(EVENTS, after, limit + 1, before), limit)


# The versions of a project grow with the positions, so a binary search finds the version at the position `after`.
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
    WHERE stream = $3 AND version > (SELECT low FROM halving WHERE low = high) AND position < $4
    ORDER BY version LIMIT $2
) e ON true
ORDER BY e.version
"""


async def read_project_events(database: Database, project: str, after: int, before: int, limit: int) -> History:
    """The events of one project between two positions, both excluded, at most `limit`."""
    return history_of(await database.fetch(PROJECT_EVENTS, after, limit + 1, project, before), limit)


FIRST = "SELECT position FROM event WHERE stream = $1 AND version = 1 AND position <= $2"


async def check_project(database: Database, project: str | None, last: int = POSITION_MAX) -> None:
    """Raises UnknownId for a project that has no event up to the position `last`. Accepts None."""
    if project is not None and await database.fetchrow(FIRST, project, last) is None:
        raise UnknownId("project", "project", project)


def check_after(after: int, last: int, what: str, field: str = "after") -> None:
    """Raises BeyondTheEnd for an `after` beyond the `last` number of a `what`. It comes from another ledger, or from
    this one before a restore; a client that waited there would miss events."""
    if after > last:
        raise BeyondTheEnd(field, f"{after} is beyond the last {what}, {last}; it is not from this ledger as it is now")


def history_of(records: Sequence[Record], limit: int) -> History:
    """The page of these records. They are at most `limit` and one more, which says that there is a next page."""
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


# `at_max` grows with the positions, so a binary search finds the first event that reaches the instant. If no indexed
# event does, the events that are not indexed yet are searched.
POSITION_BEFORE = """
WITH RECURSIVE halving (low, high) AS (
    SELECT 0::bigint, position FROM event_index_head
    UNION ALL
    SELECT CASE WHEN i.at_max < $1 THEN middle ELSE low END, CASE WHEN i.at_max < $1 THEN high ELSE middle - 1 END
    FROM halving
    CROSS JOIN LATERAL (SELECT (low + high + 1) / 2) AS m (middle)
    JOIN event_index i ON i.position = middle
    WHERE low < high
), indexed (position) AS (SELECT low FROM halving WHERE low = high)
SELECT CASE WHEN indexed.position < x.position THEN indexed.position ELSE coalesce(
    (SELECT min(d.position) - 1 FROM described_events(x.position, h.position + 1) d WHERE d.at >= $1), h.position
) END AS position
FROM indexed, event_index_head x, event_head h
"""


async def position_before(database: Database, moment: datetime) -> int:
    """The position before the first event that was decided at `moment` or later; the head when there is none."""
    record = await database.fetchrow(POSITION_BEFORE, moment)
    assert record is not None
    position: int = record["position"]
    return position
