"""Versions of new bookings and changes of hours by columns, in COPY's binary format."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.projector.projections.availability import SHARES, WIDTH
from services.projector.projections.bookings import BookingRows
from services.projector.rows.copying import NULL, packed_text
from shared.as_of import AMOUNTS
from shared.capacity import DIMENSIONS, Vector
from shared.events import FromTemplate
from shared.events.batch import BookingColumns
from shared.postgres import timestamps_of

Rows = npt.NDArray[np.void]


def row_type(*columns: tuple[str, str]) -> np.dtype[np.void]:
    """A row of these columns (name, type of numpy) in COPY's format: their number, and each after its length."""
    parts = [part for name, kind in columns for part in ((f"{name}_size", ">i4"), (name, kind))]
    return np.dtype([("fields", ">i2"), *parts])


def empty_rows(count: int, kind: np.dtype[np.void], fields: int) -> Rows:
    """Rows whose lengths are set, and whose values are not. `fields` is the number of columns that a row has."""
    rows = np.empty(count, dtype=kind)
    rows["fields"] = fields
    for name in kind.names or ():
        if name.endswith("_size"):
            rows[name] = kind[name.removesuffix("_size")].itemsize
    return rows


CHANGE_COLUMNS = ["position", "pool", "starts", "ends", *AMOUNTS]
CHANGE = row_type(
    ("position", ">i8"), ("pool", ">i4"), ("starts", ">i8"), ("ends", ">i8"), *((n, ">i8") for n in AMOUNTS)
)


def pack_changes(claims: BookingRows, sign: int) -> bytes:
    """What the claims add (`sign` +1) to the hours or give back (-1): rows of CHANGE_COLUMNS. A claim of a share has no
    counts."""
    columns, rows = claims.events, empty_rows(claims.events.rows, CHANGE, len(CHANGE_COLUMNS))
    rows["position"], rows["pool"] = claims.positions, claims.pools
    rows["starts"], rows["ends"] = timestamps_of(columns.starts), timestamps_of(columns.ends)
    for name in AMOUNTS[:WIDTH]:
        rows[name] = 0
    counted = sign * (columns.shares == 0)
    for place, name in enumerate(AMOUNTS[WIDTH:SHARES]):
        rows[name] = columns.counts[:, place] * counted
    rows[AMOUNTS[SHARES]] = sign * columns.shares
    return rows.tobytes()


BOOKING_COLUMNS = [
    *("since", "id", "segment", "pool", "starts", "ends", *DIMENSIONS, "share", "tentative", "created", "claimed"),
    *("actor", "account", "template", "template_version", "template_count", "series"),
]
BOOKING = row_type(
    *(("since", ">i8"), ("id", "V16"), ("segment", ">i4"), ("pool", ">i4"), ("starts", ">i8"), ("ends", ">i8")),
    *((name, ">i8") for name in DIMENSIONS),
    *(("share", ">i4"), ("tentative", "i1"), ("created", ">i8"), ("claimed", ">i8")),
)


def pack_bookings(claims: BookingRows) -> list[bytes]:
    """The first versions of new bookings: rows of BOOKING_COLUMNS. Rows whose texts are as long are packed together."""
    fixed = _pack_fixed(claims)
    numbers, texts = _texts_of(claims.events)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)[numbers]
    packed = []
    for length in np.unique(lengths).tolist():
        where = lengths == length
        part = np.empty(int(where.sum()), dtype=[("fixed", BOOKING), ("texts", f"V{length}")])
        part["fixed"] = fixed[where]
        part["texts"] = np.array([text if len(text) == length else b"" for text in texts], dtype=f"V{length}")[
            numbers[where]
        ]
        packed.append(part.tobytes())
    return packed


def _pack_fixed(claims: BookingRows) -> Rows:
    columns, rows = claims.events, empty_rows(claims.events.rows, BOOKING, len(BOOKING_COLUMNS))
    rows["since"] = rows["created"] = rows["claimed"] = claims.positions
    rows["id"] = np.ascontiguousarray(columns.ids).view("V16")[:, 0]
    rows["segment"], rows["pool"] = 0, claims.pools
    rows["share"], rows["tentative"] = columns.shares, columns.tentative
    rows["starts"], rows["ends"] = timestamps_of(columns.starts), timestamps_of(columns.ends)
    for place, name in enumerate(DIMENSIONS):
        rows[name] = columns.counts[:, place]
    return rows


def _texts_of(columns: BookingColumns) -> tuple[Vector, list[bytes]]:
    """(The number of each row's texts, the different texts by number): the columns from actor on, packed."""
    actors, accounts, templates, series = columns.actors, columns.accounts, columns.templates, columns.series
    mixed = np.zeros(columns.rows, dtype=np.int64)
    for one in (actors, accounts, templates, series):
        mixed = mixed * len(one.values) + one.numbers
    _, firsts, numbers = np.unique(mixed, return_index=True, return_inverse=True)
    return numbers, [
        _pack_texts(actors.at(row), accounts.at(row), templates.at(row), series.at(row)) for row in firsts.tolist()
    ]


def _pack_texts(actor: str, account: str, template: FromTemplate | None, series: UUID | None) -> bytes:
    origin = NULL * 3
    if template is not None:
        version, count = template.version.to_bytes(4, "big"), template.count.to_bytes(8, "big")
        origin = packed_text(template.name) + b"\0\0\0\4" + version + b"\0\0\0\10" + count
    return (
        packed_text(actor) + packed_text(account) + origin + (NULL if series is None else b"\0\0\0\x10" + series.bytes)
    )
