"""A recurring booking: RRULE, first occurrence and zone give the periods. 09:00 stays 09:00 when clocks change."""

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.command.recurrence import expand
from shared.errors import InvalidField
from shared.hours import PERIOD_HOURS_MAX, Period, hour_of, instant_of, iso, parse_instant, parse_period, parse_zone

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
        Period(start, start + 1),
        Period(start + 24, start + 25),
    ]
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


def starts(rule: str, start: str) -> list[str]:
    begins = at(start)
    return [iso(period.start)[5:10] for period in expand(rule, begins, begins + 1, UTC_ZONE)]


def test_setpos_counts_in_the_week_and_not_from_the_first_occurrence() -> None:
    rule = "FREQ=WEEKLY;BYDAY=MO,TU,SA;BYSETPOS=1,2;COUNT=4"
    assert starts(rule, "2027-06-01") == ["06-01", "06-07", "06-08", "06-14"]
    assert starts(rule + ";WKST=SA", "2027-06-05") == ["06-05", "06-07", "06-12", "06-14"]
    assert starts("FREQ=YEARLY;BYMONTH=6;BYDAY=MO,TU;BYSETPOS=1,2;COUNT=3", "2027-06-07") == ["06-07", "06-05", "06-06"]


def test_every_monday_and_the_first_friday() -> None:
    days = ["06-04", "06-07", "06-14", "06-21", "06-28", "07-02"]
    assert starts("FREQ=MONTHLY;BYDAY=MO,1FR;COUNT=6", "2027-06-04") == days
    assert starts("FREQ=MONTHLY;BYDAY=-1FR,1FR,1MO;COUNT=3", "2027-06-04") == ["06-04", "06-07", "06-25"]


def test_a_week_number_alone_means_the_weekday_of_the_first_occurrence() -> None:
    assert starts("FREQ=YEARLY;BYWEEKNO=20;COUNT=2", "2026-05-13") == ["05-13", "05-19"]


def test_more_of_a_month_than_five_places_may_be_chosen() -> None:
    rule = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,2,3,4,5,6;COUNT=7"
    assert starts(rule, "2027-06-01")[-2:] == ["06-08", "07-01"]


@pytest.mark.parametrize("start", ["2027-03-27T23:00Z", "2027-10-30T23:00Z"])
def test_hours_pass_one_after_the_other_in_the_nights_in_which_the_clocks_change(start: str) -> None:
    first = at(start)
    four = [Period(first + hour, first + hour + 1) for hour in range(4)]
    assert expand("FREQ=HOURLY;COUNT=4", *four[0], LONDON) == four
    assert expand("FREQ=HOURLY;COUNT=4;BYDAY=SA,SU", *four[0], LONDON) == four


def test_an_hourly_rule_is_read_in_the_local_time_of_each_hour() -> None:
    first = at("2027-10-31T00:00Z")  # 01:00, and again an hour later
    hours = expand("FREQ=HOURLY;BYHOUR=1,2;COUNT=4", first, first + 1, LONDON)
    assert [hour.start - first for hour in hours] == [0, 1, 2, 25]


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Africa/Cairo", "2027-04-29"),
        ("Asia/Beirut", "2027-03-27"),
        ("America/Santiago", "2027-09-04"),
        ("America/Havana", "2027-03-13"),
        ("Atlantic/Azores", "2027-03-27"),
        ("Atlantic/Azores", "2027-10-30"),
        ("Europe/London", "2027-03-27"),
        ("UTC", "2027-03-27"),
    ],
)
def test_recurring_days_are_the_days_that_single_bookings_give(zone: str, first: str) -> None:
    clocks = parse_zone(zone)
    days = [str(day(first) + timedelta(days=number)) for number in range(3)]
    singles = [parse_period(one, one, clocks) for one in days]
    for number, rule in enumerate(("FREQ=DAILY;COUNT=3", "FREQ=DAILY;COUNT=2", "FREQ=DAILY;COUNT=1")):
        own = {"start_day": day(days[number]), "end_day": day(days[number])}
        assert expand(rule, *singles[number], clocks, **own) == singles[number:]


def test_days_without_a_midnight_are_counted_and_the_week_has_all_its_days() -> None:
    cairo = parse_zone("Africa/Cairo")
    week = parse_period("2027-04-23", "2027-04-29", cairo)  # Friday to Thursday
    weeks = expand("FREQ=WEEKLY;COUNT=3", *week, cairo, start_day=day("2027-04-23"), end_day=day("2027-04-29"))
    assert [one.hours for one in weeks] == [168, 167, 168]
    assert weeks[1].start == weeks[0].end
    friday = parse_period("2027-04-30", "2027-04-30", cairo)
    alone = expand("FREQ=WEEKLY;COUNT=2", *friday, cairo, start_day=day("2027-04-30"), end_day=day("2027-04-30"))
    assert [one.hours for one in alone] == [23, 24]


