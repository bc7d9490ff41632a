"""Writes the tables availability_hour and short_hour (the over-committed hours)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np

from services.projector.projections.availability import HourRows
from services.projector.projections.pools import Pools
from services.projector.rows.copying import empty_rows, row_type
from shared.as_of import AMOUNTS
from shared.capacity import DIMENSIONS, Vector
from shared.hours import hour_of, instant_of
from shared.postgres import Connection, copy_rows, timestamps_of
from shared.timeline import Timeline

STAGED_COLUMNS = ["pool", "hour", *AMOUNTS]
COLUMNS = ["generation", *STAGED_COLUMNS]
WIDTHS = {"generation": 4, "pool": 4}  # in bytes; 8 for all others


STAGED_ROW, HOUR_ROW = (
    row_type(*((name, f">i{WIDTHS.get(name, 8)}") for name in columns)) for columns in (STAGED_COLUMNS, COLUMNS)
)

PACKED_ROWS = 20_000  # packed at a time: a few MiB

STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_hour (
    pool integer, hour timestamptz, granted_servers bigint, granted_cores bigint, granted_memory bigint,
    granted_tempdisc bigint, granted_userdisc bigint, granted_datadisc bigint, booked_servers bigint,
    booked_cores bigint, booked_memory bigint, booked_tempdisc bigint, booked_userdisc bigint, booked_datadisc bigint,
    shares bigint
) ON COMMIT DELETE ROWS
"""


async def prepare_hours(connection: Connection) -> None:
    """Prepares a connection for `write_hours`: makes the temporary table staged_hour."""
    await connection.execute("SET client_min_messages = warning")
    await connection.execute(STAGE)


SIZES = """
SELECT hour, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc
FROM availability_hour WHERE generation = $1 AND pool = $2 AND hour >= $3 AND hour < $4
"""


async def read_sizes(
    connection: Connection, generation: int, pools: Pools, ranges: dict[str, tuple[int, int]]
) -> dict[str, Timeline]:
    """What each cluster is granted before the batch, in the hours `[start, end)` of `ranges`."""
    sizes = {}
    for cluster, (start, end) in ranges.items():
        cells = np.zeros((end - start, len(DIMENSIONS)), dtype=np.int64)
        if number := pools.numbers.get(cluster):
            records = await connection.fetch(SIZES, generation, number, instant_of(start), instant_of(end))
            for hour, *counts in records:
                cells[hour_of(hour) - start] = counts
        sizes[cluster] = Timeline()
        sizes[cluster].write(start, end, cells)
    return sizes


EMPTY_STAGED = "TRUNCATE staged_hour"


async def empty_staged(connection: Connection) -> None:
    """Empties staged_hour before the transaction ends, so that hours can be written a second time in it."""
    await connection.execute(EMPTY_STAGED)


ADD_HOURS = """
INSERT INTO availability_hour AS a
SELECT $1, s.* FROM staged_hour s
ON CONFLICT (generation, pool, hour) DO UPDATE SET
    granted_servers = a.granted_servers + excluded.granted_servers,
    granted_cores = a.granted_cores + excluded.granted_cores,
    granted_memory = a.granted_memory + excluded.granted_memory,
    granted_tempdisc = a.granted_tempdisc + excluded.granted_tempdisc,
    granted_userdisc = a.granted_userdisc + excluded.granted_userdisc,
    granted_datadisc = a.granted_datadisc + excluded.granted_datadisc,
    booked_servers = a.booked_servers + excluded.booked_servers,
    booked_cores = a.booked_cores + excluded.booked_cores,
    booked_memory = a.booked_memory + excluded.booked_memory,
    booked_tempdisc = a.booked_tempdisc + excluded.booked_tempdisc,
    booked_userdisc = a.booked_userdisc + excluded.booked_userdisc,
    booked_datadisc = a.booked_datadisc + excluded.booked_datadisc,
    shares = a.shares + excluded.shares
"""


async def write_hours(
    connection: Connection, generation: int, rows: Iterable[HourRows], policy: Callable[[int], int | None]
) -> None:
    """Adds to the hours. `rows` has each hour once, in the order of the key. `policy` returns a pool's `beyond_hours`:
    None if it never over-commits."""
    if pools := await _copy_hours(connection, "staged_hour", rows, STAGED_ROW):
        await connection.execute(ADD_HOURS, generation)
        if overcommitting := [pool for pool in pools if policy(pool) is not None]:
            await _update_short(connection, generation, overcommitting)


