"""A process that leads stands still at its worst moment, another one leads, and then it goes on: it does no harm.

What it says next to a server is held in a proxy, until the other one has done the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import nats
import pytest
from aiohttp import web

from services.cli.up.embedded import free_port
from services.projector.rebuild.verification import verify
from shared.audit.notes import checkpoint_of
from shared.audit.stream import STREAM as AUDIT
from shared.jetstream import STREAM
from shared.locks import Lock
from tests.support.backends import Backend, as_role, connected
from tests.support.proxy import Proxy
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import Service, System

PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}
# A session's lock is half of a row of pg_locks each. The server ends the session of one who stands still.
END_LEADER = """
SELECT count(pg_terminate_backend(pid)) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) + objid::bigint = $1
"""


class Ledger:
    """A command service to write with, and what it has acknowledged."""

    def __init__(self, system: System, url: str) -> None:
        self.system, self.url, self.acknowledged = system, url, list[str]()
        self.position = 0

    async def post(self, path: str, **body: object) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=BOUND_S) as http:
            answer = await http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        self.position = answer.json().get("position", self.position)
        if path == "/bookings/create":
            self.acknowledged.append(answer.json()["id"])

    async def begin(self) -> None:
        await self.post("/projects/create", id="gaia", name="Gaia")
        await self.post("/resources/create", project="gaia", cores=1000, **PERIOD)

    async def book(self, bookings: int = 1) -> None:
        for _ in range(bookings):
            await self.post("/bookings/create", project="gaia", account="ada", cores=1, **PERIOD)

    async def value(self, query: str, *arguments: object) -> int:
        async with connected(self.system.postgres.url) as connection:
            return int(await connection.fetchval(query, *arguments))

    async def until(self, query: str, least: int) -> None:
        async with asyncio.timeout(BOUND_S):
            while await self.value(query) < least:
                await asyncio.sleep(0.02)

    async def stream_ends_at(self, position: int) -> None:
        client = await nats.connect(self.system.nats.url)
        async with asyncio.timeout(BOUND_S):
            while (await client.jetstream().stream_info(STREAM)).state.last_seq < position:
                await asyncio.sleep(0.02)
        await client.close()


@pytest.fixture
async def system(own_directory: Path, backend: Backend) -> AsyncIterator[System]:
    system = System(own_directory / f"behind-{uuid4().hex}", backend)
    system.start()
    try:
        yield system
    finally:
        system.stop()


@contextlib.asynccontextmanager
async def stopped(process: Service, ledger: Ledger, lock: Lock | None) -> AsyncIterator[None]:
    """The process stands still while the block runs, and PostgreSQL has ended its session, which had the lock."""
    process.signal(signal.SIGSTOP)
    try:
        if lock is not None:
            assert await ledger.value(END_LEADER, int(lock)) == 1
        yield
    finally:
        process.signal(signal.SIGCONT)


async def proxy_struck(proxy: Proxy) -> None:
    async with asyncio.timeout(BOUND_S):
        await proxy.struck.wait()


async def test_a_relay_that_was_left_behind_publishes_nothing(system: System) -> None:
    async with Proxy(system.nats.url_of("command")) as proxy:
        with system.projector(), system.command(nats_url=proxy.url) as behind:
            ledger = Ledger(system, behind.url)
            await ledger.begin()
            await ledger.stream_ends_at(2)
            with system.command() as other:
                proxy.arm("until released", b"HPUB hourbook.events.gaia.BookingCreated")
                await ledger.book()
                await proxy_struck(proxy)
                async with stopped(behind, ledger, Lock.RELAY):
                    ledger.url = other.url
                    await ledger.book()
                    await ledger.stream_ends_at(4)
                proxy.release()
                await ledger.book(3)
                await assert_all_is_there_once(system, ledger.acknowledged)


@pytest.mark.parametrize(
    ("word", "done"),
    [
        (b"UPDATE generation SET position", "SELECT position FROM generation WHERE live"),
        pytest.param(b"UPDATE past_head SET position", "SELECT position FROM past_head", marks=pytest.mark.torture),
        pytest.param(b"SELECT index_events", "SELECT position FROM event_index_head", marks=pytest.mark.torture),
    ],
)
async def test_a_projector_that_was_left_behind_writes_nothing(system: System, word: bytes, done: str) -> None:
    """The word is in a statement that it sends for the first time: PostgreSQL knows a statement by a name then."""
    async with Proxy(system.postgres.url) as proxy:
        with system.command() as command:
            ledger = Ledger(system, command.url)
            await ledger.begin()
            proxy.arm("until released", word)
            with system.projector(database_url=as_role(proxy.url, "projector")) as behind:
                await proxy_struck(proxy)
                async with stopped(behind, ledger, None):
                    with system.projector():
                        await ledger.book(3)
                        await ledger.until(done, 5)
                proxy.release()
                await ledger.book(3)
                await ledger.until(done, 8)
                await assert_all_is_there_once(system, ledger.acknowledged)
                assert (await verify(as_role(system.postgres.url, "projector"), [], None)).holds


SEALED = "SELECT coalesce(max(size), 0) FROM audit_checkpoint"


@pytest.mark.parametrize(
    "word", [b"HPUB hourbook.audit", pytest.param(b"INSERT INTO audit_hash", marks=pytest.mark.torture)]
)
async def test_a_sealer_that_was_left_behind_signs_nothing_and_announces_nothing(system: System, word: bytes) -> None:
    at_nats = word.startswith(b"HPUB")
    async with Proxy(system.nats.url_of("sealer") if at_nats else system.postgres.url) as proxy:
        url = {"nats_url": proxy.url} if at_nats else {"database_url": as_role(proxy.url, "sealer")}
        with system.projector(), system.command() as command:
            ledger = Ledger(system, command.url)
            await ledger.begin()
            proxy.arm("until released", word)
            with system.sealer(**url) as behind:
                await proxy_struck(proxy)
                async with stopped(behind, ledger, Lock.SEALER):
                    with system.sealer():
                        await ledger.book()
                        await ledger.until(SEALED, 3)
                        await announced(system, 3)
                proxy.release()
                await ledger.book(2)
                await ledger.until(SEALED, 5)
                sizes = await announced(system, 5)
        report = await verify(as_role(system.postgres.url, "projector"), [], None)
    assert sizes == sorted(set(sizes)), "each once, in order"
    assert report.holds
    assert report.sealed == 5


@pytest.mark.torture
async def test_a_leader_that_stands_still_is_followed_by_another_within_25_seconds(system: System) -> None:
    with system.command() as command, system.sealer() as still:
        ledger = Ledger(system, command.url)
        await ledger.begin()
        await ledger.until(SEALED, 2)
        with system.sealer():
            still.signal(signal.SIGSTOP)
            began = time.monotonic()
            try:
                await ledger.book()
                await ledger.until(SEALED, 3)
            finally:
                still.signal(signal.SIGCONT)
            took = time.monotonic() - began
            print(f"the other sealer led after {took:.1f} s")
            assert took < 25
            await ledger.book()
            await ledger.until(SEALED, 4)


async def announced(system: System, last: int) -> list[int]:
    """The sizes of the checkpoints on the stream, when the last one is there."""
    client = await nats.connect(system.nats.url)
    subscription = await client.jetstream().subscribe("hourbook.audit.>", stream=AUDIT, ordered_consumer=True)
    sizes: list[int] = []
    async with asyncio.timeout(BOUND_S):
        async for message in subscription.messages:
            sizes.append(checkpoint_of(message.data.decode()).size)
            if sizes[-1] == last:
                break
    await client.close()
    return sizes


async def test_a_notifier_that_was_left_behind_repeats_one_message_and_no_other(system: System) -> None:
    got: list[int] = []

    async def receive(request: web.BaseRequest) -> web.Response:
        got.append(int(request.headers["webhook-id"].removeprefix("evt_")))
        return web.Response()

    port = free_port()
    hosts = {"webhook_hosts": f"127.0.0.1:{port}"}
    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with Proxy(system.postgres.url) as proxy:
            url = as_role(proxy.url, "notify")
            with (
                system.projector(),
                system.command(**hosts) as command,
                system.notify(database_url=url, **hosts) as behind,
            ):
                ledger = Ledger(system, command.url)
                await ledger.begin()
                place = "SELECT position FROM webhook"
                proxy.arm("until released", b"UPDATE webhook SET position")
                await ledger.post("/webhooks", url=f"http://127.0.0.1:{port}/hook", after=0)
                await proxy_struck(proxy)
                async with stopped(behind, ledger, Lock.NOTIFIER):
                    with system.notify(**hosts):
                        await ledger.book(4)
                        await ledger.until(place, 6)
                proxy.release()
                await ledger.book(2)
                await ledger.until(place, 8)
        assert got == [1, *range(1, 9)]
    finally:
        await runner.cleanup()
