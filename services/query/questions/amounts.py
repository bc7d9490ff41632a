"""Parsers of amounts and durations in a query string."""

from __future__ import annotations

from shared.capacity import COUNT_MAX, checked_share, percentage
from shared.errors import InvalidField
from shared.hours import HOURS_GRAIN, PERIOD_HOURS_MAX

COUNT_DIGITS = len(str(COUNT_MAX))


def parse_duration(text: str) -> int:
    """The number of hours: 72 for `72h`. Raises InvalidField."""
    match = HOURS_GRAIN.fullmatch(text)
    if match is None or int(match[1]) > PERIOD_HOURS_MAX:
        raise InvalidField("duration", f"{text!r} is not a number of hours such as 72h, ten years at the most")
    return int(match[1])


def parse_count(text: str, field: str) -> int:
    """A count of one dimension. Zeros in front are allowed. Raises InvalidField."""
    digits = text.lstrip("0") or text[:1]
    if not digits.isascii() or not digits.isdigit() or len(digits) > COUNT_DIGITS or int(digits) > COUNT_MAX:
        raise InvalidField(field, f"{text[:30]!r} is not a whole number from 0 to {COUNT_MAX}")
    return int(digits)


def parse_share(text: str) -> int:
    """Basis points of a share: `12.5%` is 1250, and so is `1250`. Raises InvalidField."""
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return checked_share(int(text) if is_number else percentage(text), text)
