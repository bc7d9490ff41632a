"""The read models in PostgreSQL: what a generation knows, and the one write of a batch."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from services.projector.projections import Changes, decode_events, fold, resized_ranges
from services.projector.projections.availability import AvailabilityChanges
from services.projector.projections.claims import Claim, ClaimChanges
from services.projector.projections.pools import Pools
from shared.capacity import DIMENSIONS, Vector
from shared.hours import hour_of, instant_of
from shared.timeline import Timeline

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

AMOUNTS = [f"{group}_{dimension}" for group in ("granted", "booked") for dimension in DIMENSIONS]
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
HOUR_US = 3_600_000_000
Y2000 = 262_968  # the hour at which PostgreSQL's timestamps start
HOUR_ROW = np.dtype(
    [("fields", ">i2"), ("pool_size", ">i4"), ("pool", ">i4"), ("hour_size", ">i4"), ("hour", ">i8")]
    + [part for name in AMOUNTS for part in ((f"{name}_size", ">i4"), (name, ">i8"))]
)
CLAIM_HEAD = struct.Struct(">h ii i16s ii iq iq" + "iq" * len(DIMENSIONS))
CLAIM_FIELDS = 5 + len(DIMENSIONS) + 2


class Moved(Exception):
    """The checkpoint is not where this projector left it: another one moved it, or another generation is live."""


class Generation(msgspec.Struct):
    """A generation as a projector holds it: its number, the position that its rows account for, its pools."""

    number: int
    position: int
    pools: Pools
    live: bool = True
    parked_position: int | None = None


LIVE = "SELECT generation FROM generation WHERE live"
GENERATION = "SELECT position, live, parked_position FROM generation WHERE generation = $1"
POOLS = "SELECT id, pool, parent FROM pool WHERE generation = $1"


async def load_generation(connection: Connection, number: int | None = None) -> Generation:
    """A generation by its number; the live one by default. Raises LookupError when there is none."""
    number = number or await connection.fetchval(LIVE)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = await connection.fetchrow(GENERATION, number)
        if number is None or record is None:
            raise LookupError("no generation of the read models is live; run `hourbook migrate`")
        pools = Pools()
        for pool in await connection.fetch(POOLS, number):
            pools.add(pool["id"], pool["pool"], pool["parent"])
    return Generation(number, record["position"], pools, record["live"], record["parked_position"])


STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged_hour (
    pool integer, hour timestamptz, granted_servers bigint, granted_cores bigint, granted_memory bigint,
    granted_tempdisc bigint, granted_userdisc bigint, granted_datadisc bigint, booked_servers bigint,
    booked_cores bigint, booked_memory bigint, booked_tempdisc bigint, booked_userdisc bigint, booked_datadisc bigint
) ON COMMIT DELETE ROWS
"""


async def prepare(connection: Connection) -> None:
    """Makes what a connection needs before `write_batch`."""
    await connection.execute("SET client_min_messages = warning")
    await connection.execute(STAGE)


async def write_batch(
    connection: Connection, generation: Generation, stored: Sequence[bytes], *, live: bool = True
) -> None:
    """Folds the events after the generation's position and writes all that they change, in one transaction.

    Raises Moved, and changes nothing, when the checkpoint is not at that position (or, with `live`, when another
    generation has become the live one); msgspec.DecodeError, KeyError, ValueError or asyncpg.DataError on an event
    that cannot be applied.
    """
    position = generation.position
    events = decode_events(stored)
    async with connection.transaction():
        await _move_checkpoint(connection, generation, position + len(stored), live=live)
        sizes = await _sizes(connection, generation, resized_ranges(events))
        changes = fold(generation.pools, sizes, position + 1, events)
        await _write_pools(connection, generation, changes)
        await _write_hours(connection, generation, changes.availability)
        await _write_claims(connection, generation, "live_grant", "source", changes.grants)
        await _write_claims(connection, generation, "live_booking", "account", changes.bookings)
    generation.position = position + len(stored)
    for number, row in changes.pools.created.items():
        generation.pools.add(row.id, number, row.parent)


MOVE = """
UPDATE generation SET position = $3, moved_at = now(), parked_position = NULL, parked_error = NULL
WHERE generation = $1 AND position = $2 AND live = $4
"""


async def _move_checkpoint(connection: Connection, generation: Generation, position: int, *, live: bool) -> None:
    status = await connection.execute(MOVE, generation.number, generation.position, position, live)
    if status != "UPDATE 1":
        raise Moved(f"generation {generation.number} is not at position {generation.position} any more")


SIZES = """
SELECT hour, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc
FROM availability_hour WHERE generation = $1 AND pool = $2 AND hour >= $3 AND hour < $4
"""


async def _sizes(
    connection: Connection, generation: Generation, ranges: dict[str, tuple[int, int]]
) -> dict[str, Timeline]:
    """What was granted to each cluster before the batch, in the hours that the batch resizes."""
    sizes = {}
    for cluster, (start, end) in ranges.items():
        timeline = Timeline(start, np.zeros((end - start, len(DIMENSIONS)), dtype=np.int64))
        if number := generation.pools.numbers.get(cluster):
            records = await connection.fetch(SIZES, generation.number, number, instant_of(start), instant_of(end))
            for hour, *counts in records:
                timeline.cells[hour_of(hour) - start] = counts
        sizes[cluster] = timeline
    return sizes


