"""Events for live subscribers: each as a server-sent event, once the live projection has reached it.

So a subscriber that then reads the calendar sees the event there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.query.database import Database, live
from services.query.views.lines import head_of
from shared.event_store.store import PositionGap
from shared.postgres import Record

WINDOW = 5000  # positions that one search looks through


class StreamEvent(NamedTuple):
    """An event or a notice with its number, and `frame`: the server-sent event that a subscriber gets. `pool` is the
    one that it is about; empty if nobody knows."""

    position: int
    project: str
    type: str
    frame: bytes
    pool: str


VISIBLE_AFTER = """
SELECT g.position AS visible, e.position, e.stream, e.version, e.type, e.data
FROM generation g LEFT JOIN LATERAL (
    SELECT position, stream, version, type, data FROM event
    WHERE position > $1 AND position <= g.position ORDER BY position LIMIT $2
) e ON true
WHERE g.live ORDER BY e.position
"""


async def read_visible(database: Database, after: int, limit: int) -> tuple[int, list[StreamEvent]]:
    """The position of the live projection, and at most `limit` events after `after` up to there. Raises PositionGap,
    NoGeneration."""
    records = live(await database.fetch(VISIBLE_AFTER, after, limit))
    events = [stream_event(record) for record in records if record["position"] is not None]
    for expected, event in enumerate(events, after + 1):
        if event.position != expected:
            raise PositionGap(f"expected position {expected}, met {event.position}")
    return records[0]["visible"], events


WANTED_AFTER = """
SELECT least($1 + $2, g.position) AS looked, e.position, e.stream, e.version, e.type, e.data
FROM generation g LEFT JOIN LATERAL (
    SELECT position, stream, version, type, data FROM event
    WHERE position > $1 AND position <= least($1 + $2, g.position)
        AND ($3::text IS NULL OR stream = $3) AND ($4::text[] IS NULL OR type = ANY ($4))
    ORDER BY position LIMIT $5
) e ON true
WHERE g.live ORDER BY e.position
"""


async def find_events(
    database: Database, after: int, project: str | None, types: Sequence[str] | None, limit: int
) -> tuple[int, list[StreamEvent]]:
    """The next events of a project and of some types, at most `limit`, and the last position that was looked at. None
    means all."""
    records = live(await database.fetch(WANTED_AFTER, after, WINDOW, project, types, limit))
    events = [stream_event(record) for record in records if record["position"] is not None]
    return events[-1].position if len(events) == limit else max(after, records[0]["looked"]), events


def stream_event(record: Record) -> StreamEvent:
    position, project, version, kind, data = record[1:6]
    frame = b'id: %d\ndata: {"position":%d,"version":%d,"event":%b}\n\n' % (position, position, version, one_line(data))
    return StreamEvent(position, project, kind, frame, head_of(data).where)


def one_line(data: bytes) -> bytes:
    """The JSON text without line breaks: outside of strings they mean nothing, inside they are escaped already."""
    return data if b"\n" not in data and b"\r" not in data else data.replace(b"\n", b" ").replace(b"\r", b" ")


LAST_EVENT = "SELECT position FROM event_head"


async def last_event(database: Database) -> int:
    """The position of the newest stored event."""
    record = await database.fetchrow(LAST_EVENT)
    return 0 if record is None else int(record["position"])
