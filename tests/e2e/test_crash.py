"""Kill any process at any moment: nothing acknowledged is lost or doubled, the table is what a replay gives."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import nats
import pytest

from services.projector.rebuild import rebuild
from shared.embedded import EmbeddedServerFailed
from shared.event_store import EventStore
from shared.events import decode_event
from shared.jetstream import STREAM
from tests.backends import Backend
from tests.histories import oracle, table
from tests.system import Service, System

BOUND_S = 60.0
PERIOD = {"startdate": "2030-01-01", "enddate": "2030-01-03"}


class Whole:
    """The whole system, and clients that write to it without a pause."""

    def __init__(self, system: System, command: Service, projector: Service) -> None:
        self.system, self.command, self.projector = system, command, projector
        self.acknowledged: list[str] = []
        self._stopped = False

    async def begin(self) -> None:
        async with httpx.AsyncClient(base_url=self.command.url) as client:
            assert (await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
            body = {"project": "gaia", "cores": 10**6, **PERIOD}
            assert (await client.post("/resources/create", json=body)).status_code == 201

    async def write(self) -> None:
        """Books, one after the other; a booking whose outcome is not known is sent again with its key."""
        body = {"project": "gaia", "account": "ada", "cores": 1, **PERIOD}
        async with httpx.AsyncClient(base_url=self.command.url, timeout=30) as client:
            while not self._stopped:
                key = {"Idempotency-Key": uuid4().hex}
                async with asyncio.timeout(BOUND_S):
                    while not await self._acknowledged(client, body, key):
                        await asyncio.sleep(0.02)

    async def _acknowledged(self, client: httpx.AsyncClient, body: dict[str, object], key: dict[str, str]) -> bool:
        try:
            answer = await client.post("/bookings/create", json=body, headers=key)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        assert answer.status_code in (200, 201), answer.text
        self.acknowledged.append(answer.json()["id"])
        return True

    async def grown_by(self, bookings: int) -> None:
        target = len(self.acknowledged) + bookings
        async with asyncio.timeout(BOUND_S):
            while len(self.acknowledged) < target:
                await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._stopped = True


@pytest.fixture
async def whole(own_directory: Path, backend: Backend) -> AsyncIterator[Whole]:
    system = System(own_directory / f"crash-{uuid4().hex}", backend)
    system.start()
    try:
        with system.projector() as projector, system.command() as command:
            whole = Whole(system, command, projector)
            await whole.begin()
            yield whole
    finally:
        system.stop()


def crash_command(whole: Whole) -> None:
    whole.command.crash()


def crash_projector(whole: Whole) -> None:
    whole.projector.crash()


def crash_nats(whole: Whole) -> None:
    whole.system.nats.stop(signal.SIGKILL)
    whole.system.nats.start()


def crash_postgres(whole: Whole) -> None:
    whole.system.postgres.stop(signal.SIGKILL)
    for _ in range(50):  # the backends notice by and by that their postmaster is gone; until then it does not start
        with contextlib.suppress(EmbeddedServerFailed):
            whole.system.postgres.start()
            return
    raise AssertionError("PostgreSQL did not start again")


@pytest.mark.parametrize("crash", [crash_command, crash_projector, crash_nats, crash_postgres])
async def test_a_kill_under_load_loses_and_doubles_nothing(whole: Whole, crash: Callable[[Whole], None]) -> None:
    writers = [asyncio.create_task(whole.write()) for _ in range(8)]
    for _ in range(3):
        await whole.grown_by(100)
        await asyncio.to_thread(crash, whole)
    await whole.grown_by(100)
    whole.stop()
    await asyncio.gather(*writers)
    await assert_all_is_there_once(whole)


async def assert_all_is_there_once(whole: Whole) -> None:
    connection = await asyncpg.connect(whole.system.postgres.url)
    store = EventStore(connection)
    head = await store.head()
    await level(connection, head)
    stored = await store.after(0, head)
    events = [decode_event(event.data) for event in stored]
    booked = [event.command_id for event in stored if event.type == "BookingCreated"]
    assert len(booked) == len(set(booked))
    assert sorted(map(UUID, whole.acknowledged)) == sorted(booked)
    assert await table(connection) == await oracle(connection, events)
    client = await nats.connect(whole.system.nats.url)
    async with asyncio.timeout(BOUND_S):
        while (state := (await client.jetstream().stream_info(STREAM)).state).last_seq < head:
            await asyncio.sleep(0.05)
    assert (state.messages, state.last_seq) == (head, head)
    for position in (1, head // 2, head):
        assert (await client.jetstream().get_msg(STREAM, position)).data == stored[position - 1].data
    await client.close()
    assert (await rebuild(whole.system.postgres.url)).differences == []
    await connection.close()


async def level(connection: asyncpg.Connection[asyncpg.Record], head: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await connection.fetchval("SELECT position FROM generation WHERE live") < head:
            await asyncio.sleep(0.02)


async def test_two_command_processes_accept_exactly_what_fits(whole: Whole) -> None:
    with whole.system.command() as other:
        async with httpx.AsyncClient() as client:
            await client.post(f"{other.url}/projects/create", json={"id": "small", "name": "Small"})
            await client.post(f"{other.url}/resources/create", json={"project": "small", "cores": 10, **PERIOD})
            body = {"project": "small", "account": "ada", "cores": 1, **PERIOD}
            answers = await asyncio.gather(*(
                client.post(f"{[whole.command, other][number % 2].url}/bookings/create", json=body, timeout=30)
                for number in range(200)
            ))  # fmt: skip
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (10, 190)
