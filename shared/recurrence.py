"""A recurring booking: an RFC 5545 RRULE, the first occurrence and an IANA zone become a list of periods.

Both ends of an occurrence keep their local time: 20:00 to 08:00 is that in summer and in winter, so shifts that touch
go on touching, and a night when the clocks change has an hour more or less. (RFC 5545 would keep the length and move
the end.) A start that the clocks skip does not occur and is not counted, as RFC 5545 has it; an end that they skip is
as long after the hour before as it says; of an hour that comes twice, the first is meant. Occurrences may overlap:
each is a booking like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from dateutil.rrule import DAILY, HOURLY, MO, MONTHLY, WEEKLY, YEARLY, rrule, weekday, weekdays

from shared.errors import InvalidField
from shared.hours import EPOCH, LATEST, ONE_HOUR, PERIOD_HOURS_MAX, Period, instant_of, iso

FIELD = "rrule"
OCCURRENCES_MAX = 500
TEN_YEARS = timedelta(hours=PERIOD_HOURS_MAX)
# The Gregorian calendar repeats itself, weekdays and all, every 400 years.
CYCLE_YEARS, CYCLE = 400, timedelta(days=146_097)
LAST_START_YEAR = 9999 - 12


class Rule(msgspec.Struct, frozen=True):
    """`parts` are dateutil's arguments; of `count` and `until` one is given."""

    parts: dict[str, Any]
    count: int | None
    until: datetime | None


def expand(text: str, start: int, end: int, zone: ZoneInfo) -> list[Period]:
    """The occurrences in order, the first of which is `[start, end)`: at most 500, all starting within ten years.

    Raises InvalidField for `rrule`, which says what would be right.
    """
    rule = parse(text, zone)
    last = last_start(rule, start)
    first = wall(start, zone)
    length = wall(end, zone) - first
    periods: list[Period] = []
    for local in local_starts(rule.parts, first):
        if not periods:
            check_first(local, first, zone)
            periods.append(Period(start, end))
        elif (begins := hour_at(local, zone)) is not None:
            if instant_of(begins) > last:
                break
            # Only a first occurrence inside the hour that comes twice has no length by the clock.
            ends = end_at(local + length, zone) if length > timedelta() else begins + end - start
            periods.append(Period(begins, ends))
        if len(periods) in (rule.count, OCCURRENCES_MAX + 1):
            break
    return checked(periods, rule)


def last_start(rule: Rule, start: int) -> datetime:
    """The instant after which no occurrence starts."""
    begins = instant_of(start)
    if rule.until is None:
        return begins + TEN_YEARS
    if rule.until < begins:
        raise wrong(f"UNTIL lies before the first occurrence, which starts at {iso(start)}")
    if rule.until > begins + TEN_YEARS:
        raise wrong("UNTIL lies more than ten years after the first occurrence; end it earlier")
    return rule.until


def check_first(local: datetime, first: datetime, zone: ZoneInfo) -> None:
    if local != first:
        raise wrong(
            f"the first occurrence, {said(first)} in {zone.key}, is not one that the rule names; "
            f"the next that it names is {said(local)}: start there, or change the rule"
        )


def checked(periods: list[Period], rule: Rule) -> list[Period]:
    if not periods:
        raise wrong("the rule names no day or hour within ten years")
    if len(periods) > OCCURRENCES_MAX:
        raise wrong(f"the rule has more than {OCCURRENCES_MAX} occurrences until UNTIL; end it earlier")
    if rule.count is not None and len(periods) < rule.count:
        raise wrong(f"only {len(periods)} occurrences lie within ten years; give COUNT={len(periods)} or less")
    if (latest := max(period.end for period in periods)) > LATEST:
        raise wrong(f"the last occurrence ends at {iso(latest)}, outside 2000-01-01 .. 2100-01-01; end it earlier")
    return periods


