"""Versions of new bookings and changes of hours by columns, in COPY's binary format."""

from __future__ import annotations

from services.projector.projections.availability import SHARES, WIDTH
from services.projector.projections.bookings import BookingRows
from services.projector.rows.bookings import OF_A_CLAIM, fill_claims, tails_of
from services.projector.rows.copying import empty_rows, row_type, with_tails
from shared.as_of import AMOUNTS
from shared.postgres import timestamps_of

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
    *("since", *(name for name, _ in OF_A_CLAIM)),
    *("actor", "account", "template", "template_version", "template_count", "series"),
]
BOOKING = row_type(("since", ">i8"), *OF_A_CLAIM)


def pack_bookings(claims: BookingRows) -> list[bytes]:
    """The first versions of new bookings: rows of BOOKING_COLUMNS, in any order."""
    rows = empty_rows(claims.events.rows, BOOKING, len(BOOKING_COLUMNS))
    rows["since"] = claims.positions
    fill_claims(rows, claims)
    return with_tails(rows, *tails_of(claims.events))