CREATE_POOLS = """
INSERT INTO pool (generation, pool, id, parent, project, name, kind, starts, ends, touched)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[],
                         $8::timestamptz[], $9::timestamptz[], $10::bigint[])
"""
TOUCH_POOLS = """
UPDATE pool SET touched = t.position FROM unnest($2::int[], $3::bigint[]) AS t (pool, position)
WHERE pool.generation = $1 AND pool.pool = t.pool
"""


async def _write_pools(connection: Connection, generation: Generation, changes: Changes) -> None:
    pools = changes.pools
    if pools.created:
        rows = list(pools.created.values())
        await connection.execute(
            CREATE_POOLS, generation.number, list(pools.created), [row.id for row in rows],
            [row.parent for row in rows], [row.project for row in rows], [row.name for row in rows],
            [row.kind for row in rows], [_instant(row.start) for row in rows], [_instant(row.end) for row in rows],
            [pools.touched[number] for number in pools.created],
        )  # fmt: skip
    before = {number: position for number, position in pools.touched.items() if number not in pools.created}
    if before:
        await connection.execute(TOUCH_POOLS, generation.number, list(before), list(before.values()))


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
    booked_datadisc = a.booked_datadisc + excluded.booked_datadisc
"""


async def _write_hours(connection: Connection, generation: Generation, changes: AvailabilityChanges) -> None:
    """Every row that the batch touches once, in the order of the key."""
    packed = [_pack_hours(pool, hours, amounts) for pool, hours, amounts in changes.rows()]
    if packed:
        await _copy(connection, "staged_hour", packed)
        await connection.execute(ADD_HOURS, generation.number)


def _pack_hours(pool: int, hours: Vector, amounts: Vector) -> bytes:
    """Rows of staged_hour as COPY's binary format has them."""
    rows = np.empty(len(hours), dtype=HOUR_ROW)
    rows["fields"], rows["pool_size"], rows["pool"] = 2 + len(AMOUNTS), 4, pool
    rows["hour_size"], rows["hour"] = 8, (hours - Y2000) * HOUR_US
    for column, name in enumerate(AMOUNTS):
        rows[f"{name}_size"], rows[name] = 8, amounts[:, column]
    return rows.tobytes()


CUT_GRANTS = """
UPDATE live_grant SET ends = t.ends FROM unnest($2::uuid[], $3::timestamptz[]) AS t (id, ends)
WHERE live_grant.generation = $1 AND live_grant.id = t.id
"""
CUT_BOOKINGS = """
UPDATE live_booking SET ends = t.ends FROM unnest($2::uuid[], $3::timestamptz[]) AS t (id, ends)
WHERE live_booking.generation = $1 AND live_booking.id = t.id
"""
DROP_GRANTS = "DELETE FROM live_grant WHERE generation = $1 AND id = ANY ($2) AND ends <= starts"
DROP_BOOKINGS = "DELETE FROM live_booking WHERE generation = $1 AND id = ANY ($2) AND ends <= starts"
CUTS = {"live_grant": (CUT_GRANTS, DROP_GRANTS), "live_booking": (CUT_BOOKINGS, DROP_BOOKINGS)}


async def _write_claims(
    connection: Connection, generation: Generation, table: str, told: str, changes: ClaimChanges
) -> None:
    if changes.created:
        columns = ["generation", "id", "pool", "starts", "ends", *DIMENSIONS, "actor", told]
        packed = [_pack_claim(generation.number, *created) for created in changes.created.items()]
        await _copy(connection, f"{table}_{generation.number}", packed, columns)
    if changes.ends:
        cut, drop = CUTS[table]
        ids, ends = list(changes.ends), [instant_of(end) for end in changes.ends.values()]
        await connection.execute(cut, generation.number, ids, ends)
        await connection.execute(drop, generation.number, ids)


def _pack_claim(generation: int, claim_id: UUID, claim: Claim) -> bytes:
    """A row of live_grant or live_booking as COPY's binary format has it."""
    pool, start, end, (a, b, c, d, e, f), by, named = claim
    actor, told = by.encode(), None if named is None else named.encode()
    head = CLAIM_HEAD.pack(
        CLAIM_FIELDS, 4, generation, 16, claim_id.bytes, 4, pool,
        8, (start - Y2000) * HOUR_US, 8, (end - Y2000) * HOUR_US,
        8, a, 8, b, 8, c, 8, d, 8, e, 8, f,
    )  # fmt: skip
    size = len(actor).to_bytes(4, "big")
    if told is None:
        return head + size + actor + b"\xff\xff\xff\xff"
    return head + size + actor + len(told).to_bytes(4, "big") + told


async def _copy(
    connection: Connection, table: str, packed: Iterable[bytes], columns: Sequence[str] | None = None
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield COPY_HEAD
        yield b"".join(packed)
        yield COPY_END

    await connection.copy_to_table(table, source=chunks(), columns=columns, format="binary")


PARK = "UPDATE generation SET parked_position = $2, parked_error = $3 WHERE generation = $1 AND position = $2 - 1"


async def park(connection: Connection, generation: Generation, error: Exception) -> None:
    """Notes the event that cannot be applied; the generation stays where it is, before it."""
    generation.parked_position = generation.position + 1
    await connection.execute(PARK, generation.number, generation.parked_position, f"{type(error).__name__}: {error}")


def _instant(hour: int | None) -> datetime | None:
    return None if hour is None else instant_of(hour)