def local_starts(parts: dict[str, Any], first: datetime) -> Iterator[datetime]:
    """The local times that the rule names, from `first` to ten years and a day after it.

    dateutil looks for a day that never comes (30 February) until the year 9999. In the same calendar some cycles of 400
    years later there are a few hundred years to look through at most, not eight thousand.
    """
    ahead = CYCLE * ((LAST_START_YEAR - first.year) // CYCLE_YEARS)
    until = first + ahead + TEN_YEARS + timedelta(days=1)
    try:
        for local in rrule(dtstart=first + ahead, until=until, **parts):
            yield local - ahead
    except ValueError:  # such as every second hour from 09:00, at 10:00
        return


def wall(hour: int, zone: ZoneInfo) -> datetime:
    """What the clocks of the zone show when the hour begins, without an offset."""
    return instant_of(hour).astimezone(zone).replace(tzinfo=None)


def hour_at(local: datetime, zone: ZoneInfo) -> int | None:
    """The hour that begins at a local time; None for a time that the clocks skip."""
    hour = end_at(local, zone)
    return hour if wall(hour, zone) == local else None


def end_at(local: datetime, zone: ZoneInfo) -> int:
    """The hour that begins at a local time. One that the clocks skip is read with the offset before they do."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    hour, rest = divmod(instant - EPOCH, ONE_HOUR)
    if rest:
        raise wrong(
            f"the occurrence at {said(local)} in {zone.key} is not on a whole UTC hour; bookings start and end on "
            "whole hours"
        )
    return hour


# --- the text ---

TEXT_MAX = 500
FREQUENCIES = {"HOURLY": HOURLY, "DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
WEEKDAYS = {str(day): day for day in weekdays}
DAY = re.compile(r"([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
UNTIL = re.compile(r"\d{8}(T\d{6}Z)?", re.ASCII)
# The values of each part, and whether they are counted from the end too: -1 is the last.
LISTS: dict[str, tuple[int, int, bool]] = {
    "BYSETPOS": (1, 366, True), "BYMONTH": (1, 12, False), "BYWEEKNO": (1, 53, True), "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True), "BYHOUR": (0, 23, False), "BYMINUTE": (0, 59, False), "BYSECOND": (0, 0, False),
}  # fmt: skip
KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *LISTS)
INTERVAL_MAX = 10_000
SETPOS_MAX = 5  # each is looked for in every set, and of days there are many
# What RFC 5545 gives no meaning to and dateutil would take for something else; and an hour holds one hour.
MEANINGLESS = {
    "BYWEEKNO": (HOURLY, DAILY, WEEKLY, MONTHLY), "BYYEARDAY": (DAILY, WEEKLY, MONTHLY), "BYMONTHDAY": (WEEKLY,),
    "BYSETPOS": (HOURLY,),
}  # fmt: skip


def parse(text: str, zone: ZoneInfo) -> Rule:
    """The rule that a text gives. Raises InvalidField for what is not RFC 5545's, endless, or finer than an hour."""
    given = split(text)
    frequency = parse_frequency(given)
    if ("COUNT" in given) == ("UNTIL" in given):
        raise wrong(f"give COUNT (1 to {OCCURRENCES_MAX}) or UNTIL, and not both, so that it ends")
    parts: dict[str, Any] = {"freq": frequency, "wkst": MO, "interval": 1}
    parts |= {part.lower(): numbers(part, given[part]) for part in LISTS if part in given}
    if "BYDAY" in given:
        parts["byweekday"] = days(given["BYDAY"], ordinals=frequency in (MONTHLY, YEARLY) and "BYWEEKNO" not in given)
    if "INTERVAL" in given:
        parts["interval"] = number("INTERVAL", given["INTERVAL"], 1, INTERVAL_MAX)
    if "WKST" in given:
        parts["wkst"] = days(given["WKST"], ordinals=False)[0]
    count = number("COUNT", given["COUNT"], 1, OCCURRENCES_MAX) if "COUNT" in given else None
    return Rule(parts, count, parse_until(given["UNTIL"], zone) if "UNTIL" in given else None)


def parse_frequency(given: dict[str, str]) -> int:
    """dateutil's number of FREQ, which the other parts must go with."""
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
    """`NAME=VALUE;NAME=VALUE`, in capitals; each name once."""
    text = text.strip().upper().removeprefix("RRULE:").removesuffix(";")
    if not 0 < len(text) <= TEXT_MAX:
        raise wrong(f"give 1 to {TEXT_MAX} characters, as FREQ=WEEKLY;BYDAY=MO;COUNT=10")
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


def numbers(name: str, text: str) -> list[int]:
    least, most, from_end = LISTS[name]
    values = sorted({number(name, value, least, most, from_end=from_end) for value in text.split(",")})
    if name == "BYSETPOS" and len(values) > SETPOS_MAX:
        raise wrong(f"BYSETPOS has more than {SETPOS_MAX} values; give fewer")
    return values


def days(text: str, *, ordinals: bool) -> list[weekday]:
    """`MO,WE`, and with ordinals `1MO,-1FR`, the first Monday and the last Friday."""
    found = []
    for day in text.split(","):
        match = DAY.fullmatch(day)
        if match is None or (match.group(1) and abs(int(match.group(1))) > 53):
            raise wrong(f"{day!r} is not a weekday such as MO, or 1MO for the first and -1FR for the last")
        if match.group(1) and not ordinals:
            raise wrong(
                f"{day!r} counts weekdays, which has a meaning in a month or a year only; give {match.group(2)}"
            )
        found.append(WEEKDAYS[match.group(2)](int(match.group(1))) if match.group(1) else WEEKDAYS[match.group(2)])
    return found


def parse_until(text: str, zone: ZoneInfo) -> datetime:
    """An instant in UTC, as RFC 5545 has it beside a zone; or a date, which is included, as everywhere in Hourbook."""
    match = UNTIL.fullmatch(text)
    if match is None:
        raise wrong(f"UNTIL={text} is neither in UTC (20261231T090000Z) nor a date, which is included (20261231)")
    try:
        if match.group(1):
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return datetime.strptime(text + "235959", "%Y%m%d%H%M%S").replace(tzinfo=zone, fold=1).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong(f"UNTIL={text} is not in the calendar: {error}") from None


def said(local: datetime) -> str:
    return local.strftime("%a %Y-%m-%dT%H:%M")


def wrong(problem: str) -> InvalidField:
    return InvalidField(FIELD, problem)
