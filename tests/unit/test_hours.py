"""The rules of time: whole UTC hours, half-open periods, inclusive dates, blocks in a zone."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from shared.errors import InvalidField
from shared.hours import (
    Period,
    block_starts,
    hour_of,
    instant_of,
    iso,
    next_hour,
    parse_grain,
    parse_instant,
    parse_period,
    parse_range,
    parse_zone,
    zone_names,
)

UTC_ZONE = parse_zone("UTC")
LONDON = parse_zone("Europe/London")


def test_a_date_as_an_end_includes_that_day() -> None:
    assert parse_range("2020-06-08,2020-06-14", UTC_ZONE).hours == 7 * 24


def test_an_offset_is_honoured() -> None:
    assert iso(parse_instant("2020-06-08T02:00+02:00", "startdate", UTC_ZONE)) == "2020-06-08T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2020-06-08T09:00", "no offset"),
        ("2020-06-08T09:30Z", "whole UTC hour"),
        ("2020-06-08T09:00:00.5Z", "whole UTC hour"),
        ("2020-06-08T09:00+05:30", "whole UTC hour"),
        ("2020-02-30", "not in the calendar"),
        ("2020-06-08T24:00Z", "not in the calendar"),
        ("2020-W23", "not a date"),
        ("2020-06-08T09:00 01:00", "write %2B"),
        ("2020-06-08T09:00:00 0100", "write %2B"),
        ("1999-12-30", "outside"),
        ("2101-01-01", "outside"),
        ("9999-12-31", "outside"),
        ("", "not a date"),
    ],
)
def test_a_bad_instant_is_refused_with_its_field(text: str, says: str) -> None:
    with pytest.raises(InvalidField, match=says) as refusal:
        parse_instant(text, "startdate", UTC_ZONE, is_end=True)
    assert refusal.value.field == "startdate"


def test_a_blank_is_taken_for_a_lost_plus_only_where_a_plus_would_be_right() -> None:
    for text in ("2020-06-08 09:00", "2020-06-08T09:00 ", "2020-06-08T09:00 1:00", "in 2020"):
        with pytest.raises(InvalidField) as refusal:
            parse_instant(text, "startdate", UTC_ZONE)
        assert "%2B" not in str(refusal.value)
    with pytest.raises(InvalidField, match="write %2B"):
        parse_zone("Etc/GMT 5")


@pytest.mark.parametrize(
    ("start", "end"),
    [("2020-01-02", "2020-01-01"), ("2020-01-01T00:00Z", "2020-01-01T00:00Z"), ("2001-01-01", "2099-01-01")],
)
def test_an_empty_backward_or_endless_period_is_refused(start: str, end: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        parse_period(start, end, UTC_ZONE)
    assert refusal.value.field == "enddate"


def test_days_of_a_zone_have_23_and_25_hours() -> None:
    for days, lengths in (("2026-03-28,2026-03-30", [24, 23, 24]), ("2026-10-24,2026-10-26", [24, 25, 24])):
        period = parse_range(days, LONDON)
        starts = [*block_starts(period, "day", LONDON), period.end]
        assert [b - a for a, b in pairwise(starts)] == lengths


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("Africa/Cairo", "2027-04-30", "2027-04-29T22:00:00Z", 23),
        ("Asia/Beirut", "2027-03-28", "2027-03-27T22:00:00Z", 23),
        ("America/Santiago", "2027-09-05", "2027-09-05T04:00:00Z", 23),
        ("America/Havana", "2025-03-09", "2025-03-09T05:00:00Z", 23),
        ("Atlantic/Azores", "2027-03-28", "2027-03-28T01:00:00Z", 23),
        ("Atlantic/Azores", "2027-10-31", "2027-10-31T00:00:00Z", 25),  # 00:00 comes twice
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z", 25),
        ("Asia/Beirut", "2027-10-30", "2027-10-29T21:00:00Z", 25),  # at 24:00 clocks go back to 23:00
        ("Antarctica/Casey", "2016-10-22", "2016-10-21T16:00:00Z", 21),
    ],
)
def test_a_day_begins_at_its_first_instant_also_where_the_clocks_skip_midnight(
    zone: str, day: str, begins: str, hours: int
) -> None:
    clocks, before = parse_zone(zone), str(date.fromisoformat(day) - timedelta(days=1))
    period = parse_range(f"{day},{day}", clocks)
    assert (iso(period.start), period.hours) == (begins, hours)
    assert parse_range(f"{before},{before}", clocks).end == period.start
    assert block_starts(parse_range(f"{before},{day}", clocks), "day", clocks)[1] == period.start


def test_a_day_that_the_zone_skipped_altogether_has_no_hour() -> None:
    apia = parse_zone("Pacific/Apia")
    with pytest.raises(InvalidField, match="not after the start"):
        parse_range("2011-12-30,2011-12-30", apia)
    period = parse_range("2011-12-29,2011-12-31", apia)
    assert [b - a for a, b in pairwise([*block_starts(period, "day", apia), period.end])] == [24, 24]


def test_a_zone_of_half_hours_is_refused() -> None:
    with pytest.raises(InvalidField, match="whole hour"):
        parse_range("2020-01-01,2020-01-02", parse_zone("Asia/Kolkata"))
    with pytest.raises(InvalidField, match="IANA"):
        parse_zone("Mars/Olympus")
    with pytest.raises(InvalidField, match="IANA"):
        parse_zone("../etc/passwd")


@pytest.mark.parametrize(
    "name",
    [
        "localtime",
        "posixrules",
        "Factory",
        "posix/Europe/London",
        "right/UTC",
        "europe/london",
        "Europe",
        "",
        "utc",
        "zones",
        "/usr/share/zoneinfo/UTC",
        "Europe/../UTC",
        "Europe//London",
        "Europe/London ",
        "UTC\n",
        "tzdata.zi",
    ],
)
def test_a_zone_is_one_that_a_person_means_by_its_name(name: str) -> None:
    with pytest.raises(InvalidField, match="is not an IANA time zone; give one like "):
        parse_zone(name)


def test_every_zone_of_iana_is_one_and_a_wrong_case_is_told_the_right_one() -> None:
    assert {"UTC", "Europe/London", "America/Argentina/Ushuaia", "Etc/GMT+5", "GB", "EST5EDT"} <= zone_names()
    for name in zone_names():
        assert parse_zone(name).key == name
    with pytest.raises(InvalidField, match="give one like America/New_York"):
        parse_zone("america/NEW_YORK")


def test_a_zone_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """The machine's own file of Europe/London is not used. It may be old or changed."""
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    for name in ("Europe/London", "Mine"):
        (tmp_path / name).write_bytes(tokyo)
    says = (
        "from datetime import datetime; from zoneinfo import ZoneInfo\n"
        "from shared.hours import parse_zone, zone_names\n"
        "print(*(datetime(2030, 1, 1, tzinfo=zone('Europe/London')).utcoffset() for zone in (ZoneInfo, parse_zone)),"
        " 'Mine' in zone_names())"
    )
    run = subprocess.run(
        [sys.executable, "-c", says],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["9:00:00", "0:00:00", "False"]


def test_weeks_start_on_monday_and_are_clipped() -> None:
    starts = block_starts(parse_range("2020-01-01,2020-01-31", UTC_ZONE), "week", UTC_ZONE)
    assert [iso(hour)[:10] for hour in starts] == ["2020-01-01", "2020-01-06", "2020-01-13", "2020-01-20", "2020-01-27"]


def test_months_and_hours_grains() -> None:
    period = parse_range("2019-12-15,2020-02-02", UTC_ZONE)
    assert [iso(hour)[:10] for hour in block_starts(period, "month", UTC_ZONE)] == [
        "2019-12-15",
        "2020-01-01",
        "2020-02-01",
    ]
    assert block_starts(Period(0, 20), 7, UTC_ZONE) == [0, 7, 14]
    assert (parse_grain("weekly"), parse_grain("168h")) == ("week", 168)
    for bad in ("0h", "fortnight", "-1h", ""):
        with pytest.raises(InvalidField):
            parse_grain(bad)


def test_the_next_hour_of_a_whole_hour_is_itself() -> None:
    whole = datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert next_hour(whole) == hour_of(whole)
    assert next_hour(whole.replace(microsecond=1)) == hour_of(whole) + 1
    assert instant_of(hour_of(whole)) == whole
