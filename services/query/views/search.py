"""Search in the history: a page of events that match a filter, ordered by position, found through one index.

Events that are not in the index yet are searched one by one, so that no answer misses an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.query.database import Database, NoGeneration
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
from shared.postgres import Record

NOT_INDEXED_MAX = 20_000  # events searched one by one
COUNTED_MAX = 1000


class IndexBehind(HourbookError):
    """Many events came at once, and the index of the history does not have them yet. Try again in a second."""

    code = "index_behind"
    status = 503
    title = "The index of the history is behind"


# A statement scans a part of an index in the order of the index, and stops at the limit. PostgreSQL plans a statement
# once for all arguments; it would take all events of the key and sort them, if nobody forbade that.
IN_ORDER = "SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)"
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
# $12 and $13 are the roots of a Sight: whole projects, and clusters.
WITHIN = """(i.project = ANY ($12::text[]) OR EXISTS (
        SELECT FROM unnest($13::text[]) AS r (root) WHERE i.pool = root OR starts_with(i.pool, root || '.')))"""
BETWEEN = "(i.{0}, i.position) > ({1}, $1) AND (i.{0}, i.position) < ({1}, $2) AND i.{0} IS NOT NULL"
# The events of one key up to the position at which the index, or the read models, end.
WALK = "(i.{0}, i.position) > ({1}, $1) AND (i.{0}, i.position) < ({1}, least($2, x.position + 1))"
COLUMNS = ("entity", "account", "pool", "actor", "type", "project")


def found_statement(between: str, order: str, about: str = ABOUT) -> str:
    return FOUND.format(between=between, about=about, order=order, behind=NOT_INDEXED_MAX)


# Each root is walked in its own index, up to the limit. So the answer costs as much as the events that it shows, not as
# the history. The read model `pool` says which pools lie inside a cluster, so the walk ends where the read models end.
BY_ROOT = f"""
SELECT h.position AS head, h.position - x.position AS behind, e.position, e.version, e.data
FROM event_head h CROSS JOIN (
    SELECT least(n.position, g.position) AS position, g.generation FROM event_index_head n, generation g WHERE g.live
) x LEFT JOIN LATERAL (
    (SELECT f.position FROM unnest($12::text[]) AS w (root) CROSS JOIN LATERAL (
        SELECT i.position FROM event_index i WHERE {WALK.format("project", "w.root")} AND {ABOUT}
        ORDER BY i.project, i.position LIMIT $3
    ) f)
    UNION ALL
    (SELECT f.position FROM pool p CROSS JOIN LATERAL (
        SELECT i.position FROM event_index i WHERE {WALK.format("pool", "p.id")} AND {ABOUT}
        ORDER BY i.pool, i.position LIMIT $3
    ) f WHERE p.generation = x.generation AND p.project = ANY ($14) AND EXISTS (
        SELECT FROM unnest($13::text[]) AS r (root) WHERE p.id = root OR starts_with(p.id, root || '.')))
    UNION ALL
    (SELECT i.position FROM described_events(x.position, least($2, x.position + {NOT_INDEXED_MAX} + 1)) i
     WHERE i.position > $1 AND {ABOUT} AND {WITHIN} LIMIT $3)
    ORDER BY position LIMIT $3
) f ON true LEFT JOIN event e ON e.position = f.position
ORDER BY f.position
"""


# All statements of a search. No text of a client goes into them.
BY_COLUMN = {column: found_statement(BETWEEN.format(column, "$12"), f"i.{column}, i.position") for column in COLUMNS}
BY_COLUMN_WITHIN = {
    column: found_statement(BETWEEN.format(column, "$14"), f"i.{column}, i.position", f"{ABOUT} AND {WITHIN}")
    for column in COLUMNS
}
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
            of_it = msgspec.structs.replace(EventFilter(before=last + 1, within=where.within), **{field: name})
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
    if not where.narrowed:
        plain = EventFilter(after=where.after, before=where.before, within=where.within)
        if where == plain:
            return await read_events(database, where.after, where.before, limit)
        if where.project is not None and where == msgspec.structs.replace(plain, project=where.project):
            return await read_project_events(database, where.project, where.after, where.before, limit)
    after = where.after
    if where.since is not None:  # the first event of that instant comes after this position
        after = max(after, await position_before(database, where.since))
    records = await (_read_narrowed if where.narrowed else _read_all)(database, where, after, limit)
    if not records:
        raise NoGeneration("no generation of the read models is live")
    check_indexed(records[0]["behind"])
    return history_of(records, limit)


def check_indexed(behind: int) -> None:
    """Raises IndexBehind if the index of the history is too many events behind."""
    if behind > NOT_INDEXED_MAX:
        raise IndexBehind(f"{behind} events are not indexed yet; try again in a second")


async def _read_all(database: Database, where: EventFilter, after: int, limit: int) -> Sequence[Record]:
    """The records of the matching events."""
    keys = where.keys()
    column = await rarest(database, after, where.before, keys) if len(keys) > 1 else next(iter(keys), None)
    arguments = _arguments(where, after, limit)
    if column is None:
        return await _walked(database, BY_POSITION, *arguments)
    return await _walked(database, BY_COLUMN[column], *arguments, keys[column])


async def _read_narrowed(database: Database, where: EventFilter, after: int, limit: int) -> Sequence[Record]:
    """The records of the matching events about pools in `within`. If few events match one of the keys, these are looked
    through; else the events of the roots are."""
    keys = {column: key for column, key in where.keys().items() if column != "project"}
    arguments = [*_arguments(where, after, limit), where.within.projects, where.within.clusters]
    for column, key in keys.items():
        if await counted(database, column, after, where.before, key) < COUNTED_MAX:
            return await _walked(database, BY_COLUMN_WITHIN[column], *arguments, key)
    return await _walked(database, BY_ROOT, *arguments, where.within.around)


async def _walked(database: Database, statement: str, *arguments: Any) -> Sequence[Record]:
    """The records of a statement that walks the index."""
    async with database.snapshot() as snapshot:
        await snapshot.fetchrow(IN_ORDER)
        return await snapshot.fetch(statement, *arguments)


def _arguments(where: EventFilter, after: int, limit: int) -> list[Any]:
    return [
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


COUNT = """
SELECT count(*) AS count FROM (
    SELECT FROM event_index i WHERE (i.{0}, i.position) > ($3, $1) AND (i.{0}, i.position) < ($3, $2)
        AND i.{0} IS NOT NULL LIMIT {1}
) AS counted
"""
COUNTS = {column: COUNT.format(column, COUNTED_MAX) for column in COLUMNS}


async def counted(database: Database, column: str, after: int, before: int, key: str) -> int:
    """The number of indexed events with this key, at most COUNTED_MAX."""
    record = await database.fetchrow(COUNTS[column], after, before, key)
    assert record is not None
    count: int = record["count"]
    return count


async def rarest(database: Database, after: int, before: int, keys: dict[str, str]) -> str:
    """The column whose key the fewest events have. Counts up to COUNTED_MAX, and stops at a column with few."""
    counts = {}
    for column, key in keys.items():
        counts[column] = await counted(database, column, after, before, key)
        if counts[column] < COUNTED_MAX // 10:
            break
    return min(counts, key=lambda column: counts[column])
