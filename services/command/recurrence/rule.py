"""Parses the text of an RRULE. Raises InvalidField for a text that is not RFC 5545, and for a rule without an end or
finer than an hour."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple

import msgspec

from shared.errors import InvalidField
from shared.hours import OCCURRENCES_MAX

FIELD = "rrule"
RULE_CHARACTERS_MAX = 500
INTERVAL_MAX = 10_000

Frequency = Literal["HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
FREQUENCIES: dict[str, Frequency] = {
    "HOURLY": "HOURLY",
    "DAILY": "DAILY",
    "WEEKLY": "WEEKLY",
    "MONTHLY": "MONTHLY",
    "YEARLY": "YEARLY",
}
WEEKDAYS = {name: number for number, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
UNTIL = re.compile(r"\d{8}(T\d{6}Z)?", re.ASCII)
ORDINAL_MAX = 53
# Each part: the least and the greatest value; and whether negative values count from the end (-1 is the last).
LISTS: dict[str, tuple[int, int, bool]] = {
    "BYSETPOS": (1, 366, True),
    "BYMONTH": (1, 12, False),
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 0, False),
}
KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *LISTS)
# Parts that have no meaning with a frequency. RFC 5545 says so; of BYSETPOS with HOURLY, Hourbook does.
MEANINGLESS = {
    "BYWEEKNO": ("HOURLY", "DAILY", "WEEKLY", "MONTHLY"),
    "BYYEARDAY": ("DAILY", "WEEKLY", "MONTHLY"),
    "BYMONTHDAY": ("WEEKLY",),
    "BYSETPOS": ("HOURLY",),
}


class Weekday(NamedTuple):
    """A weekday; `day` 0 is Monday. `nth` 2 is the second one of the month or year, -1 the last one, 0 every one."""

    day: int
    nth: int = 0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed rule. An empty tuple is a part that was left out. Either `count` or `until` is given.

    `until` is an instant or a date. The occurrences of that date are included.
    """

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | date | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


def parse(text: str) -> Rule:
    given = split(text)
    frequency = parse_frequency(given)
    if ("COUNT" in given) == ("UNTIL" in given):
        raise wrong(f"give COUNT (1 to {OCCURRENCES_MAX}) or UNTIL, and not both, so that it ends")
    lists = {name: numbers(name, given[name]) if name in given else () for name in LISTS}
    if len(lists["BYMINUTE"]) > 1:
        raise wrong("BYMINUTE has several values; give the one minute at which a whole UTC hour begins")
    ordinals = frequency in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in given
    return Rule(
        frequency=frequency,
        interval=number("INTERVAL", given["INTERVAL"], 1, INTERVAL_MAX) if "INTERVAL" in given else 1,
        count=number("COUNT", given["COUNT"], 1, OCCURRENCES_MAX) if "COUNT" in given else None,
        until=parse_until(given["UNTIL"]) if "UNTIL" in given else None,
        week_start=parse_days("WKST", given["WKST"], ordinals=False)[0].day if "WKST" in given else 0,
        weekdays=parse_days("BYDAY", given["BYDAY"], ordinals=ordinals) if "BYDAY" in given else (),
        months=lists["BYMONTH"],
        weeks=lists["BYWEEKNO"],
        year_days=lists["BYYEARDAY"],
        month_days=lists["BYMONTHDAY"],
        hours=lists["BYHOUR"],
        minutes=lists["BYMINUTE"],
        positions=lists["BYSETPOS"],
    )


def parse_frequency(given: dict[str, str]) -> Frequency:
    """The value of FREQ. Raises InvalidField if another part has no meaning with it."""
    name = given.get("FREQ", "")
    if name in ("SECONDLY", "MINUTELY"):
        raise wrong(f"FREQ={name} is finer than an hour; give HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY")
    if (frequency := FREQUENCIES.get(name)) is None:
        raise wrong("FREQ must be HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY")
    for part, frequencies in MEANINGLESS.items():
        if part in given and frequency in frequencies:
            raise wrong(f"{part} has no meaning with FREQ={name}")
    if "BYSETPOS" in given and not any(part.startswith("BY") and part != "BYSETPOS" for part in given):
        raise wrong("BYSETPOS chooses among what another BY… part names; give one")
    return frequency


def split(text: str) -> dict[str, str]:
    """The parts of `NAME=VALUE;NAME=VALUE` by name, in capitals. Raises InvalidField for a name that is there twice."""
    text = text.strip().upper().removeprefix("RRULE:").removesuffix(";")
    if not 0 < len(text) <= RULE_CHARACTERS_MAX:
        raise wrong(f"give 1 to {RULE_CHARACTERS_MAX} characters, as FREQ=WEEKLY;BYDAY=MO;COUNT=10")
    given: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in KNOWN:
            raise wrong(f"{part!r} is none of {', '.join(KNOWN)}, each with = and a value")
        if name in given:
            raise wrong(f"{name} is given twice")
        given[name] = value
    return given


def number(name: str, text: str, least: int, most: int, *, from_end: bool = False) -> int:
    value = int(text) if NUMBER.fullmatch(text) else least - 1
    if not least <= (abs(value) if from_end else value) <= most:
        ends = f", or -{most} to -{least}" if from_end else ""
        raise wrong(f"{name}={text} is not a number from {least} to {most}{ends}")
    return value


def numbers(name: str, text: str) -> tuple[int, ...]:
    least, most, from_end = LISTS[name]
    return tuple(sorted({number(name, value, least, most, from_end=from_end) for value in text.split(",")}))


def parse_days(name: str, text: str, *, ordinals: bool) -> tuple[Weekday, ...]:
    """The weekdays of `MO,WE`; with `ordinals` also of `1MO,-1FR`: the first Monday and the last Friday."""
    found: dict[Weekday, None] = {}
    for day in text.split(","):
        match = DAY.fullmatch(day)
        nth = int(match[1]) if match and match[1] else 0
        if match is None or (match[1] and not 1 <= abs(nth) <= ORDINAL_MAX):
            raise wrong(f"{day!r} is not a weekday such as MO, or 1MO for the first and -1FR for the last")
        if nth and not ordinals:
            raise wrong(f"{day!r} counts weekdays, which has a meaning in a month or a year only; give {match[2]}")
        found[Weekday(WEEKDAYS[match[2]], nth)] = None
    if name == "WKST" and len(found) > 1:
        raise wrong(f"WKST={text} is not the one weekday that weeks begin with, such as MO")
    return tuple(found)


def parse_until(text: str) -> datetime | date:
    """An instant in UTC, as RFC 5545 demands it with a time zone; or a date, which is included."""
    match = UNTIL.fullmatch(text)
    if match is None:
        raise wrong(f"UNTIL={text} is neither in UTC (20261231T090000Z) nor a date, which is included (20261231)")
    try:
        if match[1]:
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return date.fromisoformat(text)
    except ValueError as error:
        raise wrong(f"UNTIL={text} is not in the calendar: {error}") from None


def wrong(problem: str) -> InvalidField:
    return InvalidField(FIELD, problem)
