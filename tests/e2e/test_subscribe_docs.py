"""The programs of docs/subscribe.md, as they stand there, against the real services; some are killed at any moment."""

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.up.embedded import free_port, stop_process
from tests.support.backends import Nats
from tests.support.nats_users import make_subscriber
from tests.support.system import Service, System

PAGE = Path(__file__).parents[2] / "docs" / "subscribe.md"
BLOCK = re.compile(r"```(?:python|js|sh)\n(?:#|//) (\w+\.\w+)(.*?)\n```", re.DOTALL)
PROGRAMS = {
    name: f"# {text}" if not name.endswith(".mjs") else f"//{text}" for name, text in BLOCK.findall(PAGE.read_text())
}
BOUND_S = 60
MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
_numbers = count(1)


class Hourbook:
    """The services behind a gateway of the two, and a project with a little in it."""

    def __init__(self, command: Service, query: Service, nats: Nats) -> None:
        self.command, self.query = httpx.Client(base_url=command.url), httpx.Client(base_url=query.url)
        self.url, self.write_url, self._nats = query.url, command.url, nats
        self.project = f"docs-{next(_numbers)}"
        self.post("/projects/create", id=self.project, name="Docs")
        self.post("/resources/create", project=self.project, cores=10_000, **MONTH)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.command.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def book(self, count: int = 1, account: str = "ada") -> list[int]:
        """Their positions."""
        body = {"project": self.project, "account": account, "cores": 1, **MONTH}
        return [self.post("/bookings/create", **body)["position"] for _ in range(count)]

    def subscriber(self, *projects: str) -> dict[str, str]:
        """A new subscriber of these projects, or of all; the environment of its program."""
        name = f"docs-{next(_numbers)}"
        return {"NATS_URL": asyncio.run(make_subscriber(self._nats, name, *projects)), "SUBSCRIBER": name}

    def head(self) -> int:
        return int(self.query.get("/health").json()["head"])


@pytest.fixture(scope="module")
def services(system: System) -> Iterator[tuple[Service, Service]]:
    with system.projector(), system.command() as command, system.query() as query:
        yield command, query


@pytest.fixture
def hourbook(services: tuple[Service, Service], system: System) -> Iterator[Hourbook]:
    hourbook = Hourbook(*services, system.nats)
    yield hourbook
    hourbook.command.close()
    hourbook.query.close()


class Program:
    """A block of the page as a process; `lines` is what it has printed."""

    def __init__(self, hourbook: Hourbook, directory: Path, name: str, **environment: str) -> None:
        self._file, self._output = directory / name, directory / f"{name}.txt"
        self._file.write_text(PROGRAMS[name])
        runner = {".py": [sys.executable], ".sh": ["sh"], ".mjs": ["node", "--experimental-eventsource"]}
        self._command = [*runner[self._file.suffix], str(self._file)]
        self._environment = os.environ | {"HOURBOOK": hourbook.url, "PROJECT": hourbook.project, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=output, stderr=output)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        stop_process(self.process, how)

    @property
    def lines(self) -> list[str]:
        return self._output.read_text().splitlines() if self._output.exists() else []

    def __enter__(self) -> "Program":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def until(condition: Callable[[], bool], program: Program | None = None) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, program.lines[-20:] if program else "it does not come true"
        time.sleep(0.05)


