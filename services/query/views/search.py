"""Search in the history: a page of events that match a filter, ordered by position, found through one index.

Events that are not in the index yet are searched one by one, so that no answer misses an event.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.query.database import Database
from services.query.questions.events import EventFilter
from services.query.views.history import (
    History,
    check_after,
    check_project,
    history_of,
    position_before,
    read_events,
    read_project_events,
)
from shared.errors import HourbookError, UnknownId
from shared.event_store import POSITION_MAX

NOT_INDEXED_MAX = 20_000  # events searched one by one
COUNTED_MAX = 1000


class IndexBehind(HourbookError):
    """Many events came at once, and the index of the history does not have them yet. Try again in a second."""

    code = "index_behind"
    status = 503
    title = "The index of the history is behind"


# The statement scans a part of the index in the order of the index. PostgreSQL has no other plan for it, whatever its
# statistics are.
FOUND = """
SELECT h.position AS head, h.position - x.position AS behind, e.position, e.version, e.data
FROM event_head h CROSS JOIN event_index_head x LEFT JOIN LATERAL (
    (SELECT i.position FROM event_index i WHERE {between} AND {about} ORDER BY {order} LIMIT $3)
    UNION ALL
    (SELECT i.position FROM described_events(x.position, least($2, x.position + {behind} + 1)) i
     WHERE i.position > $1 AND {about} LIMIT $3)
    ORDER BY position LIMIT $3
) f ON true LEFT JOIN event e ON e.position = f.position
ORDER BY f.position
"""
ABOUT = """($4::text IS NULL OR i.project = $4) AND ($5::text[] IS NULL OR i.type = ANY ($5))
    AND ($6::text IS NULL OR i.actor = $6) AND ($7::text IS NULL OR i.account = $7)
    AND ($8::text IS NULL OR i.pool = $8) AND ($9::text IS NULL OR i.entity = $9)
    AND ($10::timestamptz IS NULL OR i.at >= $10) AND ($11::timestamptz IS NULL OR i.at < $11)"""
BETWEEN = "(i.{0}, i.position) > ($12, $1) AND (i.{0}, i.position) < ($12, $2) AND i.{0} IS NOT NULL"
COLUMNS = ("entity", "account", "pool", "actor", "type", "project")


def found_statement(between: str, order: str) -> str:
    return FOUND.format(between=between, about=ABOUT, order=order, behind=NOT_INDEXED_MAX)


# All statements of a search. No text of a client goes into them.
BY_COLUMN = {column: found_statement(BETWEEN.format(column), f"i.{column}, i.position") for column in COLUMNS}
BY_POSITION = found_statement("i.position > $1 AND i.position < $2", "i.position")


async def read_found(database: Database, where: EventFilter, limit: int, last: int = POSITION_MAX) -> History:
    """The matching events up to the position `last`, in order, at most `limit`. Raises IndexBehind, and UnknownId and
    InvalidField as `_check` does."""
    found = await _find(database, msgspec.structs.replace(where, before=min(where.before - 1, last) + 1), limit)
    found = found._replace(head=min(found.head, last))
    if not found.events:
        await _check(database, where, found.head)
    return found


async def _check(database: Database, where: EventFilter, last: int) -> None:
    """Checks a filter that matches nothing. Raises InvalidField for an `after` beyond the last event, UnknownId for a
    project, a pool or an entity that no event names."""
    check_after(where.after, last, "event")
    await check_project(database, where.project, last)
    for field, what, name in (("pool", "project or cluster", where.pool), ("entity", "entity", where.entity)):
        if name is not None:
            of_it = msgspec.structs.replace(EventFilter(before=last + 1), **{field: name})
            if not (await _find(database, of_it, 1)).events:
                raise UnknownId(field, what, name)


async def _find(database: Database, where: EventFilter, limit: int) -> History:
    """The matching events, whichever spelling of a name they have."""
    found = [await _find_spelled(database, one, limit) for one in where.spelled()]
    return found[0] if len(found) == 1 else merged(found, limit)


def merged(found: Sequence[History], limit: int) -> History:
    """One page of several. Its head is the lowest of their heads, because each page is complete up to its own."""
    head = min(history.head for history in found)
    events = sorted(
        (event for history in found for event in history.events if event.position <= head),
        key=lambda event: event.position,
    )
    goes_on = len(events) > limit or any(history.following is not None for history in found)
    return History(head, events[:limit], events[:limit][-1].position if goes_on and events else None)


async def _find_spelled(database: Database, where: EventFilter, limit: int) -> History:
    """As `_find`, for names in exactly this spelling."""
    if where == EventFilter(after=where.after, before=where.before):
        return await read_events(database, where.after, where.before, limit)
    if (
        where == EventFilter(after=where.after, before=where.before, project=where.project)
        and where.project is not None
    ):
        return await read_project_events(database, where.project, where.after, where.before, limit)
    after = where.after
    if where.since is not None:  # the first event of that instant comes after this position
        after = max(after, await position_before(database, where.since))
    keys = where.keys()
    column = await rarest(database, after, where.before, keys) if len(keys) > 1 else next(iter(keys), None)
    arguments = [
        after,
        where.before,
        limit + 1,
        where.project,
        None if where.types is None else list(where.types),
        where.actor,
        where.account,
        where.pool,
        where.entity,
        where.since,
        where.until,
    ]
    if column is None:
        records = await database.fetch(BY_POSITION, *arguments)
    else:
        records = await database.fetch(BY_COLUMN[column], *arguments, keys[column])
    if records[0]["behind"] > NOT_INDEXED_MAX:
        raise IndexBehind(f"{records[0]['behind']} events are not indexed yet; try again in a second")
    return history_of(records, limit)


COUNT = """
SELECT count(*) AS count FROM (
    SELECT FROM event_index i WHERE (i.{0}, i.position) > ($3, $1) AND (i.{0}, i.position) < ($3, $2)
        AND i.{0} IS NOT NULL LIMIT {1}
) AS counted
"""
COUNTS = {column: COUNT.format(column, COUNTED_MAX) for column in COLUMNS}


async def rarest(database: Database, after: int, before: int, keys: dict[str, str]) -> str:
    """The column whose key the fewest events have. Counts up to COUNTED_MAX, and stops at a column with few."""
    counts = {}
    for column, key in keys.items():
        record = await database.fetchrow(COUNTS[column], after, before, key)
        assert record is not None
        counts[column] = record["count"]
        if counts[column] < COUNTED_MAX // 10:
            break
    return min(counts, key=lambda column: counts[column])
