"""How much and how long, as a query string says it."""

from __future__ import annotations

import re

from shared.capacity import COUNT_MAX, WHOLE
from shared.errors import InvalidField
from shared.hours import HOURS_GRAIN, PERIOD_HOURS_MAX

COUNT_DIGITS = len(str(COUNT_MAX))
PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%", re.ASCII)


def parse_duration(text: str) -> int:
    """Hours, of `72h`."""
    match = HOURS_GRAIN.fullmatch(text)
    if match is None or int(match[1]) > PERIOD_HOURS_MAX:
        raise InvalidField("duration", f"{text!r} is not a number of hours such as 72h, ten years at the most")
    return int(match[1])


def parse_count(text: str, field: str) -> int:
    """Zeros in front mean nothing, however many there are."""
    digits = text.lstrip("0") or text[:1]
    if not digits.isascii() or not digits.isdigit() or len(digits) > COUNT_DIGITS or int(digits) > COUNT_MAX:
        raise InvalidField(field, f"{text[:30]!r} is not a whole number from 0 to {COUNT_MAX}")
    return int(digits)


def parse_share(text: str) -> int:
    """Basis points, of `12.5%` or of 1250."""
    if match := PERCENT.fullmatch(text):
        points = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
    else:
        points = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= points <= WHOLE:
        raise InvalidField("share", f'{text!r} is not a share; give "0.01%" to "100%", or 1 to {WHOLE} basis points')
    return points
