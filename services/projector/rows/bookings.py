"""Rows of live_booking: reads last segments, writes what a batch changed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.projector.projections.bookings import BookingChanges, BookingRow, BookingRows
from services.projector.rows.copying import COUNTS, NULL, counts_of, packed_text
from shared.capacity import DIMENSIONS, Vector
from shared.events import FromTemplate
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


async def _cut(connection: Connection, generation: int, changes: BookingChanges) -> None:
    many, table = changes.many_ends, table_of(generation)
    ids: list[UUID | str] = [*changes.ends, *many[0]]
    instants = [instant_of(end) for end in (*(end for end, _ in changes.ends.values()), *many[1])]
    positions = [*(position for _, position in changes.ends.values()), *many[2]]
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


FIXED = np.dtype(  # the columns as `_pack` packs them, up to actor
    [("fields", ">i2"), ("generation_size", ">i4"), ("generation", ">i4"), ("id_size", ">i4"), ("id", "V16")]
    + [
        part
        for name, kind in (
            *(("segment", ">i4"), ("pool", ">i4"), ("starts", ">i8"), ("ends", ">i8")),
            *((dimension, ">i8") for dimension in DIMENSIONS),
            *(("share", ">i4"), ("tentative", "i1"), ("created", ">i8"), ("claimed", ">i8")),
        )
        for part in ((f"{name}_size", ">i4"), (name, kind))
    ]
)


PACKED_ROWS = 2000  # packed at a time: their memory stays in the processor's cache


def pack_many(generation: int, rows: BookingRows) -> list[bytes]:
    """The rows in COPY's binary format, by columns."""
    starts = range(0, len(rows.pools), PACKED_ROWS)
    pieces = (rows.only(slice(start, start + PACKED_ROWS)) for start in starts)
    return [packed for piece in pieces for packed in _pack_piece(generation, piece)]


def _pack_piece(generation: int, rows: BookingRows) -> list[bytes]:
    """Packs those rows together whose tails are as long."""
    fixed = _pack_fixed(generation, rows)
    numbers, tails = _tails_of(rows)
    lengths = np.array([len(tail) for tail in tails], dtype=np.int64)[numbers]
    packed = []
    for length in sorted({len(tail) for tail in tails}):
        chosen = slice(None) if (lengths == length).all() else np.flatnonzero(lengths == length)
        part = np.empty(len(fixed[chosen]), dtype=[("fixed", FIXED), ("tail", f"V{length}")])
        part["fixed"] = fixed[chosen]
        table = np.array([tail if len(tail) == length else b"" for tail in tails], dtype=f"V{length}")
        part["tail"] = table[numbers[chosen]]
        packed.append(part.tobytes())
    return packed


def _tails_of(rows: BookingRows) -> tuple[Vector, list[bytes]]:
    """(Where each row's tail is in the list, the different tails.) A tail is packed: the columns from actor on."""
    events = rows.events
    actors, accounts, templates, series = events.actors, events.accounts, events.templates, events.series
    mixed = np.zeros(len(rows.pools), dtype=np.int64)
    for column in (actors, accounts, templates, series):
        mixed = mixed * len(column.values) + column.numbers
    _, firsts, numbers = np.unique(mixed, return_index=True, return_inverse=True)
    return numbers, [
        _pack_tail(actors.at(row), accounts.at(row), templates.at(row), series.at(row)) for row in firsts.tolist()
    ]


def _pack_fixed(generation: int, rows: BookingRows) -> npt.NDArray[np.void]:
    fixed = np.empty(len(rows.pools), dtype=FIXED)
    for name in FIXED.names or ():
        if name.endswith("_size"):
            fixed[name] = FIXED[name.removesuffix("_size")].itemsize
    fixed["fields"], fixed["generation"], fixed["segment"] = len(COLUMNS), generation, 0
    events = rows.events
    fixed["id"] = np.ascontiguousarray(events.ids).view("V16")[:, 0]
    fixed["pool"], fixed["share"], fixed["tentative"] = rows.pools, events.shares, events.tentative
    fixed["starts"], fixed["ends"] = timestamps_of(events.starts), timestamps_of(events.ends)
    fixed["created"] = fixed["claimed"] = rows.positions
    for column, dimension in enumerate(DIMENSIONS):
        fixed[dimension] = events.counts[:, column]
    return fixed


def _pack_tail(actor: str, account: str, template: FromTemplate | None = None, series: UUID | None = None) -> bytes:
    """The columns from actor on, of a booking that no event changed after its claim."""
    origin = NO_ORIGIN if template is None and series is None else _pack_origin(template, series) + NULL
    return _pack_people(actor, account) + origin


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
