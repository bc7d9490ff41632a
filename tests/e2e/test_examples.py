"""The programs of examples/, as a user runs them, against one `hourbook up`."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.booking_client import Hourbook
from examples.spawner_check import book, booking_of, check, whole_hours
from services.cli.up.embedded import stop_process
from shared.hours import iso, next_hour
from tests.support.running import Running, until

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUR = next_hour(datetime.now(UTC))
_numbers = count(1)


def span(start: int, end: int) -> dict[str, str]:
    """A period from and to so many hours from now."""
    return {"startdate": iso(HOUR + start), "enddate": iso(HOUR + end)}


AROUND_NOW, LATER = span(-1000, 4000), span(100, 200)


@pytest.fixture
def hourbook(up: Running) -> Iterator[Hourbook]:
    """The example's own client."""
    with httpx.Client(base_url=up.url, timeout=30) as http:
        yield Hourbook(http)


@pytest.fixture
def project(hourbook: Hourbook) -> str:
    """A project with 64 cores around now, and its cluster `hub`, which has 16 of them."""
    project = f"example-{next(_numbers)}"
    hourbook.command("/projects/create", {"id": project, "name": project})
    hourbook.command("/resources/create", {"project": project, "cores": 64, "memory": 65536, **AROUND_NOW})
    hourbook.command("/clusters/create", {"parent": project, "name": "hub", "cores": 16, "memory": 32768, **AROUND_NOW})
    return project


