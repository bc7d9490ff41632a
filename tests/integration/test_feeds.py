"""iCalendar feeds: how a calendar program sees a change, and a feed with too many bookings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar, Component

from services.command.domain import CancelBooking
from services.query.database import Database
from services.query.questions.feed import Feed, FeedQuery, parse_feed
from services.query.views.feeds import EVENTS_MAX, read_feed
from shared.events import Event
from shared.hours import hour_of, instant_of
from tests.integration.test_as_of import RANGE, Ledger, ledger
from tests.support.backends import as_role
from tests.support.project import T0, Project, changed_bookings

NOON = instant_of(T0 + 12)
Notes = list[tuple[str, str]]


@pytest.fixture
async def now(database_url: str) -> AsyncIterator[Ledger]:
    async with ledger(database_url) as made:
        yield made


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(as_role(database_url, "query"), 1)
    async with database.opened():
        yield database


def events_of(calendar: str | bytes) -> dict[str, Component]:
    events = Calendar.from_ical(calendar).walk("VEVENT")
    by_uid = {str(event["UID"]): event for event in events}
    assert len(by_uid) == len(events), "a UID comes twice"
    return by_uid


def facts(event: Component) -> dict[str, object]:
    """The fields of an event that a calendar program shows."""
    return {name: event[name].to_ical() for name in ("DTSTART", "DTEND", "STATUS", "SUMMARY", "DESCRIPTION")}


async def test_what_changes_under_a_uid_has_a_greater_sequence_and_the_time_of_the_change(now: Ledger) -> None:
    """The changes: cancelled or amended while it runs, confirmed, contested, lapsed."""
    history, calendars, etags = changed_bookings(), [], []
    path = f"/projects/gaia.ics?{RANGE}"
    for event in history:
        await now.append([event])
        _, calendar, headers = await now.get(path)
        calendars.append(calendar)
        etags.append(headers["ETag"])
    changes = changes_of(calendars, history)
    assert changes == [
        "BookingContested",
        "BookingCancelled",
        "BookingAmended",
        "BookingAmended",
        "BookingAmended",
        "BookingAmended",
        "BookingAmended",
        "BookingAmended",
        "BookingConfirmed",
        "BookingContested",
        "BookingLapsed",
        "BookingLapsed",
    ]
    for number in range(1, len(history)):
        assert (etags[number] == etags[number - 1]) == (calendars[number] == calendars[number - 1])
    await now.keep()
    for number in (1, 12, 17, 25, len(history)):
        assert (await now.get(f"{path}&as_of={number}"))[1] == calendars[number - 1]


def changes_of(calendars: Sequence[str], history: Sequence[Event]) -> list[str]:
    """The types of the events that changed the calendar event with this UID. Each must raise its SEQUENCE."""
    changes, before = [], dict[str, Component]()
    for calendar, event in zip(calendars, history, strict=True):
        shown = events_of(calendar)
        for uid in shown.keys() & before.keys():
            if facts(shown[uid]) != facts(before[uid]):
                changes.append(type(event).__name__)
                assert shown[uid]["SEQUENCE"] > before[uid]["SEQUENCE"], (uid, event)
                assert shown[uid]["LAST-MODIFIED"].dt == shown[uid]["DTSTAMP"].dt == event.at
            else:
                assert shown[uid].to_ical() == before[uid].to_ical()
        before = shown
    return changes


def bookings(*hours: int) -> Project:
    """Bookings of one hour each, that start so many hours after noon."""
    project = Project()
    project.grant(-1000, 1000, 100)
    for hour in hours:
        project.book(12 + hour, 13 + hour, 1)
    return project


def feed_of(period: str | None = "2085-12-28,2086-01-12") -> Feed:
    return parse_feed("project", FeedQuery("gaia.ics", period), NOON)


async def cut(database: Database, events_max: int, feed: Feed | None = None) -> tuple[list[int], Notes, Calendar]:
    """The hours of the bookings in the calendar, the notes with their days, and the calendar."""
    answer = await read_feed(database, feed or feed_of(), None, events_max)
    assert answer.body is not None
    events = events_of(answer.body).values()
    hours = [int((event["DTSTART"].dt - NOON) / timedelta(hours=1)) for event in events if "DTEND" in event]
    notes = [(str(event["SUMMARY"]), str(event["DTSTART"].dt)) for event in events if "DTEND" not in event]
    return hours, notes, Calendar.from_ical(answer.body)


EARLIER, LATER = "Earlier bookings are missing", "Later bookings are missing"


async def test_a_calendar_that_is_too_long_is_cut_at_the_far_end_and_says_so(now: Ledger, database: Database) -> None:
    """Bookings that run or are to come stay. Bookings that ended before midnight are cut first."""
    project = bookings(-60, -30, -14, 0, 5, 40, 70)
    project.book(-150, 300, 1)  # it runs
    await now.append(project.history)
    hours, notes, calendar = await cut(database, 8)
    assert (hours, notes) == ([-162, -60, -30, -14, 0, 5, 40, 70], [])
    assert "DESCRIPTION" not in calendar
    assert (await cut(database, 7))[:2] == ([-162, -30, -14, 0, 5, 40, 70], [(EARLIER, "2085-12-30")])
    assert (await cut(database, 5))[:2] == ([-162, 0, 5, 40, 70], [(EARLIER, "2085-12-31")])
    hours, notes, calendar = await cut(database, 3)
    assert (hours, notes) == ([-162, 0, 5], [(EARLIER, "2085-12-31"), (LATER, "2086-01-03")])
    assert "begin from then on (2086-01-03, UTC)" in calendar["DESCRIPTION"]
    assert calendar["X-WR-CALDESC"] == calendar["DESCRIPTION"]


async def test_a_range_of_days_that_are_over_or_far_off_is_cut_as_far_from_today(
    now: Ledger, database: Database
) -> None:
    await now.append(bookings(-90, -80, -60, 90, 100, 120).history)
    assert (await cut(database, 2, feed_of("2085-12-27,2085-12-30")))[:2] == ([-80, -60], [(EARLIER, "2085-12-28")])
    assert (await cut(database, 2, feed_of("2086-01-04,2086-01-12")))[:2] == ([90, 100], [(LATER, "2086-01-06")])


async def test_where_a_calendar_is_cut_is_a_part_of_its_etag(now: Ledger, database: Database) -> None:
    project = bookings(0, 30)
    gone = project.book(112, 113, 1)
    await now.append(project.history)
    before = await read_feed(database, feed_of(), None, 1)
    assert (await read_feed(database, feed_of(), before.etag, 1)).body is None
    length = len(project.history)
    project.do(CancelBooking(booking=gone))
    await now.append(project.history[length:])
    assert (await read_feed(database, feed_of(), before.etag, 1)).body is None  # what is missing begins where it did
    project.do(CancelBooking(booking=project.history[-3].booking))
    await now.append(project.history[-1:])
    after = await read_feed(database, feed_of(), before.etag, 1)
    assert after.body is not None
    assert len(events_of(after.body)) == 1


MORE = """
INSERT INTO live_booking (generation, id, segment, pool, starts, ends, servers, cores, memory, tempdisc, userdisc,
    datadisc, actor, account, share, tentative, created, claimed)
SELECT generation, gen_random_uuid(), 0, pool,
    $1::timestamptz + n * interval '1 hour', $1 + (n + 1) * interval '1 hour',
    servers, cores, memory, tempdisc, userdisc, datadisc, actor, account, share, tentative, created, claimed
FROM live_booking, generate_series(1, $2) n
"""


async def test_an_address_that_is_subscribed_to_answers_also_after_the_5001st_booking(now: Ledger) -> None:
    project = Project()
    tomorrow = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    first = hour_of(tomorrow) - T0
    project.grant(first, first + 10, 10)
    project.book(first, first + 1, 1)
    await now.append(project.history)
    await now.connection.execute(MORE, tomorrow, EVENTS_MAX)
    for path in ("/projects/gaia.ics", "/accounts/ada.ics"):
        status, calendar, _ = await now.get(path)
        assert status == 200
        assert calendar.count("BEGIN:VEVENT") == EVENTS_MAX + 1
        assert "SUMMARY:Later bookings are missing" in calendar
