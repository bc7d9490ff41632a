"""live_booking."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

from services.projector.projections.bookings import BookingChanges, BookingRow
from services.projector.rows.copying import NULL, packed_text
from shared.capacity import DIMENSIONS
from shared.events import FromTemplate
from shared.hours import hour_of, instant_of
from shared.postgres import EPOCH_HOUR, HOUR_US, Connection, copy_rows

COLUMNS = [
    "generation",
    "id",
    "segment",
    "pool",
    "starts",
    "ends",
    *DIMENSIONS,
    "share",
    "tentative",
    "created",
    "claimed",
    "actor",
    "account",
    "template",
    "template_version",
    "template_count",
    "series",
    "changed",
]
FIXED = struct.Struct(">h ii i16s ii ii iq iq" + "iq" * len(DIMENSIONS) + "ii ib iq iq")
PLAIN = NULL * 5  # of no template and no series, and nothing has changed since it was claimed

LAST_SEGMENTS = """
SELECT DISTINCT ON (id) id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, account,
    share, tentative, created, claimed, segment, template, template_version, template_count, series, changed
FROM {table} WHERE generation = $1 AND id = ANY ($2) ORDER BY id, segment DESC
"""


def table_of(generation: int) -> str:
    """The generation's own part of live_booking, which while it is filled is not a part of it yet."""
    return f"live_booking_{generation}"


async def read_bookings(connection: Connection, generation: int, ids: set[UUID]) -> dict[UUID, BookingRow]:
    """The last segment of each of the bookings, of which something is left."""
    if not ids:
        return {}
    known: dict[UUID, BookingRow] = {}
    for record in await connection.fetch(LAST_SEGMENTS.format(table=table_of(generation)), generation, list(ids)):
        name, version, count = record["template"], record["template_version"], record["template_count"]
        a, b, c, d, e, f = (record[dimension] for dimension in DIMENSIONS)
        known[record["id"]] = (
            record["pool"],
            hour_of(record["starts"]),
            hour_of(record["ends"]),
            (a, b, c, d, e, f),
            record["actor"],
            record["account"],
            record["share"],
            record["tentative"],
            record["created"],
            record["claimed"],
            record["segment"],
            None if name is None else FromTemplate(name=name, version=version, count=count),
            record["series"],
            record["changed"],
        )
    return known


def pack_bookings(generation: int, changes: BookingChanges) -> list[bytes]:
    """The rows to write, as COPY's binary format has them."""
    return [_pack(generation, *row) for row in changes.rows()]


async def write_bookings(
    connection: Connection, generation: int, changes: BookingChanges, packed: Sequence[bytes]
) -> None:
    if changes.known:
        await _forget(connection, generation, changes)
    if packed:
        await copy_rows(connection, table_of(generation), packed, COLUMNS)
    if changes.ends:
        await _cut(connection, generation, changes.ends)
    if changes.tentative:
        await _mark(connection, generation, changes.tentative)


FORGET = """
DELETE FROM {table} b USING unnest($2::uuid[], $3::int[]) AS t (id, segment)
WHERE b.generation = $1 AND b.id = t.id AND b.segment = t.segment
"""


async def _forget(connection: Connection, generation: int, changes: BookingChanges) -> None:
    """Removes the segments that are written anew."""
    segments = [row[10] for row in changes.known.values()]
    await connection.execute(FORGET.format(table=table_of(generation)), generation, list(changes.known), segments)


# Only the last segment of a booking ends after the hour at which it is cut.
CUT = """
UPDATE {table} b SET ends = t.ends, tentative = false, changed = t.changed
FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[]) AS t (id, ends, changed)
WHERE b.generation = $1 AND b.id = t.id AND b.ends > t.ends
"""
DROP = "DELETE FROM {table} WHERE generation = $1 AND id = ANY ($2) AND ends <= starts"


async def _cut(connection: Connection, generation: int, ends: dict[UUID, tuple[int, int]]) -> None:
    ids, table = list(ends), table_of(generation)
    instants, positions = [instant_of(end) for end, _ in ends.values()], [position for _, position in ends.values()]
    await connection.execute(CUT.format(table=table), generation, ids, instants, positions)
    await connection.execute(DROP.format(table=table), generation, ids)


MARK = """
UPDATE {table} b SET tentative = t.tentative, changed = t.changed
FROM unnest($2::uuid[], $3::bool[], $4::bigint[]) AS t (id, tentative, changed)
WHERE b.generation = $1 AND b.id = t.id AND NOT EXISTS (
    SELECT FROM {table} later WHERE later.generation = $1 AND later.id = b.id AND later.segment > b.segment
)
"""


async def _mark(connection: Connection, generation: int, tentative: dict[UUID, tuple[bool, int]]) -> None:
    mark = MARK.format(table=table_of(generation))
    marks, positions = zip(*tentative.values(), strict=True)
    await connection.execute(mark, generation, list(tentative), marks, positions)


def _pack(generation: int, booking: UUID, row: BookingRow) -> bytes:
    """A row as COPY's binary format has it."""
    (
        pool,
        start,
        end,
        (a, b, c, d, e, f),
        actor,
        account,
        share,
        tentative,
        created,
        claimed,
        segment,
        template,
        series,
        changed,
    ) = row
    fixed = FIXED.pack(
        len(COLUMNS),
        4,
        generation,
        16,
        booking.bytes,
        4,
        segment,
        4,
        pool,
        8,
        (start - EPOCH_HOUR) * HOUR_US,
        8,
        (end - EPOCH_HOUR) * HOUR_US,
        8,
        a,
        8,
        b,
        8,
        c,
        8,
        d,
        8,
        e,
        8,
        f,
        4,
        share,
        1,
        tentative,
        8,
        created,
        8,
        claimed,
    )
    if template is None and series is None and changed is None:
        return fixed + _pack_people(actor, account) + PLAIN
    return fixed + _pack_people(actor, account) + _pack_origin(template, series) + _pack_number(changed)


@lru_cache(maxsize=4096)  # a few people make most of the bookings
def _pack_people(actor: str, account: str) -> bytes:
    return packed_text(actor) + packed_text(account)


def _pack_origin(template: FromTemplate | None, series: UUID | None) -> bytes:
    origin = NULL * 3
    if template is not None:
        numbers = struct.pack(">iiiq", 4, template.version, 8, template.count)
        origin = packed_text(template.name) + numbers
    return origin + (NULL if series is None else b"\0\0\0\x10" + series.bytes)


def _pack_number(number: int | None) -> bytes:
    return NULL if number is None else struct.pack(">iq", 8, number)
