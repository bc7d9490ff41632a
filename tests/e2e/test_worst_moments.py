"""Killed at one exact moment: between what a process has done and its hearing of it. A proxy withholds the word."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import nats
import pytest

from shared.jetstream import STREAM
from tests.support.backends import Backend, as_role
from tests.support.proxy import Proxy, Withhold
from tests.support.replay import BOUND_S, assert_all_is_there_once, level
from tests.support.system import Service, System

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
ACCOUNT = b"account-of-the-moment"
HEAD = "SELECT position FROM event_head"
CHECKPOINT = "SELECT position FROM generation WHERE live"


@pytest.fixture
async def system(own_directory: Path, backend: Backend) -> AsyncIterator[System]:
    system = System(own_directory / f"moment-{uuid4().hex}", backend)
    system.start()
    try:
        yield system
    finally:
        system.stop()


@pytest.fixture
async def database(system: System) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Straight to the server, past any proxy."""
    connection = await asyncpg.connect(system.postgres.url)
    yield connection
    await connection.close()


class Client:
    """Writes to one command service, and remembers what was acknowledged."""

    def __init__(self, command: Service) -> None:
        self._url = command.url
        self.acknowledged: list[str] = []

    async def begin(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=BOUND_S) as http:
            assert (await http.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
            grant = {"project": "gaia", "cores": 1000, **PERIOD}
            assert (await http.post("/resources/create", json=grant)).status_code == 201

    async def book(self, reason: str = "", key: str | None = None) -> httpx.Response:
        body = {"project": "gaia", "account": ACCOUNT.decode(), "cores": 1, "reason": reason or None, **PERIOD}
        headers = {"Idempotency-Key": key} if key else {}
        async with httpx.AsyncClient(base_url=self._url, timeout=BOUND_S) as http:
            answer = await http.post("/bookings/create", json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        self.acknowledged.append(answer.json()["id"])
        return answer


async def until_position(database: asyncpg.Connection[asyncpg.Record], query: str, position: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await database.fetchval(query) < position:
            await asyncio.sleep(0.01)


async def stream_ends_at(system: System, position: int) -> None:
    client = await nats.connect(system.nats.url)
    async with asyncio.timeout(BOUND_S):
        while (await client.jetstream().stream_info(STREAM)).state.last_seq < position:
            await asyncio.sleep(0.01)
    await client.close()


async def test_a_relay_killed_after_its_publish_and_before_it_knows_publishes_nothing_twice(system: System) -> None:
    async with Proxy(system.nats.url_of("command")) as proxy:
        with system.projector(), system.command(nats_url=proxy.url) as command:
            client = Client(command)
            await client.begin()
            await stream_ends_at(system, 2)
            proxy.arm("answer", b"HPUB hourbook.events.gaia.BookingCreated")
            await client.book()
            await proxy.struck.wait()
            await stream_ends_at(system, 3)  # published; the relay waits for an answer that never comes
            await asyncio.to_thread(command.crash)
            await client.book()
            await assert_all_is_there_once(system, client.acknowledged)


@pytest.mark.parametrize(("withhold", "applied"), [("answer", 3), ("request", 2)])
async def test_a_projector_killed_beside_its_commit_applies_each_event_once(
    system: System, database: asyncpg.Connection[asyncpg.Record], withhold: Withhold, applied: int
) -> None:
    """After the statement, and its commit, that it did not hear of; and before the one that it has sent."""
    async with Proxy(system.postgres.url) as proxy:
        with system.command() as command, system.projector(database_url=as_role(proxy.url, "projector")) as projector:
            client = Client(command)
            await client.begin()
            await level(database, 2)
            proxy.arm(withhold, b"WITH moved AS", ACCOUNT)  # the statement's text, then its values
            await client.book()
            await asyncio.wait_for(proxy.struck.wait(), BOUND_S)
            await until_position(database, CHECKPOINT, applied)
            await asyncio.to_thread(projector.stop, signal.SIGKILL)
            assert await database.fetchval(CHECKPOINT) == applied
            projector.start()
            await client.book()
            await assert_all_is_there_once(system, client.acknowledged)


@pytest.mark.parametrize(("withhold", "appended"), [("answer", 3), ("request", 2)])
async def test_a_command_service_killed_beside_its_append_does_what_it_was_asked_once(
    system: System, database: asyncpg.Connection[asyncpg.Record], withhold: Withhold, appended: int
) -> None:
    """After the append that it did not hear of, and before the one it sent: the client asks again with its key."""
    async with Proxy(system.postgres.url) as proxy:
        with system.projector(), system.command(database_url=as_role(proxy.url, "command")) as command:
            client = Client(command)
            await client.begin()
            proxy.arm(withhold, b"the one that is broken off")
            asked = asyncio.create_task(client.book("the one that is broken off", "once"))
            await asyncio.wait_for(proxy.struck.wait(), BOUND_S)
            await until_position(database, HEAD, appended)
            await asyncio.to_thread(command.crash)
            with pytest.raises(httpx.TransportError):
                await asked
            assert await database.fetchval(HEAD) == appended
            again = await client.book("the one that is broken off", "once")
            assert (again.status_code, again.json()["position"]) == ((200, 3) if appended == 3 else (201, 3))
            await assert_all_is_there_once(system, client.acknowledged)
