"""Answers of many megabytes: a client that reads nothing costs little memory, and no other client waits for it."""

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil
import pytest

from services.cli.up.embedded import free_port, stop_process
from services.projector.as_of.historian import load_writer
from services.projector.generation import load_generation, prepare, write_batch
from services.query.app import create_app
from services.query.as_of_database import SESSIONS_MAX, WAITING_MAX
from services.query.settings import Settings
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.events import BookingCreated, Event, GrantCreated, ProjectCreated, encode_event
from tests.support.backends import as_role
from tests.support.histories import append_history
from tests.support.listening import listening
from tests.support.running import inherited

BOUND_S = 60
READERS = 12
START = datetime(2030, 1, 1, tzinfo=UTC)
HOURS = 3652 * 24
TEN_YEARS = "/available/select?project=gaia&grain=hour&range=2030-01-01T{0:02}:00Z,2039-12-30"
DAYS = "/available/select?project=gaia&range=2030-01-01,2030-01-31&grain=day"
BOOKINGS = 200
MIB = 1024 * 1024


def ten_years() -> list[Event]:
    """A grant of ten years, and bookings in all of it."""
    chance = random.Random(4)
    known: dict[str, Any] = {"at": START - timedelta(days=1), "actor": "ada", "project": "gaia"}
    amount = Capacity(servers=50, cores=900, memory=10**6, tempdisc=100, userdisc=100, datadisc=100)
    events: list[Event] = [
        ProjectCreated(**known, command=UUID(int=1), name="Gaia"),
        GrantCreated(
            **known,
            command=UUID(int=2),
            grant=UUID(int=2),
            capacity=amount,
            start=START,
            end=START + timedelta(hours=HOURS),
        ),
    ]
    for number in range(3, 3 + BOOKINGS):
        start = START + timedelta(hours=chance.randrange(HOURS - 1000))
        events.append(
            BookingCreated(
                **known,
                command=UUID(int=number),
                booking=UUID(int=number),
                pool="gaia",
                account="ada",
                start=start,
                end=start + timedelta(hours=chance.randrange(1, 1000)),
                capacity=Capacity(cores=chance.randrange(1, 5)),
            )
        )
    return events


@pytest.fixture
async def ledger_url(database_url: str) -> str:
    """A database with one project of ten years, and its kept versions."""
    connection, events = await asyncpg.connect(database_url), ten_years()
    await prepare(connection)
    await append_history(EventStore(connection), events)
    await write_batch(connection, await load_generation(connection), [encode_event(event) for event in events])
    past = await load_writer(connection)
    while await past.advance(500):
        pass
    await connection.close()
    return database_url


class Process:
    """The query service in its own process."""

    def __init__(self, database_url: str, log: Path) -> None:
        self.port = free_port()
        settings = {"HOURBOOK_DATABASE_URL": as_role(database_url, "query"), "HOURBOOK_QUERY_PORT": str(self.port)}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.query"], stdout=file, stderr=file, env=inherited() | settings
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


@pytest.fixture
async def service(ledger_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(ledger_url, tmp_path / "query.log")
    async with asyncio.timeout(BOUND_S), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(process.url + DAYS)).status_code == 200:
                    break
            await asyncio.sleep(0.05)
    yield process
    stop_process(process.process, signal.SIGTERM)