def test_until_a_day_without_a_midnight_includes_that_day() -> None:
    cairo = parse_zone("Africa/Cairo")
    first = parse_period("2027-04-28", "2027-04-28", cairo)
    own = {"start_day": day("2027-04-28"), "end_day": day("2027-04-28")}
    assert len(expand("FREQ=DAILY;UNTIL=20270430", *first, cairo, **own)) == 3
    assert (
        len(expand("FREQ=DAILY;UNTIL=20270429", *first, cairo, **own)) == 2
    )  # ends where the next day has no midnight


def test_a_midnight_that_was_given_as_a_time_is_a_time_and_may_be_skipped() -> None:
    cairo, start = parse_zone("Africa/Cairo"), at("2027-04-28T22:00Z")
    assert clocks(expand("FREQ=DAILY;COUNT=2", start, start + 2, cairo), cairo) == [
        "Thu 04-29 00:00-02:00",
        "Sat 05-01 00:00-02:00",
    ]


def test_a_day_that_the_zone_skipped_altogether_does_not_occur() -> None:
    apia = parse_zone("Pacific/Apia")
    first = parse_period("2011-12-29", "2011-12-29", apia)
    days = expand("FREQ=DAILY;COUNT=2", *first, apia, start_day=day("2011-12-29"), end_day=day("2011-12-29"))
    assert days == [first, parse_period("2011-12-31", "2011-12-31", apia)]


@pytest.mark.parametrize(
    "part", ["FREQ=HOURLY", "FREQ=DAILY;BYHOUR=9", "FREQ=DAILY;BYHOUR=0,12", "FREQ=DAILY;BYMINUTE=30"]
)
def test_a_rule_of_hours_is_refused_where_the_booking_is_of_days(part: str) -> None:
    first = parse_period("2027-04-29", "2027-04-29", UTC_ZONE)
    with pytest.raises(InvalidField, match="bare date is of days"):
        expand(f"{part};COUNT=2", *first, UTC_ZONE, start_day=day("2027-04-29"), end_day=day("2027-04-29"))
    midnights = "FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=0;COUNT=2"  # as some calendars write
    assert len(expand(midnights, *first, UTC_ZONE, start_day=day("2027-04-29"), end_day=day("2027-04-29"))) == 2


def test_hours_of_a_day() -> None:
    start = at("2026-01-05T09:00Z")
    periods = expand("FREQ=DAILY;BYHOUR=9,13;BYMINUTE=0;BYSECOND=0;COUNT=3", start, start + 2, UTC_ZONE)
    assert [period.start - start for period in periods] == [0, 4, 24]
    assert [p.start - start for p in expand("FREQ=HOURLY;INTERVAL=6;COUNT=3", start, start + 1, UTC_ZONE)] == [0, 6, 12]


def test_all_occurrences_together_are_ten_years_at_most() -> None:
    start = at("2026-01-05")
    assert len(expand("FREQ=DAILY;COUNT=500", start, start + 175, UTC_ZONE)) == 500
    with pytest.raises(InvalidField, match="88000 hours together"):
        expand("FREQ=DAILY;COUNT=500", start, start + 176, UTC_ZONE)


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
        ("FREQ=WEEKLY;COUNT=2;WKST=MO,TU", "weeks begin with"),
        ("FREQ=HOURLY;COUNT=2;BYMINUTE=30", "whole UTC hour"),
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


@pytest.mark.parametrize(
    "rule",
    [
        *(f"FREQ={frequency};BYMONTHDAY=30;BYMONTH=2" for frequency in ("HOURLY", "DAILY", "MONTHLY", "YEARLY")),
        "FREQ=DAILY;BYDAY=MO;BYSETPOS=2,3,4,5,6",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2,3,4,5,6",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=1,3",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=1,2,3,4,5,6,7,8,9,10",
        "FREQ=YEARLY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYWEEKNO=53;BYMONTH=6",
    ],
)
def test_a_rule_that_names_nothing_is_not_looked_for_for_long(rule: str) -> None:
    start, began = at("2026-01-05"), time.process_time()
    with pytest.raises(InvalidField, match="names no day"):
        expand(f"{rule};COUNT=2", start, start + 1, UTC_ZONE)
    assert time.process_time() - began < 0.3  # some 20 ms, on a machine that does nothing else


RULES = st.builds(
    "FREQ={};INTERVAL={};COUNT={}".format,
    st.sampled_from(["HOURLY", "DAILY", "WEEKLY"]),
    st.integers(1, 8),
    st.integers(1, 60),
)
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
