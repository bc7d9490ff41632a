"""Rows of live_booking: reads last segments, writes what a batch changed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import numpy as np

from services.projector.projections.bookings import BookingChanges, BookingRow, BookingRows
from services.projector.rows.copying import COUNTS, NULL, Rows, counts_of, empty_rows, packed_text, row_type, with_tails
from shared.capacity import DIMENSIONS, Vector
from shared.events import FromTemplate
from shared.events.batch import BookingColumns
from shared.hours import hour_of, instant_of
from shared.postgres import EPOCH_HOUR, HOUR_US, Connection, Record, copy_rows, timestamps_of

COLUMNS = [
    *("generation", "id", "segment", "pool", "starts", "ends", *DIMENSIONS, "share", "tentative", "created", "claimed"),
    *("actor", "account", "template", "template_version", "template_count", "series", "changed"),
]
KEY = struct.Struct(">h ii i16s ii ii iq iq")
CLAIM = struct.Struct(">ii ib iq iq")
NO_ORIGIN = NULL * 5  # no template, no series, and no change after the claim

# Columns that are named and typed as the fields of a BookingRow.
PLAIN = ("pool", "actor", "account", "share", "tentative", "created", "claimed", "segment", "series")

LAST_SEGMENTS = """
SELECT DISTINCT ON (id) id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, account,
    share, tentative, created, claimed, segment, template, template_version, template_count, series, changed
FROM {table} WHERE generation = $1 AND id = ANY ($2) ORDER BY id, segment DESC
"""


def table_of(generation: int) -> str:
    """The generation's own partition of live_booking. During a bulk load it is a table that is not attached yet."""
    return f"live_booking_{generation}"


async def read_bookings(connection: Connection, generation: int, ids: set[UUID]) -> dict[UUID, BookingRow]:
    """The last segment of each of these bookings; a booking without one is left out."""
    if not ids:
        return {}
    known: dict[UUID, BookingRow] = {}
    for record in await connection.fetch(LAST_SEGMENTS.format(table=table_of(generation)), generation, list(ids)):
        known[record["id"]] = row_of(record, record["changed"])
    return known


def row_of(record: Record, changed: int | None) -> BookingRow:
    """A row of live_booking, or a version of one, as the fold has it."""
    name, version, count = record["template"], record["template_version"], record["template_count"]
    return BookingRow(
        start=hour_of(record["starts"]),
        end=hour_of(record["ends"]),
        counts=counts_of(record),
        **{field: record[field] for field in PLAIN},
        template=None if name is None else FromTemplate(name=name, version=version, count=count),
        changed=changed,
    )


def pack_bookings(generation: int, changes: BookingChanges) -> list[bytes]:
    """The rows to insert, in COPY's binary format."""
    packed = [_pack(generation, *row) for row in changes.rows()]
    if changes.many is not None:
        packed += pack_many(generation, changes.many)
    return packed


async def write_bookings(
    connection: Connection, generation: int, changes: BookingChanges, packed: Sequence[bytes]
) -> None:
    if changes.known:
        await _delete_known(connection, generation, changes)
    if packed:
        await copy_rows(connection, table_of(generation), packed, COLUMNS)
    if changes.ends or changes.many_ends[0]:
        await _cut(connection, generation, changes)
    if changes.tentative:
        await _set_tentative(connection, generation, changes.tentative)


DELETE_KNOWN = """
DELETE FROM {table} b USING unnest($2::uuid[], $3::int[]) AS t (id, segment)
WHERE b.generation = $1 AND b.id = t.id AND b.segment = t.segment
"""


async def _delete_known(connection: Connection, generation: int, changes: BookingChanges) -> None:
    """Deletes the segments that this batch writes again."""
    segments = [row.segment for row in changes.known.values()]
    await connection.execute(DELETE_KNOWN.format(table=table_of(generation)), generation, list(changes.known), segments)


# Only the last segment of a booking ends after the hour at which it is cut.
CUT = """
UPDATE {table} b SET ends = t.ends, tentative = false, changed = t.changed
FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[]) AS t (id, ends, changed)
WHERE b.generation = $1 AND b.id = t.id AND b.ends > t.ends
"""
DELETE_EMPTY = "DELETE FROM {table} WHERE generation = $1 AND id = ANY ($2) AND ends <= starts"


def ends_of(changes: BookingChanges) -> tuple[list[UUID | str], list[datetime], list[int]]:
    """Of each booking that ends: its id, when it ends now, and the position of the event that says so."""
    ids, hours, positions = changes.many_ends
    ends = [*[end for end, _ in changes.ends.values()], *hours]
    changed = [*[position for _, position in changes.ends.values()], *positions]
    return [*changes.ends, *ids], [instant_of(end) for end in ends], changed