def run(name: str, *arguments: str, exits: int = 0) -> list[str]:
    """The lines that the program prints."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout.splitlines()


class Subscriber:
    """subscriber.py as a process; as a context, it is killed at the end of the block."""

    def __init__(self, up: Running, project: str, directory: Path) -> None:
        self.database, self._output = directory / "bookings.db", directory / "subscriber.txt"
        self._command = [sys.executable, str(EXAMPLES / "subscriber.py"), project, "--url", up.url]

    def __enter__(self) -> "Subscriber":
        with self._output.open("ab") as output:
            command = [*self._command, "--database", str(self.database)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        return self

    def __exit__(self, *_: object) -> None:
        stop_process(self._process, signal.SIGKILL)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def follows_to(self, position: int) -> None:
        until(lambda: f"\n{position} " in self.output, lambda: self.output)

    def booked(self) -> list[tuple[Any, ...]]:
        statement = 'SELECT booking, "start", "end", pool, account, cores, memory, tentative FROM booked ORDER BY 1, 2'
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            return list(database.execute(statement))


def listed(up: Running, project: str, position: int) -> list[tuple[Any, ...]]:
    """The same columns, as the query service lists them."""
    query = {
        "project": project,
        "range": ",".join(AROUND_NOW.values()),
        "grain": "5000h",
        "min_position": str(position),
    }
    answer = httpx.get(f"{up.url}/bookings/select", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    fields = ("id", "start", "end", "pool", "account", "cores", "memory")
    return sorted((*(item[name] for name in fields), item["state"] == "tentative") for item in answer.json()["items"])


def test_a_subscriber_that_is_killed_goes_on_at_its_position_and_has_what_is_booked(
    up: Running, hourbook: Hourbook, project: str, tmp_path: Path
) -> None:

    def booked(account: str, cores: int, period: dict[str, str]) -> str:
        body = {"project": project, "account": account, "cores": cores, **period}
        return str(hourbook.command("/bookings/create", body)["id"])

    subscriber = Subscriber(up, project, tmp_path)
    with subscriber:
        booked("ada", 1, LATER)
        moved, cancelled = booked("grace", 2, LATER), booked("lin", 3, LATER)
        subscriber.follows_to(hourbook.position)
    hourbook.command(f"/bookings/{moved}/amend", span(300, 310))
    hourbook.command(f"/bookings/{cancelled}/cancel", {})
    begun = booked("ada", 4, span(-10, 50))
    hourbook.command(f"/bookings/{begun}/amend", {"cores": 5})  # from the next hour on: a second row
    with subscriber:
        subscriber.follows_to(hourbook.position)
    assert subscriber.output.count("BookingCreated") == 4  # each was told once, over both runs
    assert subscriber.booked() == listed(up, project, hourbook.position)
    assert [row[5] for row in subscriber.booked() if row[0] == begun] == [4, 5]


def test_a_subscriber_with_the_position_of_another_ledger_ends_and_says_so(
    up: Running, project: str, tmp_path: Path
) -> None:
    subscriber = Subscriber(up, project, tmp_path)
    with subscriber:
        until(lambda: "after position 0" in subscriber.output, lambda: subscriber.output)
    with contextlib.closing(sqlite3.connect(subscriber.database)) as database, database:
        database.execute("INSERT OR REPLACE INTO progress VALUES (?, 1000000)", (project,))
    arguments = (project, "--url", up.url, "--database", str(subscriber.database))
    command = [sys.executable, str(EXAMPLES / "subscriber.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "beyond the last event" in done.stderr


def test_the_booking_client_books_what_is_left_and_makes_everything_once(up: Running) -> None:
    project = f"example-{next(_numbers)}"
    first = run("booking_client.py", project, "--cores", "48", "--url", up.url)
    assert first[0] == "2030-06-03T00:00:00Z to 2030-06-10T00:00:00Z: 48 cores asked, 40 available"
    assert first[1].startswith("booked 40 cores: ")
    assert first[2:] == [f"2030-06-0{day} 0 of 40 cores" for day in range(3, 10)]
    again = run("booking_client.py", project, "--cores", "1", "--url", up.url)
    assert again[1].startswith("refused: ")
    assert again[2:] == first[2:]
    answer = httpx.get(f"{up.url}/events", params={"project": project, "limit": "100"}, timeout=30).json()
    kinds = [stored["event"]["type"] for stored in answer["events"]]
    assert kinds == ["ProjectCreated", "GrantCreated", "ClusterCreated", "BookingCreated"]


def test_the_booking_client_waits_while_the_command_service_is_away_and_books_once(
    up: Running, hourbook: Hourbook, project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.kill(up.pid_of("services.command"), signal.SIGKILL)
    body = {"project": project, "account": "ada", "cores": 10, **LATER}
    booking = hourbook.command("/bookings/create", body)["id"]
    assert "again in 1 s" in capsys.readouterr().out  # after 503, or 502 where the kill was met half-way
    rows = listed(up, project, hourbook.position)
    assert [(row[0], row[5]) for row in rows] == [(booking, 10)]


def test_the_spawners_check_says_yes_and_no_and_when_it_would_fit(up: Running, project: str) -> None:
    ask = ("spawner_check.py", f"{project}.hub", "ada", "--hours", "2", "--url", up.url, "--cores")
    assert run(*ask, "12", "--book", "server-1")[0].startswith("yes: booked ")
    refused = run(*ask, "12", exits=1)
    assert refused[0].startswith(f"no: the booking asks 12 cores of '{project}.hub' from ")
    assert refused[1].startswith("the nearest period that fits: ")


async def test_a_spawner_that_sends_its_booking_again_finds_it(up: Running, project: str) -> None:
    body = booking_of(f"{project}.hub", "ada", 2, {"cores": 12}, datetime.now(UTC))
    async with httpx.AsyncClient(base_url=up.url, timeout=30) as client:
        first, again = await book(client, body, "server-2"), await book(client, body, "server-2")
        other, too_large = await book(client, body, "server-3"), await check(client, {**body, "cores": 17})
    assert first.allowed
    assert again == first
    assert not other.allowed
    assert other.nearest is not None
    assert (too_large.allowed, too_large.nearest) == (False, None)


async def test_the_spawners_check_knows_the_limits_of_an_account(up: Running, project: str) -> None:
    now = datetime.now(UTC)
    async with httpx.AsyncClient(base_url=up.url, timeout=30) as client:
        account = {"project": project, "account": "ada", "limits": {"duration_hours": 3}}
        assert (await client.post("/accounts/create", json=account)).status_code == 201
        short, long, stranger = [
            await check(client, booking_of(project, name, hours, {"cores": 1}, now))
            for name, hours in (("ada", 1), ("ada", 4), ("lin", 1))
        ]
    assert short.allowed
    assert (long.allowed, "the limit duration_hours of 'ada' is 3" in long.reason) == (False, True)
    assert (stranger.allowed, "no account in this project 'lin'" in stranger.reason) == (False, True)


def test_the_period_of_a_server_is_the_running_hour_and_all_that_it_reaches_into() -> None:
    nine, eleven, twelve = (datetime(2030, 12, 31, hour, tzinfo=UTC) for hour in (9, 11, 12))
    assert whole_hours(nine, 2) == (nine, eleven)
    assert whole_hours(nine.replace(minute=30), 2) == (nine, twelve)