def rows(database: Path, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        try:
            return list(connection.execute(statement))
        except sqlite3.OperationalError:
            return []  # it has not made its table yet


def test_the_page_has_its_programs() -> None:
    assert set(PROGRAMS) == {
        "durable.py",
        "position.py",
        "follow.mjs",
        "follow.py",
        "follow.sh",
        "history.sh",
        "register.sh",
        "receive.py",
    }


def test_a_durable_consumer_that_is_killed_loses_nothing_and_repeats_nothing(
    hourbook: Hourbook, tmp_path: Path
) -> None:
    database = tmp_path / "events.db"
    program = Program(hourbook, tmp_path, "durable.py", DATABASE=str(database), **hourbook.subscriber())
    made: list[int] = []
    for _ in range(3):
        with program:  # and it is killed at the end of the block
            made += hourbook.book(40)
            until(lambda: rows(database, "SELECT count(*) FROM event")[:1] > [(0,)], program)
    with program:
        made += hourbook.book(10)
        head = hourbook.head()
        until(lambda: rows(database, "SELECT count(*) FROM event")[:1] >= [(head,)], program)
    assert rows(database, "SELECT min(position), max(position), count(*) FROM event") == [(1, head, head)]
    stored = dict(rows(database, "SELECT position, body FROM event"))
    for position in made:
        assert json.loads(stored[position]) == hourbook.query.get(f"/events/{position}").json()["event"]


def test_your_own_position_goes_on_in_order_after_a_kill(hourbook: Hourbook, tmp_path: Path) -> None:
    database = tmp_path / "accounts.db"
    program = Program(
        hourbook, tmp_path, "position.py", DATABASE=str(database), **hourbook.subscriber(hourbook.project)
    )
    last = 0
    for number in range(3):
        with program:
            last = (hourbook.book(30, "ada") + hourbook.book(20, "grace"))[-1]
            if number != 1:
                until(lambda last=last: rows(database, "SELECT position FROM done")[:1] == [(last,)], program)  # type: ignore[misc]
    assert rows(database, "SELECT name, bookings FROM account ORDER BY name") == [("ada", 90), ("grace", 60)]


def test_server_sent_events_in_python_over_a_service_that_is_killed(
    hourbook: Hourbook, services: tuple[Service, Service], tmp_path: Path
) -> None:
    made = hourbook.book(20)
    with Program(hourbook, tmp_path, "follow.py") as program:
        until(lambda: len(program.lines) >= 22, program)
        services[1].crash()
        made += hourbook.book(20)
        until(lambda: any(line.startswith(f"{made[-1]} ") for line in program.lines), program)
    told = [line for line in program.lines if "once more" not in line]
    assert [int(line.split()[0]) for line in told[2:]] == made
    assert told[-1] == f"{made[-1]} BookingCreated anonymous"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_server_sent_events_in_a_browser(hourbook: Hourbook, tmp_path: Path) -> None:
    probe = ["node", "--experimental-eventsource", "--eval", "console.log(typeof EventSource)"]
    if b"function" not in subprocess.run(probe, capture_output=True, check=False).stdout:
        pytest.skip("needs a node with EventSource")
    made = hourbook.book(5)
    with Program(hourbook, tmp_path, "follow.mjs") as program:
        until(lambda: any(line.startswith(f"{made[-1]} ") for line in program.lines), program)
        made += hourbook.book(5)
        until(lambda: any(line.startswith(f"{made[-1]} ") for line in program.lines), program)
    told = [line for line in program.lines if line[:1].isdigit()]
    assert told[2:] == [f"{position} BookingCreated anonymous" for position in made]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_with_curl(hourbook: Hourbook, tmp_path: Path) -> None:
    made = hourbook.book(5)
    with Program(hourbook, tmp_path, "follow.sh") as program:
        until(lambda: sum(line.startswith("data: ") for line in program.lines) == 5, program)
    told = [json.loads(line[6:])["position"] for line in program.lines if line.startswith("data: ")]
    assert told == made
    history = Program(hourbook, tmp_path, "history.sh")
    history.start()
    assert history.process is not None
    assert history.process.wait(BOUND_S) == 0
    lines = history.lines
    assert [json.loads(line)["position"] for line in lines[2:7]] == made
    table = list(csv.DictReader(io.StringIO("\n".join(lines[7:]))))
    assert [int(row["position"]) for row in table] == made


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_webhook_from_its_registration_to_its_receiver(hourbook: Hourbook, system: System, tmp_path: Path) -> None:
    port = free_port()
    receiver = f"http://127.0.0.1:{port}/hook"
    with (
        system.command(webhook_hosts=f"127.0.0.1:{port}") as command,
        system.notify(webhook_hosts=f"127.0.0.1:{port}", webhook_first_retry_s="0.2"),
    ):
        register = Program(hourbook, tmp_path, "register.sh", HOURBOOK=command.url, RECEIVER=receiver)
        register.start()
        assert register.process is not None
        assert register.process.wait(BOUND_S) == 0
        secret = json.loads(register.lines[0])["secret"]
        made = hourbook.book(5)
        with Program(hourbook, tmp_path, "receive.py", SECRET=secret, PORT=str(port)) as program:
            until(lambda: len(program.lines) >= 5, program)
            made += hourbook.book(5)
            until(lambda: len(program.lines) >= 10, program)
    assert program.lines == [f"evt_{position} BookingCreated {position}" for position in made]