async def _cut(connection: Connection, generation: int, changes: BookingChanges) -> None:
    table, (ids, instants, positions) = table_of(generation), ends_of(changes)
    await connection.execute(CUT.format(table=table), generation, ids, instants, positions)
    await connection.execute(DELETE_EMPTY.format(table=table), generation, ids)


SET_TENTATIVE = """
UPDATE {table} b SET tentative = t.tentative, changed = t.changed
FROM unnest($2::uuid[], $3::bool[], $4::bigint[]) AS t (id, tentative, changed)
WHERE b.generation = $1 AND b.id = t.id AND NOT EXISTS (
    SELECT FROM {table} later WHERE later.generation = $1 AND later.id = b.id AND later.segment > b.segment
)
"""


async def _set_tentative(connection: Connection, generation: int, tentative: dict[UUID, tuple[bool, int]]) -> None:
    statement = SET_TENTATIVE.format(table=table_of(generation))
    marks, positions = zip(*tentative.values(), strict=True)
    await connection.execute(statement, generation, list(tentative), marks, positions)


def _pack(generation: int, booking: UUID, row: BookingRow) -> bytes:
    """A row in COPY's binary format: the number of columns, then each value after its length in bytes."""
    a, b, c, d, e, f = row.counts
    starts, ends = (row.start - EPOCH_HOUR) * HOUR_US, (row.end - EPOCH_HOUR) * HOUR_US
    fixed = KEY.pack(len(COLUMNS), 4, generation, 16, booking.bytes, 4, row.segment, 4, row.pool, 8, starts, 8, ends)
    fixed += COUNTS.pack(8, a, 8, b, 8, c, 8, d, 8, e, 8, f)
    fixed += CLAIM.pack(4, row.share, 1, row.tentative, 8, row.created, 8, row.claimed)
    template, series, changed = row.template, row.series, row.changed
    if template is None and series is None and changed is None:
        return fixed + _pack_people(row.actor, row.account) + NO_ORIGIN
    return fixed + _pack_people(row.actor, row.account) + _pack_origin(template, series) + _pack_number(changed)


OF_A_CLAIM = (  # the columns that a table has of each booking, up to actor
    *(("id", "V16"), ("segment", ">i4"), ("pool", ">i4"), ("starts", ">i8"), ("ends", ">i8")),
    *((dimension, ">i8") for dimension in DIMENSIONS),
    *(("share", ">i4"), ("tentative", "i1"), ("created", ">i8"), ("claimed", ">i8")),
)
FIXED = row_type(("generation", ">i4"), *OF_A_CLAIM)  # as `_pack` packs them


PACKED_ROWS = 2000  # packed at a time: their memory stays in the processor's cache


def pack_many(generation: int, rows: BookingRows) -> list[bytes]:
    """The rows in COPY's binary format, by columns."""
    starts = range(0, len(rows.pools), PACKED_ROWS)
    pieces = (rows.only(slice(start, start + PACKED_ROWS)) for start in starts)
    return [packed for piece in pieces for packed in _pack_piece(generation, piece)]


def _pack_piece(generation: int, rows: BookingRows) -> list[bytes]:
    fixed = empty_rows(rows.events.rows, FIXED, len(COLUMNS))
    fixed["generation"] = generation
    fill_claims(fixed, rows)
    numbers, tails = tails_of(rows.events)
    return with_tails(fixed, numbers, [tail + NULL for tail in tails])  # no event has changed them: NULL


def tails_of(events: BookingColumns) -> tuple[Vector, list[bytes]]:
    """(The number of each row's tail, the different tails by number.) A tail is packed: the columns from actor to
    series."""
    actors, accounts, templates, series = events.actors, events.accounts, events.templates, events.series
    mixed = np.zeros(events.rows, dtype=np.int64)
    for column in (actors, accounts, templates, series):
        mixed = mixed * len(column.values) + column.numbers
    _, firsts, numbers = np.unique(mixed, return_index=True, return_inverse=True)
    return numbers, [
        _pack_people(actors.at(row), accounts.at(row)) + _pack_origin(templates.at(row), series.at(row))
        for row in firsts.tolist()
    ]


def fill_claims(fixed: Rows, rows: BookingRows) -> None:
    """Sets the columns OF_A_CLAIM of new bookings."""
    events = rows.events
    fixed["id"] = np.ascontiguousarray(events.ids).view("V16")[:, 0]
    fixed["segment"], fixed["pool"] = 0, rows.pools
    fixed["share"], fixed["tentative"] = events.shares, events.tentative
    fixed["starts"], fixed["ends"] = timestamps_of(events.starts), timestamps_of(events.ends)
    fixed["created"] = fixed["claimed"] = rows.positions
    for column, dimension in enumerate(DIMENSIONS):
        fixed[dimension] = events.counts[:, column]


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