@contextlib.contextmanager
def asked(url: str, path: str) -> Iterator[socket.socket]:
    """A connection that has sent a request and reads nothing."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n\r\n".encode())
        connection.setblocking(False)
        yield connection


def begun(connection: socket.socket) -> bool:
    try:
        return connection.recv(4, socket.MSG_PEEK) == b"HTTP"
    except BlockingIOError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux says of a process' memory")
@pytest.mark.parametrize("as_of", ["", f"&as_of={BOOKINGS + 2}"])
async def test_readers_who_take_nothing_of_ten_years_by_the_hour_cost_little_and_delay_no_other(
    service: Process, as_of: str
) -> None:
    before, most = service.memory(), 0
    async with httpx.AsyncClient(base_url=service.url, timeout=BOUND_S) as client:
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(asked(service.url, TEN_YEARS.format(n) + as_of)) for n in range(READERS)]
            async with asyncio.timeout(BOUND_S):
                while not all(begun(reader) for reader in readers):
                    assert (await client.get(DAYS + as_of)).status_code == 200
                    most = max(most, service.memory())
                    await asyncio.sleep(0.02)
            answers = {reader.recv(12, socket.MSG_PEEK) for reader in readers}
            assert b"HTTP/1.1 200" in answers <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}  # or refused with 503
            assert (await client.get(DAYS + as_of)).status_code == 200
        whole = 0
        async with client.stream("GET", TEN_YEARS.format(0) + as_of) as answer:
            async for piece in answer.aiter_bytes():
                whole += len(piece)
                most = max(most, service.memory())
    assert whole > 60 * MIB
    assert most - before < 250 * MIB  # where one answer as text is 70 MiB, and its figures as numbers 500


async def test_a_long_answer_says_hour_by_hour_what_a_short_one_says(ledger_url: str) -> None:
    """In every format, of the present and of the past. Its ETag is valid too."""
    short, longest = "range=2030-01-01,2030-01-31", "range=2030-01-01,2031-12-31"
    quarter = "range=2030-01-01,2030-04-01"  # of all figures; of fewer more hours are long
    application = create_app(Settings(database_url=as_role(ledger_url, "query")))
    async with listening(application) as url, httpx.AsyncClient(base_url=url, timeout=BOUND_S) as client:
        for path, long, name in (
            ("/available/select?project=gaia&grain=hour&", quarter, "blocks"),
            (f"/available/select?project=gaia&grain=hour&as_of={BOOKINGS}&", quarter, "blocks"),
            ("/bookings/select?project=gaia&grain=hour&", longest, "blocks"),
            ("/novaquota/available?project=gaia&grain=hour&", longest, "rows"),
        ):
            expected = (await client.get(path + short)).json()[name]
            answer = await client.get(path + long)
            assert answer.headers.get("transfer-encoding") == "chunked"
            assert answer.json()[name][: len(expected)] == expected
            assert str(answer.json()["position"]) == answer.headers["Hourbook-Position"]
            again = await client.get(path + long, headers={"If-None-Match": answer.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
        tables = [
            await client.get(
                f"/available/select?project=gaia&grain=hour&bom=true&{one}", headers={"Accept": "text/csv"}
            )
            for one in (short, quarter)
        ]
        assert tables[0].content.startswith(b"\xef\xbb\xbfstart,end,hours,granted_servers_min")
        assert tables[1].content.startswith(tables[0].content)


async def test_reads_of_the_past_wait_in_a_bounded_line_and_a_reader_who_goes_leaves_it(ledger_url: str) -> None:
    application, more = create_app(Settings(database_url=as_role(ledger_url, "query"))), 5
    line, path = application.state.parts.past.line, f"{DAYS}&as_of={BOOKINGS}"
    async with listening(application) as url, httpx.AsyncClient(base_url=url, timeout=BOUND_S) as client:
        async with contextlib.AsyncExitStack() as sessions, asyncio.timeout(BOUND_S):
            for _ in range(SESSIONS_MAX):
                await sessions.enter_async_context(line.admitted())
            with asked(url, path):
                while line.waiting < 1:
                    await asyncio.sleep(0.005)
            while line.waiting:  # until it has left
                await asyncio.sleep(0.005)
            asking = [asyncio.create_task(client.get(path)) for _ in range(WAITING_MAX + more)]
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < more:
                done, _ = await asyncio.wait(asking, timeout=0.01)
            assert line.waiting == WAITING_MAX
            told = [(task.result().status_code, task.result().json()["code"]) for task in done]
            assert told == [(503, "too_busy")] * more
            assert {task.result().headers["Retry-After"] for task in done} == {"1"}
            assert (await client.get(DAYS)).status_code == 200  # the present does not wait for the past
        answers = await asyncio.gather(*asking)
        assert [answer.status_code for answer in answers].count(200) == WAITING_MAX
