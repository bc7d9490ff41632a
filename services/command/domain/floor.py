"""The floor of a state: the hour before which it knows nothing."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from shared.hours import MONTHS, hour_of

KEPT_HOURS = 31 * 24  # a state knows these, and the hours from the beginning of their month on


def floor_of(now: datetime) -> int:
    """The floor that a state may have at this time: the first hour of a month, from 31 to 62 days ago. Limits of an
    account by month are thus whole."""
    return _month_of(hour_of(now) - KEPT_HOURS)


def lower_floor(first: int, now: datetime) -> int:
    """The floor of a state that shall know the hour `first`: twice as far back, so that one who goes back further and
    further soon has all."""
    return _month_of(first - (hour_of(now) - first))


def _month_of(hour: int) -> int:
    """The first hour of the month of an hour; 0 for hours before 1970."""
    return MONTHS[bisect_right(MONTHS, hour) - 1] if hour > 0 else 0
