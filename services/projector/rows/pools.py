"""Reads and writes the table pool."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.projector.projections.pools import PoolChange, PoolChanges, PoolRow, Pools
from services.projector.rows.copying import columns_of
from shared.events import Layout
from shared.hours import instant_of
from shared.postgres import Connection, Record

SHORT = ("masterflavor", "mastercount", "workerflavor", "workercount")
POOLS = "SELECT id, pool, parent, beyond_hours FROM pool WHERE generation = $1"


async def read_pools(connection: Connection, generation: int) -> Pools:
    pools = Pools()
    for pool in await connection.fetch(POOLS, generation):
        pools.add(pool["id"], pool["pool"], pool["parent"], pool["beyond_hours"])
    return pools


CREATE_POOLS = """
INSERT INTO pool (generation, pool, id, parent, project, name, kind, starts, ends, touched, beyond_hours, tentative,
                  claimed, masterflavor, mastercount, workerflavor, workercount, layout)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
                         $9::timestamptz[], $10::bigint[], $11::int[], $12::bool[], $13::bigint[], $14::text[],
                         $15::bigint[], $16::text[], $17::bigint[], $18::jsonb[])
"""
TOUCH_POOLS = """
UPDATE pool SET touched = t.position FROM unnest($2::int[], $3::bigint[]) AS t (pool, position)
WHERE pool.generation = $1 AND pool.pool = t.pool
"""


async def write_pools(connection: Connection, generation: int, pools: PoolChanges) -> None:
    if pools.created:
        rows = list(pools.created.values())
        layouts = [layout_columns(row.layout) for row in rows]
        await connection.execute(
            CREATE_POOLS,
            generation,
            list(pools.created),
            [row.id for row in rows],
            [row.parent for row in rows],
            [row.project for row in rows],
            [row.name for row in rows],
            [row.kind for row in rows],
            [_instant(row.start) for row in rows],
            [_instant(row.end) for row in rows],
            [pools.touched[number] for number in pools.created],
            [row.beyond_hours for row in rows],
            [row.tentative for row in rows],
            [row.claimed for row in rows],
            *columns_of(layouts),
        )
    before = {number: position for number, position in pools.touched.items() if number not in pools.created}
    if before:
        await connection.execute(TOUCH_POOLS, generation, list(before), list(before.values()))
    for number, row in pools.renewed.items():
        await _renew_pool(connection, generation, number, row)
    for number, change in pools.changed.items():
        await _change_pool(connection, generation, number, change)


# short_hour has only the hours of the cluster that has the name now. The one before it may have been planned for later
# hours, too. When the name is given again it holds nothing in any hour from then on, so nothing is lost here.
RENEW_POOL = """
UPDATE pool SET
    kind = $3, starts = $4, ends = $5, beyond_hours = $6, tentative = $7, claimed = $8, masterflavor = $9,
    mastercount = $10, workerflavor = $11, workercount = $12, layout = $13
WHERE generation = $1 AND pool = $2
"""
DELETE_FORMER_SHORT = "DELETE FROM short_hour WHERE generation = $1 AND pool = $2"


async def _renew_pool(connection: Connection, generation: int, number: int, row: PoolRow) -> None:
    await connection.execute(
        RENEW_POOL,
        generation,
        number,
        row.kind,
        _instant(row.start),
        _instant(row.end),
        row.beyond_hours,
        row.tentative,
        row.claimed,
        *layout_columns(row.layout),
    )
    await connection.execute(DELETE_FORMER_SHORT, generation, number)


CHANGE_POOL = """
UPDATE pool SET
    tentative = coalesce($3, tentative), claimed = coalesce($4, claimed),
    masterflavor = CASE WHEN $6::bigint IS NULL THEN masterflavor ELSE $5 END, mastercount = coalesce($6, mastercount),
    workerflavor = CASE WHEN $8::bigint IS NULL THEN workerflavor ELSE $7 END, workercount = coalesce($8, workercount),
    layout = CASE WHEN $6::bigint IS NULL THEN layout ELSE $9 END,
    starts = least(starts, $10), ends = least(ends, $10)
WHERE generation = $1 AND pool = $2
"""


async def _change_pool(connection: Connection, generation: int, number: int, change: PoolChange) -> None:
    layout = layout_columns(change.layout)
    closed = _instant(change.closed)
    await connection.execute(CHANGE_POOL, generation, number, change.tentative, change.claimed, *layout, closed)


def layout_columns(layout: Layout | None) -> tuple[str | None, int | None, str | None, int | None, str | None]:
    """The values of the columns masterflavor, mastercount, workerflavor, workercount and layout.

    A layout without masters or workers, or of nodes without a flavor, has no such flavor. The column `layout` has the
    whole of it, as the event has it; it is empty if there is no more than the other four say."""
    if layout is None:
        return (None, None, None, None, None)
    masters = layout.masterflavor or None, layout.mastercount
    workers = layout.workerflavor or None, layout.workercount
    whole = None if layout == _short(layout) else msgspec.json.encode(layout).decode()
    return (*masters, *workers, whole)


def layout_in(record: Record) -> Layout | None:
    """The layout of a row with those columns."""
    if record["mastercount"] is None:
        return None
    if record["layout"] is not None:
        return msgspec.json.decode(record["layout"], type=Layout)
    return Layout(**{name: record[name] for name in SHORT})


def _short(layout: Layout) -> Layout:
    return Layout(**{name: getattr(layout, name) for name in SHORT})


def _instant(hour: int | None) -> datetime | None:
    return None if hour is None else instant_of(hour)
