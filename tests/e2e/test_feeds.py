"""iCalendar feeds, from the bookings to what a calendar program reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from icalendar import Calendar, Component

from tests.support.system import System

_numbers = count(1)
Services = tuple[httpx.Client, httpx.Client]
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


@pytest.fixture(scope="module")
def services(system: System) -> Iterator[Services]:
    with (
        system.projector(),
        system.command() as command,
        system.query() as query,
        httpx.Client(base_url=command.url) as writer,
        httpx.Client(base_url=query.url) as reader,
    ):
        yield writer, reader


def at(hours: int) -> str:
    return (HOUR + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Booker:
    """A project with 10 cores, and a cluster of 6 in it."""

    def __init__(self, services: Services) -> None:
        self._writer, self._reader = services
        self.project = f"feeds-{next(_numbers)}"
        self.position = 0
        self.post("/projects/create", id=self.project, name="Feeds", overcommit={"beyond_hours": 1000})
        span = {"startdate": at(-400), "enddate": at(4000)}
        self.post("/resources/create", project=self.project, cores=10, **span)
        self.post("/clusters/create", parent=self.project, name="spark", cores=6, **span)

    def post(self, path: str, **body: Any) -> str:
        answer = self._writer.post(path, json=body, headers={"X-Hourbook-Actor": "ada"})
        assert answer.status_code in (200, 201), answer.text
        self.position = answer.json()["position"]
        return str(answer.json()["id"])

    def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        return self._reader.get(path, params={"min_position": self.position, **(query or {})}, headers=headers)

    def events(self, path: str, **query: str) -> dict[str, Component]:
        answer = self.get(path, query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        return {str(event["UID"]): event for event in Calendar.from_ical(answer.content).walk("VEVENT")}


def test_a_project_a_cluster_and_an_account_have_their_calendars(services: Services) -> None:
    booker = Booker(services)
    account = f"{booker.project}, Ada & Co"
    outer = booker.post(
        "/bookings/create", project=booker.project, account=account, cores=2, startdate=at(1), enddate=at(9)
    )
    inner = booker.post(
        "/bookings/create",
        clusterid=f"{booker.project}.spark",
        account="bob",
        share="50%",
        startdate=at(2),
        enddate=at(3),
    )
    events = booker.events(f"/projects/{booker.project}.ics")
    assert set(events) == {f"{outer}@hourbook", f"{inner}@hourbook"}
    assert events[f"{outer}@hourbook"]["SUMMARY"] == f"{account}: 2 cores"
    assert events[f"{outer}@hourbook"]["DTSTART"].dt == HOUR + timedelta(hours=1)
    assert events[f"{inner}@hourbook"]["SUMMARY"] == f"bob: 50% of {booker.project}.spark"
    assert set(booker.events(f"/clusters/{booker.project}.spark.ics")) == {f"{inner}@hourbook"}
    assert set(booker.events(f"/accounts/{account}.ics")) == {f"{outer}@hourbook"}
    assert booker.events("/accounts/nobody.ics") == {}


def test_an_amended_booking_is_the_same_event_and_a_cancelled_one_is_gone(services: Services) -> None:
    booker = Booker(services)
    path = f"/projects/{booker.project}.ics"
    booking = booker.post(
        "/bookings/create", project=booker.project, account="ada", cores=2, startdate=at(5), enddate=at(9)
    )
    before = booker.events(path)[f"{booking}@hourbook"]
    booker.post(f"/bookings/{booking}/amend", enddate=at(12))
    after = booker.events(path)[f"{booking}@hourbook"]
    assert after["DTEND"].dt == HOUR + timedelta(hours=12)
    assert after["SEQUENCE"] > before["SEQUENCE"]
    booker.post(f"/bookings/{booking}/cancel")
    assert booker.events(path) == {}


def test_a_started_booking_that_is_amended_is_two_events(services: Services) -> None:
    booker = Booker(services)
    booking = booker.post(
        "/bookings/create", project=booker.project, account="ada", cores=2, startdate=at(-5), enddate=at(9)
    )
    booker.post(f"/bookings/{booking}/amend", cores=3)
    events = booker.events(f"/projects/{booker.project}.ics")
    assert {uid: str(event["SUMMARY"]) for uid, event in events.items()} == {
        f"{booking}@hourbook": "ada: 2 cores",
        f"{booking}-1@hourbook": "ada: 3 cores",
    }


def test_what_there_is_not_enough_of_is_tentative(services: Services) -> None:
    booker = Booker(services)
    booking = booker.post(
        "/bookings/create", project=booker.project, account="ada", cores=9, startdate=at(2000), enddate=at(2001)
    )
    assert booker.events(f"/projects/{booker.project}.ics")[f"{booking}@hourbook"]["STATUS"] == "TENTATIVE"


def test_a_range_narrows_a_calendar(services: Services) -> None:
    booker = Booker(services)
    for start in (1, 100):
        booker.post(
            "/bookings/create",
            project=booker.project,
            account="ada",
            cores=1,
            startdate=at(start),
            enddate=at(start + 1),
        )
    assert len(booker.events(f"/projects/{booker.project}.ics", range=f"{at(0)},{at(50)}")) == 1


def test_a_calendar_that_has_not_changed_is_not_sent_again(services: Services) -> None:
    booker = Booker(services)
    path, body = f"/projects/{booker.project}.ics", {"project": booker.project, "account": "ada", "cores": 1}
    booker.post("/bookings/create", **body, startdate=at(1), enddate=at(2))
    etag = booker.get(path).headers["etag"]
    again = booker.get(path, **{"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    booker.post("/bookings/create", **body, startdate=at(1), enddate=at(2))
    assert booker.get(path, **{"If-None-Match": etag}).status_code == 200


def test_there_is_no_calendar_of_what_is_not_there(services: Services) -> None:
    booker = Booker(services)
    for path in ("/projects/no-such.ics", f"/clusters/{booker.project}.none.ics", f"/projects/{booker.project}"):
        assert booker.get(path).status_code == 404
    assert booker.get(f"/projects/{booker.project}.ics", {"colour": "red"}).status_code == 400
