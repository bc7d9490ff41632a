"""The version before this one, with its database, its stream and its clients, is replaced by this one under load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import nats
import pytest
from nats.aio.msg import Msg

from shared.jetstream import STREAM, SUBJECTS
from shared.migrate import migrate
from shared.tasks import end_tasks
from tests.support.backends import LOGINS, Backend, Embedded
from tests.support.replay import BOUND_S, assert_all_is_there_once
from tests.support.system import Service, System
from tests.support.writers import BOOKING, Writers, writing

ROOT = Path(__file__).parents[2]
# The version to begin with, as git names it: the newest release, once there is one.
BEFORE = os.environ.get("HOURBOOK_UPGRADE_FROM", "3819f77f06ab48a3868548f604c7ed2846e0ec62")
MIGRATE = """
import json, os
from shared.database_roles import Login
from shared.migrate import migrate
logins = json.loads(os.environ["LOGINS"])
migrate(os.environ["HOURBOOK_DATABASE_URL"], {service: Login(*login) for service, login in logins.items()})
"""
pytestmark = pytest.mark.upgrade


class Upgraded(System):
    """A system that the version before has made, and that it runs until `source` is None."""

    def start(self) -> None:
        self.source = self.directory / "before"
        unpack(self.source)
        super().start()

    def migrate(self) -> None:
        """With the version before; with this one if `source` is None."""
        if self.source is None:
            migrate(self.postgres.url, LOGINS)
            return
        logins = json.dumps({service: [login.name, login.password] for service, login in LOGINS.items()})
        environment = {**os.environ, "HOURBOOK_DATABASE_URL": self.postgres.url, "LOGINS": logins}
        subprocess.run([sys.executable, "-c", MIGRATE], cwd=self.source, env=environment, check=True)


def unpack(directory: Path) -> None:
    """The code of the version before."""
    directory.mkdir(parents=True)
    archive = directory / "before.tar"
    taken = subprocess.run(
        ["git", "archive", "--output", archive, BEFORE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if taken.returncode:
        pytest.skip(f"this clone does not have the version before ({BEFORE}): {taken.stderr.strip()}")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")


@pytest.fixture
def system(own_directory: Path, backend: Backend) -> Iterator[Upgraded]:
    if not isinstance(backend, Embedded):
        pytest.skip("the services of the version before know no other servers")
    system = Upgraded(own_directory / f"upgrade-{uuid4().hex}", backend)
    try:
        system.start()
        yield system
    finally:
        system.stop()


class Subscriber:
    """A reader of the live events over HTTP, which comes again with Last-Event-ID. `url` may change."""

    def __init__(self, url: str) -> None:
        self.url, self.seen = url, [0]

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=BOUND_S) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await self._read(client)
                await asyncio.sleep(0.1)

    async def _read(self, client: httpx.AsyncClient) -> None:
        headers = {"Last-Event-ID": str(self.seen[-1])}
        async with client.stream("GET", f"{self.url}/events/stream", headers=headers) as answer:
            assert answer.status_code in (200, 503), answer.status_code
            async for line in answer.aiter_lines():
                if line.startswith("id: ") and int(line[4:]) > self.seen[-1]:
                    self.seen.append(int(line[4:]))


@contextlib.asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[list[int]]:
    """The sequences that a subscriber on NATS has got, in order."""
    got: list[int] = []

    async def heard(message: Msg) -> None:
        got.append(message.metadata.sequence.stream)

    client = await nats.connect(url)
    try:
        await client.jetstream().subscribe(SUBJECTS[0], stream=STREAM, cb=heard, ordered_consumer=True)
        yield got
    finally:
        await client.close()


async def book(url: str, key: str) -> tuple[int, str]:
    async with httpx.AsyncClient(timeout=BOUND_S) as client:
        answer = await client.post(f"{url}/bookings/create", json=BOOKING, headers={"Idempotency-Key": key})
    return answer.status_code, answer.json()["id"]


async def wait_until_seen(seen: list[int], last: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while not seen or seen[-1] < last:
            await asyncio.sleep(0.05)


class Services:
    """One process of each service, of the version that the system runs now."""

    def __init__(self, system: Upgraded) -> None:
        self.command, self.projector, self.query = system.command(), system.projector(), system.query()
        self.all = [self.command, self.projector, self.query, system.sealer(), system.notify()]

    async def start(self) -> None:
        for service in self.all:
            await asyncio.to_thread(service.start)

    async def stop(self) -> None:
        for service in self.all:
            await asyncio.to_thread(service.stop)


@contextlib.asynccontextmanager
async def serving(system: Upgraded, source: Path | None) -> AsyncIterator[Services]:
    """All services of one version, while the block runs or until they are stopped."""
    system.source = source
    services = Services(system)
    try:
        await services.start()
        yield services
    finally:
        await services.stop()


async def test_services_are_replaced_one_by_one_while_clients_go_on_and_the_old_ones_can_come_back(
    system: Upgraded,
) -> None:
    before = system.source
    async with contextlib.AsyncExitStack() as stack:
        old = await stack.enter_async_context(serving(system, before))
        writers, subscriber = Writers(old.command.url), Subscriber(old.query.url)
        await writers.begin()
        kept = [await book(old.command.url, "asked-before")]
        got = await stack.enter_async_context(subscribed(system.nats.url))
        reading = asyncio.create_task(subscriber.run())
        async with writing(writers):
            await writers.grown_by(50)
            assert await is_old(old.command)
            system.source = None
            await asyncio.to_thread(system.migrate)
            await writers.grown_by(50)  # the old services go on with the new tables
            new = await stack.enter_async_context(serving(system, None))
            assert not await is_old(new.command)
            later = Writers(new.command.url)
            load = contextlib.AsyncExitStack()
            await load.enter_async_context(writing(later))
            for clients in (writers, later):  # beside each other
                await clients.grown_by(50)
        await old.stop()
        subscriber.url = new.query.url
        await later.grown_by(50)
        await load.aclose()
        assert await book(new.command.url, "asked-before") == (200, kept[0][1])
        await new.stop()
        async with serving(system, before) as again:  # somebody goes back
            kept.append(await book(again.command.url, "asked-after"))
            subscriber.url = again.query.url
            await wait_until_seen(subscriber.seen, await head_of(again.command))
        async with serving(system, None) as last:
            kept.append(await book(last.command.url, "asked-at-last"))
            subscriber.url = last.query.url
            head = await head_of(last.command)
            for seen in (subscriber.seen, got):
                await wait_until_seen(seen, head)
            booked = [*writers.acknowledged, *later.acknowledged, *(booking for _, booking in kept)]
            await assert_all_is_there_once(system, booked)
        await end_tasks(reading)
    assert [status for status, _ in kept] == [201, 201, 201]
    assert subscriber.seen == list(range(head + 1))
    assert got == list(range(1, head + 1))


async def health(command: Service) -> dict[str, object]:
    async with httpx.AsyncClient(timeout=BOUND_S) as client:
        told: dict[str, object] = (await client.get(f"{command.url}/health")).json()
        return told


async def is_old(command: Service) -> bool:
    return "accepts" not in await health(command)


async def head_of(command: Service) -> int:
    return int(str((await health(command))["position"]))
