"""Notices, in pages and for live subscribers: what happened because time went on, as a booking that began."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.query.database import Database
from services.query.questions.sight import Sight
from services.query.views.history import check_after, check_project
from services.query.views.live_events import WINDOW, StreamEvent, one_line
from shared.postgres import Record

WHERE = """
seq > $1 AND ($3::text[] IS NULL OR kind = ANY ($3)) AND ($4::timestamptz IS NULL OR greatest(due, made_at) <= $4)
    AND ($5::text[] IS NULL OR project = ANY ($5) OR EXISTS (
        SELECT FROM unnest($6::text[]) AS r (root)
        WHERE data ->> 'pool' = root OR starts_with(data ->> 'pool', root || '.')
    ))
"""
NOTICES = f"SELECT seq, data FROM notice WHERE {WHERE} ORDER BY seq LIMIT $2"
# Those of each project are read up to the limit, so a page costs as much as the notices of these projects, at most.
OF_PROJECTS = f"""
SELECT n.seq, n.data FROM unnest($7::text[]) AS w (wanted) CROSS JOIN LATERAL (
    SELECT seq, data FROM notice WHERE project = wanted AND {WHERE} ORDER BY seq LIMIT $2
) n ORDER BY n.seq LIMIT $2
"""


async def read_notices(
    database: Database,
    after: int,
    limit: int,
    project: str | None,
    kinds: Sequence[str] | None,
    made_until: datetime | None,
    within: Sight,
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of `{seq, notice}`, of the pools in `within`, and the `after` of the next page, None on the last. Raises
    InvalidField for an `after` beyond the last notice, UnknownId for the project."""
    asked = after, limit + 1, kinds, made_until, within.whole, within.parts
    if project is not None:
        records = await database.fetch(OF_PROJECTS, *asked, [project])
    elif not within.everything:
        records = await database.fetch(OF_PROJECTS, *asked, within.around)
    else:
        records = await database.fetch(NOTICES, *asked)
    if not records:
        check_after(after, await last_notice(database), "notice")
        await check_project(database, project)
    page = [{"seq": record["seq"], "notice": msgspec.Raw(record["data"].encode())} for record in records[:limit]]
    return page, records[limit - 1]["seq"] if len(records) > limit else None


NOTICES_AFTER = """
SELECT h.seq AS visible, n.seq, n.project, n.kind, n.data::text, n.data ->> 'pool'
FROM notice_head h LEFT JOIN LATERAL (
    SELECT seq, project, kind, data FROM notice WHERE seq > $1 ORDER BY seq LIMIT $2
) n ON true
ORDER BY n.seq
"""


async def read_new_notices(database: Database, after: int, limit: int) -> tuple[int, list[StreamEvent]]:
    """The number of the last notice, and at most `limit` notices after `after`."""
    records = await database.fetch(NOTICES_AFTER, after, limit)
    return records[0]["visible"], [stream_notice(record) for record in records if record["seq"] is not None]


NOTICES_WANTED = """
SELECT least($1 + $2, h.seq) AS looked, n.seq, n.project, n.kind, n.data::text, n.data ->> 'pool'
FROM notice_head h LEFT JOIN LATERAL (
    SELECT seq, project, kind, data FROM notice
    WHERE seq > $1 AND seq <= $1 + $2 AND ($3::text IS NULL OR project = $3) AND ($4::text[] IS NULL OR kind = ANY ($4))
    ORDER BY seq LIMIT $5
) n ON true
ORDER BY n.seq
"""


async def find_notices(
    database: Database, after: int, project: str | None, types: Sequence[str] | None, limit: int
) -> tuple[int, list[StreamEvent]]:
    """The next notices of a project and of some kinds, at most `limit`, and the last number that was looked at. None
    means all."""
    records = await database.fetch(NOTICES_WANTED, after, WINDOW, project, types, limit)
    notices = [stream_notice(record) for record in records if record["seq"] is not None]
    return notices[-1].position if len(notices) == limit else max(after, records[0]["looked"]), notices


def stream_notice(record: Record) -> StreamEvent:
    seq, project, kind, data, pool = record[1:6]
    frame = b'id: %d\ndata: {"seq":%d,"notice":%b}\n\n' % (seq, seq, one_line(data.encode()))
    return StreamEvent(seq, project, kind, frame, pool or "")


LAST_NOTICE = "SELECT seq FROM notice_head"


async def last_notice(database: Database) -> int:
    """The number of the newest notice."""
    record = await database.fetchrow(LAST_NOTICE)
    return 0 if record is None else int(record["seq"])
