"""What can be followed live: something numbered 1, 2, 3 … without a gap, each of it as a server-sent event.

An event is told when the live projection has reached it, so that whoever then reads the calendar sees it there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from services.query.database import Database, live
from shared.event_store.store import PositionGap

if TYPE_CHECKING:
    from asyncpg import Record


WINDOW = 5000  # positions looked through at a time for those that are wanted


class Told(NamedTuple):
    """An event, and how it goes over the wire: one server-sent event, whose id is the position."""

    position: int
    project: str
    type: str
    frame: bytes


VISIBLE_AFTER = """
SELECT g.position AS visible, e.position, e.stream, e.version, e.type, e.data
FROM generation g LEFT JOIN LATERAL (
    SELECT position, stream, version, type, data FROM event
    WHERE position > $1 AND position <= g.position ORDER BY position LIMIT $2
) e ON true
WHERE g.live ORDER BY e.position
"""


async def read_visible(database: Database, after: int, limit: int) -> tuple[int, list[Told]]:
    """How far the live projection is, and the events after a position up to there. Raises PositionGap."""
    records = live(await database.fetch(VISIBLE_AFTER, after, limit))
    events = [told(record) for record in records if record["position"] is not None]
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
) -> tuple[int, list[Told]]:
    """The next events of a project and of some types, `limit` at most, and the position up to which that is all."""
    records = live(await database.fetch(WANTED_AFTER, after, WINDOW, project, types, limit))
    events = [told(record) for record in records if record["position"] is not None]
    return events[-1].position if len(events) == limit else max(after, records[0]["looked"]), events


def told(record: Record) -> Told:
    position, project, version, kind, data = record[1:6]
    frame = b'id: %d\ndata: {"position":%d,"version":%d,"event":%b}\n\n' % (position, position, version, one_line(data))
    return Told(position, project, kind, frame)


def one_line(data: bytes) -> bytes:
    """A line break between the parts of a JSON text means nothing, and one in a string is written otherwise."""
    return data if b"\n" not in data and b"\r" not in data else data.replace(b"\n", b" ").replace(b"\r", b" ")


LAST_EVENT = "SELECT position FROM event_head"


async def last_event(database: Database) -> int:
    record = await database.fetchrow(LAST_EVENT)
    return 0 if record is None else int(record["position"])


NOTICES_AFTER = """
SELECT h.seq AS visible, n.seq, n.project, n.kind, n.data::text
FROM notice_head h LEFT JOIN LATERAL (
    SELECT seq, project, kind, data FROM notice WHERE seq > $1 ORDER BY seq LIMIT $2
) n ON true
ORDER BY n.seq
"""


async def read_notices(database: Database, after: int, limit: int) -> tuple[int, list[Told]]:
    """The last notice, and those after one of them."""
    records = await database.fetch(NOTICES_AFTER, after, limit)
    return records[0]["visible"], [told_notice(record) for record in records if record["seq"] is not None]


NOTICES_WANTED = """
SELECT least($1 + $2, h.seq) AS looked, n.seq, n.project, n.kind, n.data::text
FROM notice_head h LEFT JOIN LATERAL (
    SELECT seq, project, kind, data FROM notice
    WHERE seq > $1 AND seq <= $1 + $2 AND ($3::text IS NULL OR project = $3) AND ($4::text[] IS NULL OR kind = ANY ($4))
    ORDER BY seq LIMIT $5
) n ON true
ORDER BY n.seq
"""


async def find_notices(
    database: Database, after: int, project: str | None, types: Sequence[str] | None, limit: int
) -> tuple[int, list[Told]]:
    """As `find_events`, of notices."""
    records = await database.fetch(NOTICES_WANTED, after, WINDOW, project, types, limit)
    notices = [told_notice(record) for record in records if record["seq"] is not None]
    return notices[-1].position if len(notices) == limit else max(after, records[0]["looked"]), notices


def told_notice(record: Record) -> Told:
    seq, project, kind, data = record[1:5]
    frame = b'id: %d\ndata: {"seq":%d,"notice":%b}\n\n' % (seq, seq, one_line(data.encode()))
    return Told(seq, project, kind, frame)


LAST_NOTICE = "SELECT seq FROM notice_head"


async def last_notice(database: Database) -> int:
    record = await database.fetchrow(LAST_NOTICE)
    return 0 if record is None else int(record["seq"])


class Feed(NamedTuple):
    """`read` answers how far it can be told now, and what comes after a number, so many at most; `find` up to where it
    looked, and what it found there of a project and some types; `last` how far it is at all; `what` it is of."""

    read: Callable[[Database, int, int], Awaitable[tuple[int, list[Told]]]]
    find: Callable[[Database, int, str | None, Sequence[str] | None, int], Awaitable[tuple[int, list[Told]]]]
    last: Callable[[Database], Awaitable[int]]
    what: str


EVENTS = Feed(read_visible, find_events, last_event, "event")
NOTICES = Feed(read_notices, find_notices, last_notice, "notice")
