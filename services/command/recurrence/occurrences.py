"""The periods of a recurring booking, in the local time of its zone.

Both ends of an occurrence keep their local time: 20:00 to 08:00 stays so in summer and in winter. So there is no gap
between shifts that touch, and a night in which the clocks change is an hour longer or shorter. (RFC 5545 would keep the
length and move the end.) Occurrences may overlap: each is a booking of its own.

When the clocks change:
- A start that the clocks skip does not occur and is not counted, as in RFC 5545.
- An end that the clocks skip is read with the offset from before the change.
- An hour that comes twice means the first one.

A booking of bare dates is a booking of whole days. A day begins at its first instant, also if the clocks skip midnight.
Only a day that the zone skips as a whole does not occur.

An hourly rule counts hours that pass, not hours on the clock: with INTERVAL=4 there are always four hours between two
starts. Its other parts apply to the local time of each hour. Its occurrences all have the same length.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.command.recurrence.days import named_days, named_times
from services.command.recurrence.rule import Rule, parse, wrong
from shared.errors import InvalidField
from shared.hours import (
    EPOCH,
    LATEST,
    OCCURRENCES_MAX,
    ONE_HOUR,
    PERIOD_HOURS_MAX,
    Period,
    hour_of,
    instant_of,
    iso,
    next_hour,
)

TEN_YEARS = timedelta(hours=PERIOD_HOURS_MAX)
ONE_DAY = timedelta(days=1)


class First(NamedTuple):
    """The first occurrence: its hours, and its start and end in local time.

    `is_day`: the start was a bare date. Its local time is midnight, also if the clocks skip it.
    """

    period: Period
    start: datetime
    end: datetime
    is_day: bool
    zone: ZoneInfo


def expand(
    text: str, start: int, end: int, zone: ZoneInfo, *, start_day: date | None = None, end_day: date | None = None
) -> list[Period]:
    """The occurrences in order. The first one is `[start, end)`. At most 500; all start within ten years.

    `start_day` and `end_day`, which is included, are the bare dates of the booking, if it has any. Raises InvalidField
    for `rrule`; the error says what would be right.
    """
    rule = parse(text)
    if start_day is not None:
        check_days(rule)
    begins = wall(start, zone) if start_day is None else datetime.combine(start_day, time())
    ends = wall(end, zone) if end_day is None else datetime.combine(end_day + ONE_DAY, time())
    first = First(Period(start, end), begins, ends, start_day is not None, zone)
    last = last_start(rule, first)
    periods: list[Period] = []
    named = hourly(rule, first, last) if rule.frequency == "HOURLY" else by_the_clock(rule, first, last)
    for local, period in named:
        if not periods:
            check_first(local, first)
        if period.start > last:
            break
        periods.append(period)
        if len(periods) in (rule.count, OCCURRENCES_MAX + 1):
            break
    return checked(periods, rule)


def check_days(rule: Rule) -> None:
    """For a booking of days. Raises InvalidField if the rule names hours or minutes."""
    if rule.frequency == "HOURLY" or any(rule.hours) or any(rule.minutes):
        part = "FREQ=HOURLY" if rule.frequency == "HOURLY" else "BYHOUR" if any(rule.hours) else "BYMINUTE"
        raise wrong(
            f"{part} is of hours, and a booking from a bare date is of days; give startdate as an instant, such as "
            "2020-06-08T09:00Z, or a rule of days"
        )


def last_start(rule: Rule, first: First) -> int:
    """The last hour at which an occurrence may start."""
    start = first.period.start
    if rule.until is None:
        return start + PERIOD_HOURS_MAX
    if isinstance(rule.until, datetime):
        last = hour_of(rule.until)
    else:  # a day far away is brought nearer: the next lines refuse it, and the calendar ends in the year 9999
        day = min(max(rule.until, first.start.date() - ONE_DAY), (first.start + TEN_YEARS).date() + 2 * ONE_DAY)
        last = next_hour(datetime.combine(day + ONE_DAY, time(), first.zone)) - 1
    if last < start:
        raise wrong(f"UNTIL lies before the first occurrence, which starts at {iso(start)}")
    if last > start + PERIOD_HOURS_MAX:
        raise wrong("UNTIL lies more than ten years after the first occurrence; end it earlier")
    return last


def by_the_clock(rule: Rule, first: First, last: int) -> Iterator[tuple[datetime, Period]]:
    """The occurrences of a rule that is not hourly, each with its start in local time."""
    length = first.end - first.start
    for local in named_times(rule, first.start, wall(last, first.zone) + ONE_DAY):
        if local == first.start:
            yield local, first.period
        elif (begins := hour_at(local, first)) is not None:
            # In local time, only a first occurrence inside an hour that comes twice has no length.
            ends = end_at(local + length, first.zone) if length > timedelta() else begins + first.period.hours
            yield local, Period(begins, ends)


def hourly(rule: Rule, first: First, last: int) -> Iterator[tuple[datetime, Period]]:
    """The occurrences of an hourly rule, each with its start in local time. It finds the days first, and looks at the
    hours of these days only."""
    start, end = first.period
    for number in named_days(rule, first.start.date(), wall(last, first.zone).date()):
        for hour in hours_of(number, rule, first):
            local = wall(hour, first.zone)
            if rule.minutes and local.minute not in rule.minutes:
                raise not_whole(local.replace(minute=rule.minutes[0]), first.zone)
            yield local, Period(hour, hour + end - start)


def hours_of(day: int, rule: Rule, first: First) -> Iterator[int]:
    """The hours of a local day that are a multiple of INTERVAL after the start, and match BYHOUR. `day` counts from
    1970-01-01."""
    midnight = datetime.combine(EPOCH.date() + day * ONE_DAY, time(), first.zone)
    opens, closes = next_hour(midnight), next_hour(midnight + ONE_DAY)
    start = first.period.start
    hours = range(max(start, opens + (start - opens) % rule.interval), closes, rule.interval)
    if not rule.hours:
        yield from hours
    elif midnight.utcoffset() == (midnight + ONE_DAY).utcoffset():
        yield from (hour for hour in hours if hour - opens in rule.hours)
    else:
        yield from (hour for hour in hours if wall(hour, first.zone).hour in rule.hours)


def check_first(local: datetime, first: First) -> None:
    if local != first.start:
        raise wrong(
            f"the first occurrence, {said(first.start)} in {first.zone.key}, is not one that the rule names; "
            f"the next that it names is {said(local)}: start there, or change the rule"
        )


def checked(periods: list[Period], rule: Rule) -> list[Period]:
    if not periods:
        raise wrong("the rule names no day or hour within ten years")
    if len(periods) > OCCURRENCES_MAX:
        raise wrong(f"the rule has more than {OCCURRENCES_MAX} occurrences until UNTIL; end it earlier")
    if rule.count is not None and len(periods) < rule.count:
        raise wrong(f"only {len(periods)} occurrences lie within ten years; give COUNT={len(periods)} or less")
    if (hours := sum(period.hours for period in periods)) > PERIOD_HOURS_MAX:
        raise wrong(
            f"the occurrences are {hours} hours together; one command books {PERIOD_HOURS_MAX} (ten years) at most, so "
            "give fewer or shorter ones"
        )
    if (latest := max(period.end for period in periods)) > LATEST:
        raise wrong(f"the last occurrence ends at {iso(latest)}, outside 2000-01-01 .. 2100-01-01; end it earlier")
    return periods


def wall(hour: int, zone: ZoneInfo) -> datetime:
    """The local time at which the hour begins, without an offset."""
    return instant_of(hour).astimezone(zone).replace(tzinfo=None)


def hour_at(local: datetime, first: First) -> int | None:
    """The hour that begins at a local time; of a booking of days, the first hour of the day. None if it is skipped."""
    hour = end_at(local, first.zone)
    shown = wall(hour, first.zone)
    return hour if shown == local or (first.is_day and shown.date() == local.date()) else None


def end_at(local: datetime, zone: ZoneInfo) -> int:
    """The hour that begins at a local time. A time that the clocks skip is read with the offset from before the change:
    a midnight that they skip becomes the first instant of the day."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    hour, rest = divmod(instant - EPOCH, ONE_HOUR)
    if rest:
        raise not_whole(local, zone)
    return hour


def not_whole(local: datetime, zone: ZoneInfo) -> InvalidField:
    return wrong(
        f"the occurrence at {said(local)} in {zone.key} is not on a whole UTC hour; bookings start and end on "
        "whole hours"
    )


def said(local: datetime) -> str:
    return local.strftime("%a %Y-%m-%dT%H:%M")
