"""How the bookings of a period are found by an index, whatever came after the period."""

from __future__ import annotations

# As in the indexes live_booking_long and live_booking_account_long, which have the longer ones.
LONG = "interval '31 days'"


def overlaps(start: str, end: str) -> str:
    """The condition that a booking `b` overlaps a period; `start` and `end` are expressions of SQL. By the end of a
    booking alone, an index would read all that came after the period."""
    return f"""b.ends > {start} AND b.starts < {end}
    AND (b.ends < {end}::timestamptz + {LONG} OR b.ends - b.starts > {LONG})"""
