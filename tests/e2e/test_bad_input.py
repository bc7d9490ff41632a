"""What must not come in, sent to the command service as it runs: each is refused, named, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.support.system import System

_numbers = count(1)
DAY = {"startdate": "2086-01-01", "enddate": "2086-01-01"}
NOBODY = "01890000-0000-7000-8000-000000000000"
MOST = 1_000_000_000_000


class Project:
    """A project of its own, and how many events the service has stored."""

    def __init__(self, http: httpx.Client) -> None:
        self.http, self.id = http, f"bad-input-{next(_numbers)}"
        self.events = self._create().json()["position"]

    def _create(self) -> httpx.Response:
        return self.http.post("/projects/create", json={"id": self.id, "name": "Bad input"})

    def grant(self, **changes: Any) -> httpx.Response:
        body = {"project": self.id, "cores": 1, **DAY, **changes}
        return self.http.post("/resources/create", json={name: value for name, value in body.items() if value != ...})

    def assert_nothing_was_stored(self) -> None:
        assert self.grant().json()["position"] == self.events + 1


@pytest.fixture(scope="module")
def http(system: System) -> Iterator[httpx.Client]:
    with system.projector(), system.command() as command, httpx.Client(base_url=command.url, timeout=60) as client:
        yield client


@pytest.fixture
def project(http: httpx.Client) -> Project:
    return Project(http)


def assert_refused(answer: httpx.Response, status: int, *fields: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:hourbook:problem:{problem['code']}")
    assert {error["field"] for error in problem.get("errors", [])} == set(fields), problem


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"startdate": "2086-01-01T00:00"}, "startdate"),  # naive
        ({"enddate": "2086-01-01T05:00:00"}, "enddate"),
        ({"startdate": "2086-01-01T00:30Z"}, "startdate"),  # inside an hour
        ({"startdate": "2086-01-01T00:00:01Z"}, "startdate"),
        ({"startdate": "2086-01-01T00:00:00.000001Z"}, "startdate"),
        ({"startdate": "2086-01-01T00:00+05:30"}, "startdate"),  # a whole hour there, not in UTC
        ({"startdate": "2086-02-30"}, "startdate"),  # not in the calendar
        ({"startdate": "2086-01-01T25:00Z"}, "startdate"),
        ({"startdate": "tomorrow"}, "startdate"),
        ({"startdate": ""}, "startdate"),
        ({"startdate": "\u0662\u0660\u0663\u0660-\u0660\u0661-\u0660\u0661"}, "startdate"),
        ({"startdate": 20860101}, "startdate"),
        ({"startdate": None}, "startdate"),
        ({"startdate": ...}, "startdate"),  # left out
        ({"startdate": "1999-12-31"}, "startdate"),
        ({"enddate": "9999-12-31"}, "enddate"),
        ({"enddate": "10000-01-01"}, "enddate"),
        ({"enddate": "2085-12-31"}, "enddate"),  # before its start
        ({"startdate": "2086-01-01T00:00Z", "enddate": "2086-01-01T00:00Z"}, "enddate"),  # nothing between
        ({"enddate": "2230-01-01"}, "enddate"),  # 200 years
        ({"startdate": "2000-01-01", "enddate": "2099-12-31"}, "enddate"),
        ({"tz": "Asia/Kolkata"}, "tz"),  # +05:30
        ({"tz": "Atlantis/Centre"}, "tz"),
        ({"tz": "../../etc/passwd"}, "tz"),
        ({"tz": "\0"}, "tz"),
    ],
)
def test_each_rule_of_time_names_its_field(project: Project, changes: dict[str, Any], field: str) -> None:
    assert_refused(project.grant(**changes), 400, field)
    project.assert_nothing_was_stored()


@pytest.mark.parametrize(
    ("changes", "start", "end"),
    [
        ({}, "2086-01-01T00:00:00Z", "2086-01-02T00:00:00Z"),  # an end date includes its day
        ({"startdate": "2086-01-01T02:00+02:00", "enddate": "2086-01-01T05:30+05:30"}, None, None),  # both are 00:00Z
        ({"startdate": "2085-12-31T20:00-04:00"}, "2086-01-01T00:00:00Z", "2086-01-02T00:00:00Z"),
        ({"tz": "America/New_York"}, "2086-01-01T05:00:00Z", "2086-01-02T05:00:00Z"),
        (
            {"startdate": "2086-03-31", "enddate": "2086-03-31", "tz": "Europe/Berlin"},  # 23 hours
            "2086-03-30T23:00:00Z",
            "2086-03-31T22:00:00Z",
        ),
        (
            {"startdate": "2086-10-27", "enddate": "2086-10-27", "tz": "Europe/Berlin"},  # 25
            "2086-10-26T22:00:00Z",
            "2086-10-27T23:00:00Z",
        ),
        (
            {"startdate": "2001-01-01", "enddate": "2001-01-01"},  # gone by
            "2001-01-01T00:00:00Z",
            "2001-01-02T00:00:00Z",
        ),
    ],
)
def test_each_rule_of_time_lets_in_what_is_right(
    project: Project, changes: dict[str, Any], start: str | None, end: str | None
) -> None:
    answer = project.grant(**changes)
    if start is None:
        return assert_refused(answer, 400, "enddate")
    decided = answer.json()["decided"][0]
    assert (decided["start"], decided["end"]) == (start, end)
    return None


def test_what_is_over_cannot_be_undone(project: Project) -> None:
    past = {"startdate": "2020-01-01", "enddate": "2020-01-02"}
    grant = project.grant(**past).json()["id"]
    body = {"project": project.id, "account": "ada", "cores": 1, **past}
    booking = project.http.post("/bookings/create", json=body).json()["id"]
    assert_refused(project.http.post(f"/bookings/{booking}/cancel"), 409)
    assert_refused(project.http.post(f"/resources/{grant}/withdraw"), 409)


@pytest.mark.parametrize(
    "cores", [-1, MOST + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e300, "one", True, None, [1]]
)
def test_a_number_that_is_no_count_is_refused(project: Project, cores: object) -> None:
    answer = project.grant(cores=cores)
    if cores == 10**400:  # more digits than a number may have
        assert answer.status_code == 400
    else:
        assert_refused(answer, 400, "cores")
    project.assert_nothing_was_stored()


def test_nothing_overflows_where_the_largest_counts_add_up(project: Project) -> None:
    for _ in range(12):
        assert project.grant(cores=MOST, memory=MOST).status_code == 201
    body = {"project": project.id, "account": "ada", "cores": MOST, **DAY}
    for _ in range(12):
        assert project.http.post("/bookings/create", json=body).status_code == 201
    refusal = project.http.post("/bookings/create", json=body)
    assert_refused(refusal, 409)
    assert refusal.json()["shortages"][0]["available"] == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/resources/create", {"cores": 1, **DAY}),
        ("/clusters/create", {"parent": "gaia", "cores": 1, **DAY}),
        ("/bookings/create", {"account": "ada", "cores": 1, **DAY}),
        ("/clusters/gaia.spark/resize", {"cores": 1}),
        (f"/bookings/{NOBODY}/cancel", {}),
        (f"/resources/{NOBODY}/withdraw", {}),
    ],
)
def test_an_unknown_field_is_named_in_every_command(project: Project, path: str, body: dict[str, Any]) -> None:
    if path in ("/resources/create", "/bookings/create"):
        body = body | {"project": project.id}
    answer = project.http.post(path, json=body | {"kores": 1})
    assert_refused(answer, 400, "kores")
    assert "unknown field" in answer.json()["detail"]
    project.assert_nothing_was_stored()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/resources/create", {"project": "nobody", "cores": 1, **DAY}, 404),
        ("/bookings/create", {"project": "nobody", "account": "ada", "cores": 1, **DAY}, 404),
        ("/bookings/create", {"clusterid": "nobody.spark", "account": "ada", "cores": 1, **DAY}, 404),
        ("/clusters/create", {"parent": "nobody", "cores": 1, **DAY}, 404),
        ("/clusters/nobody.spark/resize", {"cores": 1}, 404),
        (f"/bookings/{NOBODY}/cancel", {}, 404),
        (f"/resources/{NOBODY}/withdraw", {}, 404),
        ("/bookings/not-an-id/cancel", {}, 404),
        ("/no/such/place", {}, 404),
        ("/resources/create", {"project": "No Slug!", "cores": 1, **DAY}, 400),
    ],
)
def test_an_unknown_id_is_said(project: Project, path: str, body: dict[str, Any], status: int) -> None:
    answer = project.http.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    project.assert_nothing_was_stored()


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\x1b[2Jb", "", "x" * 201])
@pytest.mark.parametrize("field", ["account", "reason"])
def test_text_that_is_none_is_refused_before_it_can_stop_the_read_models(
    project: Project, field: str, text: str
) -> None:
    """PostgreSQL's text holds no NUL: an event with one could be stored, and then not projected."""
    body = {"project": project.id, "account": "ada", "cores": 1, **DAY, field: text}
    assert_refused(project.http.post("/bookings/create", json=body), 400, field)
    project.assert_nothing_was_stored()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"[" * 100_000, 400),
        (b'{"project": "\xff\xfe"}', 400),  # not UTF-8
        (b'{"project": "\\ud800"}', 400),  # half a character
        (b"\xff\xfe{\x00}\x00", 400),  # UTF-16
        (b'{"cores": NaN}', 400),
        (b"x" * 10_000_000, 413),
        (b'{"project": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
    ids=lambda value: value[:16] if isinstance(value, bytes) else None,
)
def test_a_body_that_is_no_command_is_refused(project: Project, body: bytes, status: int) -> None:
    answer = project.http.post("/resources/create", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["code"]
    project.assert_nothing_was_stored()


def test_a_large_body_without_a_length_is_refused_too(project: Project) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    try:
        answer = project.http.post("/resources/create", content=pieces(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
    except httpx.TransportError:  # it need not read on to say no
        pass
    project.assert_nothing_was_stored()
