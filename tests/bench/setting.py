"""What the measures have in common: the servers, how long and how often they measure, and what they book."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import msgspec

from services.cli.up.embedded import EmbeddedPostgres
from shared.hours import iso
from tests.bench.history import BOOKED_HOURS, MONTH_HOURS, T0, History
from tests.bench.load import Client, Requests, post
from tests.bench.table import Row
from tests.support.backends import Embedded, Postgres
from tests.support.system import Service, System

PROJECT = "bench"
LONG = "long"
START_TIMEOUT_S = 300.0
POSITION = "SELECT position FROM generation WHERE live"
HEAD = "SELECT position FROM event_head"


class Bench(msgspec.Struct):
    """One bench: its servers, how often and how long (seconds) each load is measured, and the most bookings of a
    history. `long` is the one long history, which its measures share."""

    system: System
    runs: int
    seconds: float
    most: int
    long: History | None = None
    connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def grown(self, bookings: int) -> History:
        """The long history with at least so many bookings (but `most` at most), over 20 pools."""
        if self.long is None:
            self.connection = await asyncpg.connect(self.system.postgres.url)
            self.long = History(self.connection, LONG, clusters=19)
            await self.long.begin()
        await self.long.grow(max(0, min(bookings, self.most) - self.long.bookings))
        return self.long


Measure = Callable[[Bench], AsyncIterator[Row]]


class Durable(Embedded):
    """The servers as `hourbook up` runs them: what is committed is on the disc."""

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[Postgres]:
        server = EmbeddedPostgres(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def postgres_pid(system: System) -> int:
    """The process of PostgreSQL above all its sessions."""
    postgres = system.postgres
    assert isinstance(postgres, EmbeddedPostgres)
    assert postgres.process is not None
    return postgres.process.pid


@contextlib.asynccontextmanager
async def project(system: System, name: str = PROJECT) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Makes a project to book in, and gives a connection to the database."""
    connection = await asyncpg.connect(system.postgres.url)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM stream_head WHERE stream = $1)", name):
            await History(connection, name).begin()
        yield connection
    finally:
        await connection.close()


def ceiling_of(system: System) -> Service:
    """The bare handler: the same HTTP server, with handlers that only decode the body."""
    return Service(system, "tests.bench.ceiling", "ceiling_port")


def bookings(name: str = PROJECT, *, keyed: bool = False, first: int = T0) -> Requests:
    """Bookings of 72 hours that lie within the month after the hour `first`."""
    chance, made = random.Random(2), []
    for _ in range(500):
        start = first + chance.randrange(MONTH_HOURS - BOOKED_HOURS)
        body = {
            "project": name,
            "account": "ada",
            "cores": 1,
            "memory": 2,
            "startdate": iso(start),
            "enddate": iso(start + BOOKED_HOURS),
        }
        made.append(post("/bookings/create", msgspec.json.encode(body)))
    return Requests(tuple(made), keyed)


async def warm(port: int, requests: Requests | None = None) -> int:
    """Books until a booking is accepted: a process that has just begun reads the project first. Returns the number of
    answers 503 before. Raises TimeoutError, and RuntimeError for another refusal."""
    client, request, refused = Client(port), (requests or bookings()).raw[0], 0
    async with asyncio.timeout(START_TIMEOUT_S):
        while (answer := await client.ask(request))[0] != 201:
            if answer[0] != 503:
                raise RuntimeError(f"a booking was refused: {answer}")
            refused += 1
    await client.close()
    return refused