async def write_first_hours(
    connection: Connection, generation: int, rows: Iterable[HourRows], policy: Callable[[int], int | None]
) -> None:
    """As `write_hours`, for pools that have no hours in this generation yet: inserts them, in a third of the time."""
    pools = await _copy_hours(connection, f"availability_hour_{generation}", rows, HOUR_ROW, generation)
    if overcommitting := [pool for pool in pools if policy(pool) is not None]:
        await connection.execute(ADD_FIRST_SHORT, generation, overcommitting)


async def _copy_hours(
    connection: Connection, table: str, rows: Iterable[HourRows], row: np.dtype[np.void], generation: int = 0
) -> list[int]:
    """Copies the rows into `table`, with one pool at a time in memory. Returns the pools' numbers."""
    pools: list[int] = []
    columns = [name for name in row.names or () if f"{name}_size" in (row.names or ())]

    def packed(every: Iterable[HourRows]) -> Iterator[bytes]:
        for pool, hours, amounts in every:
            pools.append(pool)
            for start in range(0, len(hours), PACKED_ROWS):
                part = slice(start, start + PACKED_ROWS)
                yield _pack_hours(row, generation, pool, hours[part], amounts[part])

    every = iter(rows)
    for first in every:
        await copy_rows(connection, table, packed(chain([first], every)), columns)
    return pools


def _pack_hours(row: np.dtype[np.void], generation: int, pool: int, hours: Vector, amounts: Vector) -> bytes:
    """The rows in COPY's binary format. `row` is their type, STAGED_ROW or HOUR_ROW."""
    names = row.names or ()
    rows = empty_rows(len(hours), row, (len(names) - 1) // 2)
    if "generation" in names:
        rows["generation"] = generation
    rows["pool"], rows["hour"] = pool, timestamps_of(hours)
    for column, name in enumerate(AMOUNTS):
        rows[name] = amounts[:, column]
    return rows.tobytes()


DELETE_SHORT = """
DELETE FROM short_hour s USING staged_hour t
WHERE s.generation = $1 AND s.pool = ANY ($2) AND s.pool = t.pool AND s.hour = t.hour
"""
SHORT = """(
    a.granted_servers - a.booked_servers < reserved(a.granted_servers, a.shares)
    OR a.granted_cores - a.booked_cores < reserved(a.granted_cores, a.shares)
    OR a.granted_memory - a.booked_memory < reserved(a.granted_memory, a.shares)
    OR a.granted_tempdisc - a.booked_tempdisc < reserved(a.granted_tempdisc, a.shares)
    OR a.granted_userdisc - a.booked_userdisc < reserved(a.granted_userdisc, a.shares)
    OR a.granted_datadisc - a.booked_datadisc < reserved(a.granted_datadisc, a.shares)
)"""
# Leaves out the hours of an ended cluster whose name another one has.
OF_CURRENT = "(p.starts IS NULL OR a.hour >= p.starts)"
ADD_SHORT = f"""
INSERT INTO short_hour
SELECT a.generation, a.pool, a.hour
FROM staged_hour t JOIN availability_hour a ON a.generation = $1 AND a.pool = t.pool AND a.hour = t.hour
JOIN pool p ON p.generation = a.generation AND p.pool = a.pool AND {OF_CURRENT}
WHERE t.pool = ANY ($2) AND {SHORT}
"""
ADD_FIRST_SHORT = f"""
INSERT INTO short_hour
SELECT a.generation, a.pool, a.hour FROM availability_hour a
JOIN pool p ON p.generation = a.generation AND p.pool = a.pool AND {OF_CURRENT}
WHERE a.generation = $1 AND a.pool = ANY ($2) AND {SHORT}
"""


async def _update_short(connection: Connection, generation: int, pools: list[int]) -> None:
    """Updates short_hour for the staged hours of these pools."""
    await connection.execute(DELETE_SHORT, generation, pools)
    await connection.execute(ADD_SHORT, generation, pools)
