"""Bookings as iCalendar: rendered, and read back with a calendar library."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar, Component

from services.query.questions.feed import FeedQuery, parse_feed
from services.query.render.ics import Booked, render
from shared.errors import HourbookError, InvalidField, UnknownId
from shared.hours import hour_of

NOW = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
ID, FIRST = "01968a00-0000-7000-8000-000000000002", "01968a00-0000-7000-8000-000000000001"


def booked(**members: Any) -> Booked:
    facts: dict[str, Any] = {
        "id": ID,
        "segment": 0,
        "pool": "sky.spark",
        "starts": NOW.replace(minute=0),
        "ends": NOW.replace(hour=17, minute=0),
        "counts": (2, 8, 4096, 0, 0, 5),
        "share": 0,
        "template": None,
        "template_version": None,
        "template_count": None,
        "account": "ada",
        "actor": "ada lovelace",
        "tentative": False,
        "series": None,
        "created": 10,
        "changed": 10,
        "created_at": NOW - timedelta(days=1),
        "changed_at": NOW - timedelta(days=1),
    }
    return Booked(**facts | members)


def read_back(*all_booked: Booked) -> list[Component]:
    calendar = Calendar.from_ical(render("sky at Hourbook", all_booked))
    assert calendar["VERSION"] == "2.0"
    assert calendar["X-WR-CALNAME"] == "sky at Hourbook"
    return list(calendar.walk("VEVENT"))


def test_a_booking_is_an_event() -> None:
    (event,) = read_back(booked())
    assert event["UID"] == f"{ID}@hourbook"
    assert event["DTSTART"].dt == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert event["DTEND"].dt == datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert event["SUMMARY"] == "ada: 2 servers, 8 cores, 4096 MiB memory, 5 GiB datadisc"
    assert (event["LOCATION"], event["STATUS"], event["SEQUENCE"]) == ("sky.spark", "CONFIRMED", 0)
    assert event["DTSTAMP"].dt == NOW - timedelta(days=1)
    assert "booked by ada lovelace" in event["DESCRIPTION"]
    assert "RELATED-TO" not in event


def test_an_amended_booking_keeps_its_uid_and_its_sequence_grows() -> None:
    (event,) = read_back(booked(changed=25, changed_at=NOW))
    assert (event["UID"], event["SEQUENCE"], event["DTSTAMP"].dt) == (f"{ID}@hourbook", 15, NOW)
    assert event["CREATED"].dt == NOW - timedelta(days=1)


def test_the_segments_of_a_booking_are_events_of_their_own() -> None:
    uids = [event["UID"] for event in read_back(booked(), booked(segment=1, changed=25))]
    assert uids == [f"{ID}@hourbook", f"{ID}-1@hourbook"]


def test_what_there_is_not_enough_of_is_tentative() -> None:
    (event,) = read_back(booked(tentative=True))
    assert event["STATUS"] == "TENTATIVE"
    assert "not enough" in event["DESCRIPTION"]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"share": 2000}, "ada: 20% of sky.spark"),
        ({"share": 1250}, "ada: 12.50% of sky.spark"),
        ({"template": "small", "template_version": 2, "template_count": 3}, "ada: 3 x small"),
        ({"account": "Größe; a, b\\c"}, "Größe; a, b\\c: 2 servers, 8 cores, 4096 MiB memory, 5 GiB datadisc"),
    ],
)
def test_the_summary_says_who_and_how_much(members: dict[str, Any], says: str) -> None:
    (event,) = read_back(booked(**members))
    assert event["SUMMARY"] == says


def test_an_occurrence_names_its_series() -> None:
    first, second = read_back(booked(id=FIRST, series=FIRST), booked(series=FIRST))
    assert "RELATED-TO" not in first
    assert second["RELATED-TO"] == f"{FIRST}@hourbook"


def test_the_same_bookings_are_the_same_bytes_in_lines_that_fit() -> None:
    rendered = render("sky", [booked(account="x" * 200)])
    assert rendered == render("sky", [booked(account="x" * 200)])
    assert max(map(len, rendered.split(b"\r\n"))) <= 75


def test_a_feed_is_from_90_days_ago_to_a_year_ahead_unless_a_range_is_given() -> None:
    feed = parse_feed("project", FeedQuery("sky.ics"), NOW)
    assert feed.period.start == hour_of(datetime(2025, 12, 1, tzinfo=UTC))
    assert feed.period.end == hour_of(datetime(2027, 3, 2, tzinfo=UTC))
    assert feed == parse_feed("project", FeedQuery("sky.ics"), NOW + timedelta(hours=9))
    assert parse_feed("cluster", FeedQuery("sky.spark.ics", "2026-01-01,2026-01-02"), NOW).period.hours == 48
    assert parse_feed("account", FeedQuery("Ada L. (ops).ics"), NOW).name == "Ada L. (ops)"


@pytest.mark.parametrize(
    ("kind", "file", "period", "error"),
    [
        ("project", "sky", None, UnknownId),
        ("project", "sky.spark.ics", None, UnknownId),
        ("cluster", "sky.ics", None, UnknownId),
        ("project", "S K Y.ics", None, UnknownId),
        ("account", ".ics", None, InvalidField),
        ("account", "a\nb.ics", None, InvalidField),
        ("project", "sky.ics", "2026-01-01", InvalidField),
    ],
)
def test_what_is_no_feed_is_refused(kind: str, file: str, period: str | None, error: type[HourbookError]) -> None:
    with pytest.raises(error):
        parse_feed(kind, FeedQuery(file, period), NOW)
