"""Random rules against RFC 5545, read word for word in plain Python: it looks at every day of every period."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from services.command.recurrence import expand
from services.command.recurrence.rule import Rule, parse
from shared.hours import Period, hour_of, instant_of, parse_zone

ONE_DAY, ONE_HOUR = timedelta(days=1), timedelta(hours=1)
MANY = 60
SEARCHED = timedelta(days=700)
ZONES = (
    "UTC",
    "Europe/London",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "America/Santiago",
    "Atlantic/Azores",
    "Pacific/Apia",
    "America/New_York",
    "Africa/Casablanca",
)


def days_between(first: date, last: date) -> list[date]:
    return [first + number * ONE_DAY for number in range((last - first).days + 1)]


def places(day: date, among: list[date]) -> set[int]:
    """The number of a day in its period, from the start and from the end."""
    return {among.index(day) + 1, among.index(day) - len(among)}


@lru_cache
def month_of(month: date) -> list[date]:
    return days_between(month, month.replace(day=monthrange(month.year, month.month)[1]))


@lru_cache
def year_of(year: int) -> list[date]:
    return days_between(date(year, 1, 1), date(year, 12, 31))


@lru_cache
def week_begin(day: date, week_start: int) -> date:
    while day.weekday() != week_start:
        day -= ONE_DAY
    return day


class Day(NamedTuple):
    """The numbers of a day for the parts of a rule, from the start and from the end of each period."""

    in_month: set[int]
    in_year: set[int]
    nth_in_month: set[int]
    nth_in_year: set[int]
    week: set[int]


@cache
def looked_at(day: date, week_start: int) -> Day:
    month, year = month_of(day.replace(day=1)), year_of(day.year)
    alike = [[one for one in among if one.weekday() == day.weekday()] for among in (month, year)]
    for number in (day.year - 1, day.year, day.year + 1):  # week 1 is the first with four days in the year
        ones, after = (week_begin(date(one, 1, 4), week_start) for one in (number, number + 1))
        if ones <= day < after:
            weeks = [ones + week * 7 * ONE_DAY for week in range((after - ones).days // 7)]
            week = places(week_begin(day, week_start), weeks)
    return Day(places(day, month), places(day, year), places(day, alike[0]), places(day, alike[1]), week)


def is_named_day(rule: Rule, day: date, first: date) -> bool:
    """BYMONTH … BYDAY of section 3.3.10, and the parts that DTSTART gives where they are left out."""
    about = looked_at(day, rule.week_start)
    nth = about.nth_in_year if rule.frequency == "YEARLY" and not rule.months else about.nth_in_month
    asked = [
        not rule.months or day.month in rule.months,
        not rule.weeks or about.week & set(rule.weeks),
        not rule.year_days or about.in_year & set(rule.year_days),
        not rule.month_days or about.in_month & set(rule.month_days),
        not rule.weekdays or any(day.weekday() == one.day and (not one.nth or one.nth in nth) for one in rule.weekdays),
    ]
    if not (rule.weekdays or rule.month_days or rule.year_days):
        if rule.weeks or rule.frequency == "WEEKLY":
            asked.append(day.weekday() == first.weekday())
        elif rule.frequency in ("MONTHLY", "YEARLY"):
            asked.append(day.day == first.day)
            asked.append(rule.frequency == "MONTHLY" or bool(rule.months) or day.month == first.month)
    return all(asked)


def period_of(rule: Rule, day: date) -> date:
    """The first day of the period of the frequency that contains a day."""
    if rule.frequency == "WEEKLY":
        return week_begin(day, rule.week_start)
    return (
        day if rule.frequency == "DAILY" else day.replace(day=1, month=day.month if rule.frequency == "MONTHLY" else 1)
    )


def periods_after(rule: Rule, first: date, other: date) -> int:
    """The number of periods of the frequency between two days."""
    one, two = period_of(rule, first), period_of(rule, other)
    if rule.frequency in ("DAILY", "WEEKLY"):
        return (two - one).days // (1 if rule.frequency == "DAILY" else 7)
    months = (two.year - one.year) * 12 + two.month - one.month
    return months if rule.frequency == "MONTHLY" else months // 12


def local_times(rule: Rule, first: datetime, last: date) -> list[datetime]:
    """The local times from `first` to `last` that a rule of days, weeks, months or years names, without the zone."""
    days = days_between(period_of(rule, first.date()), last + (380 if rule.frequency == "YEARLY" else 40) * ONE_DAY)
    found = []
    for begins, period in groupby(days, lambda day: period_of(rule, day)):
        if periods_after(rule, first.date(), begins) % rule.interval:
            continue
        named = [
            datetime.combine(day, time(hour, first.minute))
            for day in period
            if is_named_day(rule, day, first.date())
            for hour in rule.hours or (first.hour,)
        ]
        if rule.positions:
            chosen = {position - 1 if position > 0 else len(named) + position for position in rule.positions}
            named = [local for place, local in enumerate(named) if place in chosen]
        found += [local for local in named if local >= first and local.date() <= last]
    return found


@lru_cache
def clocks(zone: ZoneInfo) -> tuple[dict[datetime, int], dict[date, int]]:
    """The first hour at which clocks show each local time and each date. It looks at every hour."""
    times: dict[datetime, int] = {}
    dates: dict[date, int] = {}
    for hour in range(hour_of(datetime(2009, 12, 1, tzinfo=UTC)), hour_of(datetime(2016, 2, 1, tzinfo=UTC))):
        shown = instant_of(hour).astimezone(zone).replace(tzinfo=None)
        times.setdefault(shown, hour)
        dates.setdefault(shown.date(), hour)
    return times, dates


def end_of(local: datetime, zone: ZoneInfo) -> int:
    times, _ = clocks(zone)
    skipped = 0
    while local - skipped * ONE_HOUR not in times:
        skipped += 1
    return times[local - skipped * ONE_HOUR] + skipped


def by_definition(rule: Rule, first: datetime, last: date, length: int, zone: ZoneInfo, *, days: bool) -> list[Period]:
    """The occurrences. `length` is in hours of the clock, or in days."""
    times, dates = clocks(zone)
    found = []
    for local in local_times(rule, first, last):
        starts = dates.get(local.date()) if days else times.get(local)
        if starts is not None:
            found.append(Period(starts, end_of(local + length * (ONE_DAY if days else ONE_HOUR), zone)))
    return found


def hours_by_definition(rule: Rule, start: int, last: int, length: int, zone: ZoneInfo) -> list[Period]:
    """FREQ=HOURLY: looks at every hour in local time."""
    first, named = instant_of(start).astimezone(zone).date(), dict[date, bool]()
    found = []
    for hour in range(start, last + 1, rule.interval):
        local = instant_of(hour).astimezone(zone)
        if local.date() not in named:
            named[local.date()] = is_named_day(rule, local.date(), first)
        if named[local.date()] and (not rule.hours or local.hour in rule.hours):
            found.append(Period(hour, hour + length))
    return found


def some(least: int, most: int, *, from_end: bool = False, at_most: int = 3) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    signed = st.one_of(numbers, numbers.map(lambda number: -number)) if from_end else numbers
    return st.lists(signed, min_size=1, max_size=at_most).map(lambda values: ",".join(map(str, values)))


DAY_NAMES = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
PLAIN_DAYS = st.lists(DAY_NAMES, min_size=1, max_size=4).map(",".join)
NUMBERED = st.tuples(st.sampled_from(["", "", "1", "+2", "3", "-1", "-2", "5", "-5"]), DAY_NAMES).map("".join)
NUMBERED_DAYS = st.lists(NUMBERED, min_size=1, max_size=4).map(",".join)


@st.composite
def rules(draw: st.DrawFn, frequency: st.SearchStrategy[str], *, hours: bool) -> str:
    """Random rules of all parts to which RFC 5545 gives a meaning."""
    name = draw(frequency)
    parts = [f"FREQ={name}", f"INTERVAL={draw(st.integers(1, 4))}"]
    values = {"BYMONTH": some(1, 12, at_most=6)}
    if name == "YEARLY":
        values["BYWEEKNO"] = some(1, 53, from_end=True)
    if name in ("YEARLY", "HOURLY"):
        values["BYYEARDAY"] = some(1, 366, from_end=True, at_most=40)
    if name != "WEEKLY":
        values["BYMONTHDAY"] = some(1, 31, from_end=True, at_most=8)
    if hours:
        values["BYHOUR"] = some(0, 23)
    for part, value in values.items():
        if draw(st.integers(0, 3)) == 0:
            parts.append(f"{part}={draw(value)}")
    if draw(st.booleans()):
        numbered = name in ("MONTHLY", "YEARLY") and not any(part.startswith("BYWEEKNO") for part in parts)
        parts.append(f"BYDAY={draw(NUMBERED_DAYS if numbered else PLAIN_DAYS)}")
    if name != "HOURLY" and any(part.startswith("BY") for part in parts) and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(some(1, 5, from_end=True))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(DAY_NAMES)}")
    return ";".join(parts)


STARTS = st.datetimes(datetime(2010, 1, 1), datetime(2012, 12, 31)).map(  # noqa: DTZ001
    lambda when: when.replace(minute=0, second=0, microsecond=0)
)
SPANS = st.integers(0, 700).map(lambda days: days * ONE_DAY)
CALENDAR_RULES = st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])


def expanded(text: str, first: Period, zone: ZoneInfo, day: date | None = None, days: int = 0) -> list[Period]:
    """The occurrences. Raises InvalidField for more than 500."""
    last_day = None if day is None else day + (days - 1) * ONE_DAY
    return expand(text, *first, zone, start_day=day, end_day=last_day)


def until(text: str, last: date) -> str:
    return f"{text};UNTIL={last:%Y%m%d}"


@settings(max_examples=MANY, deadline=None)
@given(rules(CALENDAR_RULES, hours=True), STARTS, SPANS, st.integers(1, 40), st.sampled_from(ZONES))
def test_times_are_as_rfc_5545_defines_them(text: str, when: datetime, span: timedelta, length: int, name: str) -> None:
    zone, last = parse_zone(name), (when + span).date()
    rule = parse(text + ";COUNT=1")
    named = local_times(rule, when, (when + SEARCHED).date())
    assume(named)
    first = named[0]
    last = max(last, first.date())
    periods = by_definition(rule, first, last, length, zone, days=False)
    assume(periods and first in clocks(zone)[0] and len(periods) <= 500)
    event(f"{rule.frequency}, {min(len(periods), 3)} or more")
    assert expanded(until(text, last), periods[0], zone) == periods


@settings(max_examples=MANY, deadline=None)
@given(rules(CALENDAR_RULES, hours=False), STARTS, SPANS, st.integers(1, 9), st.sampled_from(ZONES))
def test_days_are_as_rfc_5545_defines_them_and_none_is_left_out(
    text: str, when: datetime, span: timedelta, length: int, name: str
) -> None:
    zone, when = parse_zone(name), when.replace(hour=0)
    rule = parse(text + ";COUNT=1")
    named = local_times(rule, when, (when + SEARCHED).date())
    assume(named)
    first = named[0]
    last = max((when + span).date(), first.date())
    periods = by_definition(rule, first, last, length, zone, days=True)
    assume(periods and first.date() in clocks(zone)[1] and len(periods) <= 500)
    event(f"{rule.frequency}, {min(len(periods), 3)} or more")
    assert expanded(until(text, last), periods[0], zone, first.date(), length) == periods


@settings(max_examples=MANY, deadline=None)
@given(
    rules(st.just("HOURLY"), hours=True),
    STARTS,
    SPANS,
    st.integers(1, 4),
    st.sampled_from([*ZONES, "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_hours_pass_one_after_the_other(text: str, when: datetime, span: timedelta, length: int, name: str) -> None:
    zone, start = parse_zone(name), hour_of(when.replace(tzinfo=UTC))
    rule = parse(text + ";COUNT=1")
    named = hours_by_definition(rule, start, start + 2000, length, zone)
    assume(named)
    last = max(start + span // ONE_HOUR, named[0].start)
    periods = hours_by_definition(rule, named[0].start, last, length, zone)[:501]
    ending = f"UNTIL={instant_of(last):%Y%m%dT%H%M%SZ}" if len(periods) <= 500 else "COUNT=500"
    assert expanded(f"{text};{ending}", periods[0], zone) == periods[:500]


@pytest.mark.parametrize(
    ("text", "first", "days"),
    [
        ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", "09-02 09-12 09-22 10-02 10-12"),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
            "1997-09-02",
            "09-02 09-04 09-16 09-18 09-30 10-02 10-14 10-16",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
            "1997-09-01",
            "09-01 09-03 09-05 09-15 09-17 09-19 09-29 10-01 10-03 10-13 10-15 10-17 10-27 10-29 10-31 11-10 11-12"
            " 11-14 11-24 11-26 11-28 12-08 12-10 12-12 12-22",
        ),
        (
            "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
            "1997-09-05",
            "09-05 10-03 11-07 12-05 01-02 02-06 03-06 04-03 05-01 06-05",
        ),
        (
            "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
            "1997-09-07",
            "09-07 09-28 11-02 11-30 01-04 01-25 03-01 03-29 05-03 05-31",
        ),
        ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "1997-09-22", "09-22 10-20 11-17 12-22 01-19 02-16"),
        ("FREQ=MONTHLY;COUNT=6;BYMONTHDAY=-3", "1997-09-28", "09-28 10-29 11-28 12-29 01-29 02-26"),
        (
            "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
            "1997-09-30",
            "09-30 10-01 10-31 11-01 11-30 12-01 12-31 01-01 01-31 02-01",
        ),
        (
            "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
            "1997-09-10",
            "09-10 09-11 09-12 09-13 09-14 09-15 03-10 03-11 03-12 03-13",
        ),
        ("FREQ=YEARLY;COUNT=4;BYMONTH=6,7", "1997-06-10", "06-10 07-10 06-10 07-10"),
        (
            "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
            "1997-01-01",
            "01-01 04-10 07-19 01-01 04-09 07-18 01-01 04-10 07-19 01-01",
        ),
        ("FREQ=YEARLY;COUNT=3;BYDAY=20MO", "1997-05-19", "05-19 05-18 05-17"),
        ("FREQ=YEARLY;COUNT=3;BYWEEKNO=20;BYDAY=MO", "1997-05-12", "05-12 05-11 05-17"),
        ("FREQ=YEARLY;COUNT=7;BYMONTH=3;BYDAY=TH", "1997-03-13", "03-13 03-20 03-27 03-05 03-12 03-19 03-26"),
        ("FREQ=MONTHLY;COUNT=5;BYDAY=FR;BYMONTHDAY=13", "1998-02-13", "02-13 03-13 11-13 08-13 10-13"),
        (
            "FREQ=MONTHLY;COUNT=6;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
            "1997-09-13",
            "09-13 10-11 11-08 12-13 01-10 02-07",
        ),
        (
            "FREQ=YEARLY;INTERVAL=4;COUNT=3;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "1996-11-05",
            "11-05 11-07 11-02",
        ),
        ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "09-04 10-07 11-06"),
        (
            "FREQ=MONTHLY;COUNT=7;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
            "1997-09-29",
            "09-29 10-30 11-27 12-30 01-29 02-26 03-30",
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15", "01-15 01-30 02-15 03-15 03-30"),
    ],
)
def test_the_examples_of_rfc_5545(text: str, first: str, days: str) -> None:
    """The examples of section 3.8.5.3 that end and repeat at most daily, at 09:00 in New York."""
    zone = parse_zone("America/New_York")
    start = hour_of(datetime.fromisoformat(f"{first}T09:00").replace(tzinfo=zone))
    periods = expand(text, start, start + 1, zone)
    assert [f"{instant_of(one.start).astimezone(zone):%m-%d %H}" for one in periods] == [
        f"{d} 09" for d in days.split()
    ]
