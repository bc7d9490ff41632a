"""The hours of one pool, in one indexed range scan, packed as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from services.query.answers.cache import Version
from services.query.answers.freshness import Looked
from services.query.database import live
from services.query.held_hours import NOTHING_SEEN, Asked, Columns, Held, HeldHours, Seen
from services.query.rollup import Cells, scatter
from shared.capacity import DIMENSIONS
from shared.errors import UnknownId
from shared.hours import Period, instant_of
from shared.postgres import Reader


class Hours(NamedTuple):
    """A pool's hours in one snapshot: `cells`, shape (columns, hours), of the columns that were read.

    `pool` is the pool's key in the tables. `own` is a cluster's own period, outside of which it has nothing; None for a
    project.
    """

    position: int
    version: Version
    pool: int
    project: str
    own: Period | None
    cells: Cells


HOURS = """
SELECT g.generation, g.position, p.pool, p.touched, p.project,
    (extract(epoch FROM p.starts) / 3600)::bigint, (extract(epoch FROM p.ends) / 3600)::bigint, h.*
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT {columns} FROM availability_hour a
    WHERE a.generation = g.generation AND a.pool = p.pool AND a.hour >= $2 AND a.hour < $3
) h ON true
WHERE g.live
"""
# Only what a read that saw $4 to $9 (a Seen) has not seen: nothing while the pool is at the same position. The horizon
# says nothing about rows of another server, another term or another generation, nor to a snapshot before that read.
# After a crash PostgreSQL may give the ids of transactions again whose commit did not wait for the disc. If only one of
# its processes has crashed, it has no new start, but its statistics begin anew.
HOURS_SINCE = """
SELECT g.generation, t.term, s.started, p.pool, p.touched,
    pg_snapshot_xmin(pg_current_snapshot())::text, k.continues, g.position, g.roles_changed, p.project,
    (extract(epoch FROM p.starts) / 3600)::bigint, (extract(epoch FROM p.ends) / 3600)::bigint, h.*
FROM generation g
LEFT JOIN store_term t ON true
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
CROSS JOIN (SELECT ARRAY[pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time()]) AS s (started)
CROSS JOIN LATERAL (SELECT coalesce(
    g.generation = $4 AND t.term = $5 AND s.started = $6 AND p.pool = $7 AND p.touched >= $8, false
)) AS k (continues)
LEFT JOIN LATERAL (
    SELECT {columns} FROM availability_hour a
    WHERE a.generation = g.generation AND a.pool = p.pool AND a.hour >= $2 AND a.hour < $3
        AND (NOT k.continues OR p.touched <> $8)
        AND (NOT k.continues OR age(a.xmin) <= (SELECT age($9::text::xid8::xid)))
) h ON true
WHERE g.live
"""
PACKED = {
    "granted": "string_agg(int8send(granted_{0}), ''::bytea)",
    "booked": "string_agg(int8send(booked_{0}), ''::bytea)",
    "available": "string_agg(int8send(granted_{0} - booked_{0} - reserved(granted_{0}, shares)), ''::bytea)",
}
SHARES = "string_agg(int8send(shares), ''::bytea)"


@lru_cache(maxsize=1024)
def hours_statement(columns: Columns) -> str:
    """HOURS with packed columns. No text of a client goes into it."""
    return HOURS.format(columns=", ".join(packed(columns)))


@lru_cache(maxsize=1024)
def since_statement(columns: Columns) -> str:
    """HOURS_SINCE with packed columns. No text of a client goes into it."""
    return HOURS_SINCE.format(columns=", ".join(packed(columns)))


def packed(columns: Columns) -> list[str]:
    """The aggregates that pack the hours, and each of the columns. All of them see the rows in the same order."""
    assert all(dimension in DIMENSIONS for value, dimension in columns if value != "shares")
    cells = [SHARES if value == "shares" else PACKED[value].format(dimension) for value, dimension in columns]
    return ["string_agg(timestamptz_send(hour), ''::bytea)", *cells]


def columns_of(read: Sequence[str], dimensions: Sequence[str]) -> Columns:
    """The columns that hold these values (those that `values_to_read` names) of these dimensions."""
    counted = tuple((value, dimension) for value in read if value != "shares" for dimension in dimensions)
    return (*counted, ("shares", "")) if "shares" in read else counted


def by_value(read: Sequence[str], dimensions: Sequence[str], cells: Cells) -> Mapping[str, Cells]:
    """The inverse of `columns_of`: for each value its cells, shape (dimensions, hours); for `shares`, (1, hours)."""
    width, found = len(dimensions), dict[str, Cells]()
    for place, value in enumerate(value for value in read if value != "shares"):
        found[value] = cells[place * width : (place + 1) * width]
    if "shares" in read:
        found["shares"] = cells[-1:]
    return found


async def read_hours(
    reader: Reader, pool_id: str, period: Period, columns: Columns, unknown: UnknownId, held: HeldHours | None = None
) -> Hours:
    """The hours of the period. An hour without a row is zero. Raises `unknown` for a pool that does not exist.

    `held` are hours that were read from the same database before."""
    if held is not None:
        asked = Asked(pool_id, period, columns)
        _, found = await read_since(reader, asked, held.get(asked), held)
        if found is None:
            raise unknown
        return found
    start, end = (instant_of(hour) for hour in period)
    record = live(await reader.fetchrow(hours_statement(columns), pool_id, start, end))
    generation, position, pool, touched, project, starts, ends, hours, *packed = record
    if pool is None:
        raise unknown
    own = None if starts is None else Period(starts, ends)
    cells = scatter(period, hours or b"", [column or b"" for column in packed])
    return Hours(position, Version(generation, touched), pool, project, own, cells)


async def read_since(reader: Reader, asked: Asked, before: Held | None, held: HeldHours) -> tuple[Looked, Hours | None]:
    """The version of a pool and its hours, None for a pool that does not exist. It reads the rows that have changed
    since the hours were as in `before`, all without it, and holds them as they are now."""
    start, end = (instant_of(hour) for hour in asked.period)
    record = live(
        await reader.fetchrow(
            since_statement(asked.columns), asked.pool, start, end, *(NOTHING_SEEN if before is None else before.seen)
        )
    )
    generation, term, started, pool, touched, horizon, continues, position, roles, project, starts, ends = record[:12]
    looked = Looked(generation, position, roles, term, touched)
    if pool is None:
        return looked, None
    if before is not None and continues and before.seen.touched == touched:
        cells = before.cells
    else:
        changed = record[12] or b"", [column or b"" for column in record[13:]]
        cells = scatter(asked.period, *changed, before.cells if before is not None and continues else None)
        held.put(asked, Held(Seen(generation, term, started, pool, touched, horizon), cells))
    own = None if starts is None else Period(starts, ends)
    return looked, Hours(position, Version(generation, touched), pool, project, own, cells)


def within(period: Period, own: Period | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which hours of the period lie in the pool's own period; all of them if it has none. Bools of shape (hours,)."""
    hours = np.arange(*period)
    return np.ones(len(hours), dtype=bool) if own is None else (hours >= own.start) & (hours < own.end)
