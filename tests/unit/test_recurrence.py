"""A recurring booking: RRULE, first occurrence and zone become periods; 09:00 stays 09:00."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidField
from shared.hours import PERIOD_HOURS_MAX, Period, hour_of, instant_of, iso, parse_instant, parse_zone
from shared.recurrence import expand

UTC_ZONE, LONDON = parse_zone("UTC"), parse_zone("Europe/London")


def at(text: str) -> int:
    return parse_instant(text, "startdate", UTC_ZONE)


def local(text: str, zone: ZoneInfo) -> int:
    return hour_of(datetime.fromisoformat(text).replace(tzinfo=zone))


def clocks(periods: list[Period], zone: ZoneInfo) -> list[str]:
    return [
        f"{instant_of(start).astimezone(zone):%a %m-%d %H:%M}-{instant_of(end).astimezone(zone):%H:%M}"
        for start, end in periods
    ]


def test_nine_stays_nine_when_the_clocks_change() -> None:
    start = local("2026-10-19T09:00", LONDON)
    periods = expand("FREQ=WEEKLY;BYDAY=MO;COUNT=3", start, start + 8, LONDON)
    assert clocks(periods, LONDON) == ["Mon 10-19 09:00-17:00", "Mon 10-26 09:00-17:00", "Mon 11-02 09:00-17:00"]
    assert [iso(period.start)[11:16] for period in periods] == ["08:00", "09:00", "09:00"]
    assert [period.start - periods[0].start for period in periods] == [0, 7 * 24 + 1, 14 * 24 + 1]


def test_shifts_that_touch_go_on_touching_and_the_long_night_is_longer() -> None:
    day, night, morning = (local(f"2026-10-2{text}", LONDON) for text in ("3T08:00", "3T20:00", "4T08:00"))
    days = expand("FREQ=DAILY;COUNT=4", day, night, LONDON)
    nights = expand("FREQ=DAILY;COUNT=4", night, morning, LONDON)
    assert [period.end for period in days] == [period.start for period in nights]
    assert [period.start for period in days[1:]] == [period.end for period in nights[:-1]]
    assert [period.hours for period in nights] == [12, 13, 12, 12]


def test_whole_days_are_the_zones_days() -> None:
    start = local("2026-10-24T00:00", LONDON)
    assert [period.hours for period in expand("FREQ=DAILY;COUNT=3", start, start + 24, LONDON)] == [24, 25, 24]


def test_a_start_that_the_clocks_skip_does_not_occur_and_is_not_counted() -> None:
    start = local("2026-03-28T01:00", LONDON)
    periods = expand("FREQ=DAILY;COUNT=3", start, start + 2, LONDON)
    assert clocks(periods, LONDON) == ["Sat 03-28 01:00-03:00", "Mon 03-30 01:00-03:00", "Tue 03-31 01:00-03:00"]


def test_an_end_that_the_clocks_skip_keeps_its_distance() -> None:
    start = local("2026-03-28T00:00", LONDON)
    assert [period.hours for period in expand("FREQ=DAILY;COUNT=3", start, start + 1, LONDON)] == [1, 1, 1]


def test_of_an_hour_that_comes_twice_the_first_is_meant() -> None:
    start = local("2026-10-24T01:00", LONDON)
    periods = expand("FREQ=DAILY;COUNT=2", start, start + 1, LONDON)
    assert [iso(period.start) for period in periods] == ["2026-10-24T00:00:00Z", "2026-10-25T00:00:00Z"]


def test_the_first_occurrence_is_what_was_asked_for_also_in_the_second_of_two_hours() -> None:
    start = at("2026-10-25T01:00Z")  # 01:00, for the second time
    assert expand("FREQ=DAILY;COUNT=2", start, start + 1, LONDON) == [
        Period(start, start + 1), Period(start + 24, start + 25),
    ]  # fmt: skip
    first = Period(start - 1, start)  # from 01:00 to 01:00 by the clocks
    assert expand("FREQ=DAILY;COUNT=2", *first, LONDON) == [first, Period(start + 24, start + 25)]


@pytest.mark.parametrize(
    ("rule", "start", "days"),
    [
        ("FREQ=DAILY;INTERVAL=10;COUNT=3", "2026-01-01", ["01-01", "01-11", "01-21"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=4", "2026-01-05", ["01-05", "01-07", "01-09", "01-12"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;COUNT=4;WKST=MO", "2003-08-05", ["08-05", "08-10", "08-19", "08-24"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;COUNT=4;WKST=SU", "2003-08-05", ["08-05", "08-17", "08-19", "08-31"]),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", "2026-01-30", ["01-30", "02-27", "03-27"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3", "2026-01-31", ["01-31", "03-31", "05-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", "2026-01-31", ["01-31", "02-28", "03-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3", "2026-01-30", ["01-30", "02-27", "03-31"]),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=2", "2026-11-26", ["11-26", "11-25"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=2", "2026-05-11", ["05-11", "05-17"]),
        ("FREQ=YEARLY;BYYEARDAY=1,-1;COUNT=3", "2026-01-01", ["01-01", "12-31", "01-01"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=3", "2024-02-29", ["02-29", "02-29", "02-29"]),
        ("FREQ=DAILY;UNTIL=20260103", "2026-01-01", ["01-01", "01-02", "01-03"]),
        ("FREQ=DAILY;UNTIL=20260103T000000Z", "2026-01-01", ["01-01", "01-02", "01-03"]),
        ("FREQ=DAILY;UNTIL=20260102T235959Z", "2026-01-01", ["01-01", "01-02"]),
        ("rrule:freq=daily;count=1;", "2026-01-01", ["01-01"]),
    ],
)
def test_the_rules_of_rfc_5545(rule: str, start: str, days: list[str]) -> None:
    begins = at(start)
    assert [iso(period.start)[5:10] for period in expand(rule, begins, begins + 1, UTC_ZONE)] == days


def test_hours_of_a_day() -> None:
    start = at("2026-01-05T09:00Z")
    periods = expand("FREQ=DAILY;BYHOUR=9,13;BYMINUTE=0;BYSECOND=0;COUNT=3", start, start + 2, UTC_ZONE)
    assert [period.start - start for period in periods] == [0, 4, 24]
    assert [p.start - start for p in expand("FREQ=HOURLY;INTERVAL=6;COUNT=3", start, start + 1, UTC_ZONE)] == [0, 6, 12]


def test_occurrences_may_overlap() -> None:
    start = at("2026-01-05T09:00Z")
    assert expand("FREQ=DAILY;COUNT=2", start, start + 48, UTC_ZONE)[1] == Period(start + 24, start + 72)


def test_until_is_an_instant_and_a_date_of_the_zone() -> None:
    start = local("2026-06-01T00:00", LONDON)  # 23:00 in UTC the day before
    assert len(expand("FREQ=DAILY;UNTIL=20260603", start, start + 1, LONDON)) == 3
    assert len(expand("FREQ=DAILY;UNTIL=20260602T225959Z", start, start + 1, LONDON)) == 2
    assert len(expand("FREQ=DAILY;UNTIL=20260602T230000Z", start, start + 1, LONDON)) == 3


def test_a_zone_of_half_hours_may_recur_on_whole_utc_hours() -> None:
    kolkata, start = parse_zone("Asia/Kolkata"), at("2026-01-05T04:00Z")
    assert expand("FREQ=DAILY;COUNT=2", start, start + 1, kolkata)[1] == Period(start + 24, start + 25)
    lord_howe = parse_zone("Australia/Lord_Howe")  # half an hour of daylight saving, to 5 April 2026
    with pytest.raises(InvalidField, match="whole UTC hour"):
        expand("FREQ=WEEKLY;COUNT=2", at("2026-03-31T09:00Z"), at("2026-03-31T10:00Z"), lord_howe)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "1 to 500 characters"),
        ("FREQ=DAILY;COUNT=2" + ";" * 500, "1 to 500 characters"),
        ("every Monday", "none of FREQ"),
        ("FREQ=DAILY", "COUNT .* or UNTIL"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260301", "not both"),
        ("COUNT=2", "FREQ must be"),
        ("FREQ=FORTNIGHTLY;COUNT=2", "FREQ must be"),
        ("FREQ=SECONDLY;COUNT=2", "finer than an hour"),
        ("FREQ=MINUTELY;INTERVAL=60;COUNT=2", "finer than an hour"),
        ("FREQ=DAILY;COUNT=0", "1 to 500"),
        ("FREQ=DAILY;COUNT=501", "1 to 500"),
        ("FREQ=DAILY;COUNT=-1", "1 to 500"),
        ("FREQ=DAILY;COUNT=two", "1 to 500"),
        ("FREQ=DAILY;COUNT=2;COUNT=3", "twice"),
        ("FREQ=DAILY;COUNT=2;INTERVAL=0", "INTERVAL=0 is not"),
        ("FREQ=DAILY;COUNT=2;BYEASTER=0", "none of FREQ"),
        ("FREQ=DAILY;COUNT=2\nEXDATE:20260102T000000Z", "is not a number"),
        ("FREQ=DAILY;COUNT=2;BYHOUR=24", "0 to 23"),
        ("FREQ=DAILY;COUNT=2;BYHOUR=-1", "0 to 23"),
        ("FREQ=DAILY;COUNT=2;BYHOUR=", "0 to 23"),
        ("FREQ=DAILY;COUNT=2;BYSECOND=30", "0 to 0"),
        ("FREQ=DAILY;COUNT=2;BYMINUTE=0,30", "whole UTC hour"),
        ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=-32", "-31 to -1"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=XX", "not a weekday"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=1MO", "counts weekdays"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=54MO", "not a weekday"),
        ("FREQ=MONTHLY;COUNT=2;BYWEEKNO=3", "no meaning with FREQ=MONTHLY"),
        ("FREQ=WEEKLY;COUNT=2;BYMONTHDAY=3", "no meaning with FREQ=WEEKLY"),
        ("FREQ=DAILY;COUNT=2;BYYEARDAY=3", "no meaning with FREQ=DAILY"),
        ("FREQ=DAILY;COUNT=2;BYSETPOS=1", "another BY"),
        ("FREQ=HOURLY;COUNT=2;BYDAY=MO;BYSETPOS=1", "no meaning with FREQ=HOURLY"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=TH;BYSETPOS=1,2,3,4,5,6", "more than 5"),
        ("FREQ=DAILY;UNTIL=20251231", "before the first"),
        ("FREQ=DAILY;UNTIL=20270530", "more than 500"),
        ("FREQ=YEARLY;UNTIL=20360301", "more than ten years"),
        ("FREQ=YEARLY;COUNT=12", "only 11 occurrences .* COUNT=11"),
        ("FREQ=DAILY;UNTIL=20260301T090000", "neither in UTC"),
        ("FREQ=DAILY;UNTIL=20260230", "not in the calendar"),
        ("FREQ=DAILY;UNTIL=99991231", "more than ten years"),
        ("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "Thu 2026-01-01T00:00 .* next that it names is Mon 2026-01-05T00:00"),
        ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2", "names no day or hour"),
        ("FREQ=HOURLY;INTERVAL=2;BYHOUR=1,3;COUNT=2", "names no day or hour"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: str, says: str) -> None:
    start = at("2026-01-01")
    with pytest.raises(InvalidField, match=says) as refusal:
        expand(rule, start, start + 1, UTC_ZONE)
    assert refusal.value.field == "rrule"


def test_the_last_occurrence_ends_before_2100() -> None:
    start = at("2099-12-30")
    with pytest.raises(InvalidField, match="outside 2000-01-01"):
        expand("FREQ=DAILY;COUNT=3", start, start + 25, UTC_ZONE)


@pytest.mark.parametrize("frequency", ["HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
def test_a_day_that_never_comes_is_not_looked_for_in_vain(frequency: str) -> None:
    start, began = at("2026-01-05"), time.process_time()
    day = "BYDAY=MO;BYSETPOS=2,3,4,5,6" if frequency in ("DAILY", "WEEKLY") else "BYMONTHDAY=30;BYMONTH=2"
    with pytest.raises(InvalidField, match="names no day"):
        expand(f"FREQ={frequency};COUNT=2;{day}", start, start + 1, UTC_ZONE)
    assert time.process_time() - began < 5


RULES = st.builds(
    "FREQ={};INTERVAL={};COUNT={}".format,
    st.sampled_from(["HOURLY", "DAILY", "WEEKLY"]), st.integers(1, 8), st.integers(1, 60),
)  # fmt: skip
ZONES = st.sampled_from(["UTC", "Europe/London", "America/New_York", "Pacific/Apia", "Asia/Tehran"]).map(parse_zone)


@settings(max_examples=200, deadline=None)
@given(RULES, st.datetimes(datetime(2000, 1, 2), datetime(2080, 1, 1)), st.integers(1, 100), ZONES)  # noqa: DTZ001
def test_occurrences_come_in_order_each_at_the_same_local_time(
    rule: str, when: datetime, length: int, zone: ZoneInfo
) -> None:
    start = hour_of(when.replace(tzinfo=UTC))
    periods = expand(rule, start, start + length, zone)
    assert periods[0] == Period(start, start + length)
    assert all(period.hours > 0 for period in periods)
    starts = [period.start for period in periods]
    assert starts == sorted(set(starts))
    assert starts[-1] - start <= PERIOD_HOURS_MAX
    assert len(starts) == int(rule.rpartition("=")[2])
    if "HOURLY" not in rule:
        assert len({instant_of(hour).astimezone(zone).time() for hour in starts}) == 1
