"""With a synchronous standby, no answer leaves that a failover could take back: not at first, and not at a repeat."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from services.command.connections import Connections
from services.command.domain import CreateBooking, CreateGrant, CreateProject
from services.command.domain.commands import Command, Context
from services.command.handler.errors import StoreUnavailable
from services.command.handler.handler import CommandHandler
from services.command.handler.results import CommandResult
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.event_store.errors import Unsettled
from shared.hours import Period, hour_of
from shared.identity.principals import trusted
from shared.migrate import migrate
from tests.support.backends import LOGINS, TEMPLATE, connected, make_database
from tests.support.handling import handling
from tests.support.pg_cluster import Node, PgCluster, pg_cluster

T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
DAY = Period(T0, T0 + 24)
BOUND_S = 30.0


@pytest.fixture(scope="module")
def cluster(own_directory: Path) -> Iterator[PgCluster]:
    with pg_cluster(own_directory / f"cluster-{uuid4().hex}", synchronous=True) as cluster:
        migrate(cluster.primary.url_of(TEMPLATE), LOGINS)
        yield cluster


@pytest.fixture
async def database(cluster: PgCluster) -> AsyncIterator[str]:
    """The name of an empty database. After the test the standby goes on."""
    yield urlsplit(await make_database(cluster.primary)).path[1:]
    for standby in cluster.standbys:
        standby.resume()


running = functools.partial(handling, patience_s=2.0)


async def send(handler: CommandHandler, command: Command, key: UUID) -> CommandResult:
    context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
    return await handler.submit("gaia", command, context, key, b"hash")


async def until_known(handler: CommandHandler, command: Command, key: UUID) -> CommandResult:
    """Sends the command again while its outcome is unknown: its patience may end in the middle of an append."""
    async with asyncio.timeout(BOUND_S):
        while True:
            with contextlib.suppress(StoreUnavailable):
                return await send(handler, command, key)


async def prepare(handler: CommandHandler) -> None:
    await send(handler, CreateProject(project="gaia", name="Gaia"), uuid4())
    await send(handler, CreateGrant(grant=uuid4(), period=DAY, capacity=Capacity(cores=10)), uuid4())


def booking() -> CreateBooking:
    return CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=DAY, capacity=Capacity(cores=1))


WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


async def waiting(node: Node) -> int:
    """The process of PostgreSQL that waits for the standby."""
    async with asyncio.timeout(BOUND_S):
        while (pid := await asyncio.to_thread(node.ask, WAITING)) is None:
            await asyncio.sleep(0.02)
    return int(pid)


async def events(url: str) -> int:
    """How many events a session sees."""
    async with connected(url) as connection:
        return await EventStore(connection).head()


async def answered(handler: CommandHandler, command: CreateBooking, key: UUID) -> CommandResult:
    async with asyncio.timeout(BOUND_S):
        while True:
            with contextlib.suppress(StoreUnavailable):
                return await send(handler, command, key)


async def test_without_its_standby_nothing_is_answered_or_shown_and_a_repeat_waits_too(
    cluster: PgCluster, database: str
) -> None:
    async with running(cluster.url_of(database)) as handler:
        await prepare(handler)
        standby, command, key = cluster.standbys[0], booking(), uuid4()
        standby.pause()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await send(handler, command, key)
        assert await events(cluster.primary.url_of(database)) == 2, "who stops to wait does not end the wait"
        standby.resume()
        result = await answered(handler, command, key)
        assert (result.position, result.repeated) == (3, True)
        assert await events(cluster.primary.url_of(database)) == 3


async def test_a_wait_that_somebody_cancelled_is_no_answer(cluster: PgCluster, database: str) -> None:
    async with running(cluster.url_of(database), patience_s=BOUND_S) as handler:
        await prepare(handler)
        standby, command, key = cluster.standbys[0], booking(), uuid4()
        standby.pause()
        sent = asyncio.create_task(send(handler, command, key))
        pid = await waiting(cluster.primary)
        assert await asyncio.to_thread(cluster.primary.ask, "SELECT pg_cancel_backend($1)", pid)
        assert await waiting(cluster.primary) != pid, "another connection waits, before it answers what it found"
        assert await events(cluster.primary.url_of(database)) == 3, "PostgreSQL shows it"
        assert not sent.done()
        standby.resume()
        assert (await sent).position == 3
        assert await events(cluster.primary.url_of(database)) == 3


async def test_what_a_primary_shows_after_a_crash_is_answered_when_the_standby_has_it(
    cluster: PgCluster, database: str
) -> None:
    async with running(cluster.url_of(database)) as handler:
        await prepare(handler)
        standby, command, key = cluster.standbys[0], booking(), uuid4()
        standby.pause()
        sent = asyncio.create_task(send(handler, command, key))
        await waiting(cluster.primary)
        await asyncio.to_thread(cluster.primary.kill)
        cluster.primary.start()
        assert await events(cluster.primary.url_of(database)) == 3, "PostgreSQL shows what was never replicated"
        for outcome in (sent, send(handler, command, key)):
            with pytest.raises(StoreUnavailable):
                await outcome
        standby.resume()
        assert (await answered(handler, command, key)).position == 3


async def test_a_request_that_is_no_command_is_not_answered_over_a_cancelled_wait(
    cluster: PgCluster, database: str
) -> None:
    standby = cluster.standbys[0]
    standby.pause()

    async def work() -> None:
        async with Connections(cluster.url_of(database)).one() as connection, connection.transaction():
            await connection.execute("DELETE FROM remembered_answer")
            await connection.execute("SELECT pg_logical_emit_message(true, 'test', '')")

    working = asyncio.create_task(work())
    pid = await waiting(cluster.primary)
    assert await asyncio.to_thread(cluster.primary.ask, "SELECT pg_cancel_backend($1)", pid)
    with pytest.raises(StoreUnavailable, match="synchronous replication"):
        await working
    standby.resume()


async def test_an_address_of_one_host_may_lead_to_a_standby_until_it_is_promoted(
    cluster: PgCluster, database: str
) -> None:
    primary, standby, key = cluster.primary, cluster.standbys[0], uuid4()
    project = CreateProject(project="gaia", name="Gaia")
    await asyncio.to_thread(cluster.wait_until_caught_up)
    try:
        async with running(standby.url_of(database), patience_s=3) as handler:
            with pytest.raises(StoreUnavailable):
                await send(handler, project, key)
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(cluster.promote)
            with pytest.raises(Unsettled):  # the relay would begin the term: there is none here
                await until_known(handler, project, key)
    finally:
        cluster.come_back(primary)
        cluster.wait_for_standbys(True)
