"""Versions of new bookings and changes of hours by columns, in COPY's binary format."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.projector.projections.availability import SHARES, WIDTH
from services.projector.projections.bookings import BookingRow
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


class Claims(NamedTuple):
    """Claims of bookings by columns, n of them, each made (`sign` +1) or given back (-1) by the event at its position.

    positions, pools  shape (n,); `pools` are numbers
    """

    positions: Vector
    pools: Vector
    columns: BookingColumns
    sign: int

    def booking(self, row: int) -> UUID:
        return UUID(bytes=self.columns.ids[row].tobytes())

    def row(self, row: int) -> BookingRow:
        """The first segment of a booking that is created."""
        columns, position = self.columns, int(self.positions[row])
        a, b, c, d, e, f = columns.counts[row].tolist()
        repeated = columns.actors, columns.accounts, columns.templates, columns.series
        actor, account, template, series = (one.values[one.numbers[row]] for one in repeated)
        return BookingRow(
            pool=int(self.pools[row]),
            start=int(columns.starts[row]),
            end=int(columns.ends[row]),
            counts=(a, b, c, d, e, f),
            actor=actor,
            account=account,
            share=int(columns.shares[row]),
            tentative=bool(columns.tentative[row]),
            created=position,
            claimed=position,
            template=template,
            series=series,
        )

    def only(self, rows: npt.NDArray[np.bool_]) -> Claims:
        """Those of the claims that are true."""
        return Claims(self.positions[rows], self.pools[rows], self.columns.only(rows), self.sign)


def pack_changes(claims: Claims) -> bytes:
    """What the claims add to the hours: rows of CHANGE_COLUMNS. A claim of a share adds no counts."""
    positions, pools, columns, sign = claims
    rows = empty_rows(len(positions), CHANGE, len(CHANGE_COLUMNS))
    rows["position"], rows["pool"] = positions, pools
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


def pack_bookings(claims: Claims) -> list[bytes]:
    """The first versions of new bookings: rows of BOOKING_COLUMNS. Rows whose texts are as long are packed together."""
    fixed = _pack_fixed(claims)
    numbers, texts = _texts_of(claims.columns)
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


def _pack_fixed(claims: Claims) -> Rows:
    positions, pools, columns, _ = claims
    rows = empty_rows(len(positions), BOOKING, len(BOOKING_COLUMNS))
    rows["since"] = rows["created"] = rows["claimed"] = positions
    rows["id"] = np.ascontiguousarray(columns.ids).view("V16")[:, 0]
    rows["segment"], rows["pool"], rows["share"], rows["tentative"] = 0, pools, columns.shares, columns.tentative
    rows["starts"], rows["ends"] = timestamps_of(columns.starts), timestamps_of(columns.ends)
    for place, name in enumerate(DIMENSIONS):
        rows[name] = columns.counts[:, place]
    return rows


def _texts_of(columns: BookingColumns) -> tuple[Vector, list[bytes]]:
    """(The number of each row's texts, the different texts by number): the columns from actor on, packed."""
    repeated = columns.actors, columns.accounts, columns.templates, columns.series
    mixed = np.zeros(columns.rows, dtype=np.int64)
    for one in repeated:
        mixed = mixed * len(one.values) + one.numbers
    _, firsts, numbers = np.unique(mixed, return_index=True, return_inverse=True)
    return numbers, [_pack_texts(*(one.values[one.numbers[row]] for one in repeated)) for row in firsts.tolist()]


def _pack_texts(actor: str, account: str, template: FromTemplate | None, series: Any) -> bytes:
    origin = NULL * 3
    if template is not None:
        version, count = template.version.to_bytes(4, "big"), template.count.to_bytes(8, "big")
        origin = packed_text(template.name) + b"\0\0\0\4" + version + b"\0\0\0\10" + count
    return (
        packed_text(actor) + packed_text(account) + origin + (NULL if series is None else b"\0\0\0\x10" + series.bytes)
    )
