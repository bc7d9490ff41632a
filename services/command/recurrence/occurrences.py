"""The periods of a recurring booking, in the time of its zone.

Both ends of an occurrence keep their local time: 20:00 to 08:00 is that in summer and in winter, so shifts that touch
go on touching, and a night when the clocks change has an hour more or less. (RFC 5545 would keep the length and move
the end.) A start that the clocks skip does not occur and is not counted, as RFC 5545 has it; an end that they skip is
as long after the hour before as it says; of an hour that comes twice, the first is meant. Occurrences may overlap:
each is a booking like any other.

A booking of bare dates is of days, and a day begins at its first instant, also where the clocks skip its midnight. Only
a day that the zone has skipped altogether does not occur.

An hourly rule counts hours that pass, not hours that the clocks show: four hours are one after the other in every
night. Its other parts are read of the local time of each hour, and its occurrences keep their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.command.recurrence.days import named_days, named_times
from services.command.recurrence.rule import OCCURRENCES_MAX, Rule, parse, wrong
from shared.errors import InvalidField
from shared.hours import EPOCH, LATEST, ONE_HOUR, PERIOD_HOURS_MAX, Period, hour_of, instant_of, iso, next_hour

TEN_YEARS = timedelta(hours=PERIOD_HOURS_MAX)
ONE_DAY = timedelta(days=1)


class First(NamedTuple):
    """The first occurrence: its hours, and from when until when it is by the clocks of the zone.

    A bare date is its midnight, whether the clocks show that or skip it; `is_day`: it starts with one.
    """

    period: Period
    start: datetime
    end: datetime
    is_day: bool
    zone: ZoneInfo


def expand(
    text: str, start: int, end: int, zone: ZoneInfo, *, start_day: date | None = None, end_day: date | None = None
) -> list[Period]:
    """The occurrences in order, the first of which is `[start, end)`: at most 500, all starting within ten years.

    `start_day` and `end_day` are the bare dates that the booking was given, the last one included. Raises InvalidField
    for `rrule`, which says what would be right.
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
    """Raises InvalidField for a rule that names hours, of a booking that is of days."""
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
    else:  # any day long before or after will do: the calendar ends
        day = min(max(rule.until, first.start.date() - ONE_DAY), (first.start + TEN_YEARS).date() + 2 * ONE_DAY)
        last = next_hour(datetime.combine(day + ONE_DAY, time(), first.zone)) - 1
    if last < start:
        raise wrong(f"UNTIL lies before the first occurrence, which starts at {iso(start)}")
    if last > start + PERIOD_HOURS_MAX:
        raise wrong("UNTIL lies more than ten years after the first occurrence; end it earlier")
    return last


def by_the_clock(rule: Rule, first: First, last: int) -> Iterator[tuple[datetime, Period]]:
    """The occurrences of a rule of days, weeks, months or years, each with its start by the clocks."""
    length = first.end - first.start
    for local in named_times(rule, first.start, wall(last, first.zone) + ONE_DAY):
        if local == first.start:
            yield local, first.period
        elif (begins := hour_at(local, first)) is not None:
            # Only a first occurrence inside the hour that comes twice has no length by the clock.
            ends = end_at(local + length, first.zone) if length > timedelta() else begins + first.period.hours
            yield local, Period(begins, ends)


def hourly(rule: Rule, first: First, last: int) -> Iterator[tuple[datetime, Period]]:
    """The occurrences of an hourly rule, each with its start by the clocks. A day that is not named costs next to
    nothing, so that no rule has to be looked for in all hours of ten years."""
    start, end = first.period
    for number in named_days(rule, first.start.date(), wall(last, first.zone).date()):
        for hour in hours_of(number, rule, first):
            local = wall(hour, first.zone)
            if rule.minutes and local.minute not in rule.minutes:
                raise not_whole(local.replace(minute=rule.minutes[0]), first.zone)
            yield local, Period(hour, hour + end - start)


def hours_of(day: int, rule: Rule, first: First) -> Iterator[int]:
    """The hours of a day of the zone that are so many whole intervals after the start, and are named by BYHOUR."""
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
    """What the clocks of the zone show when the hour begins, without an offset."""
    return instant_of(hour).astimezone(zone).replace(tzinfo=None)


def hour_at(local: datetime, first: First) -> int | None:
    """The hour that begins at a local time, or the first of a day; None for a time or a day that the clocks skip."""
    hour = end_at(local, first.zone)
    shown = wall(hour, first.zone)
    return hour if shown == local or (first.is_day and shown.date() == local.date()) else None


def end_at(local: datetime, zone: ZoneInfo) -> int:
    """The hour that begins at a local time. One that the clocks skip is read with the offset before they do, which
    makes the first instant of a day of a midnight that they skip."""
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
