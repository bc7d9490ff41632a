"""A NATS cluster of three servers: whichever are lost, the stream is the store byte for byte. A subscriber reads each
event once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import nats
import nats.errors
import pytest

from services.cli.up.consumers import make
from services.cli.up.embedded_nats import Subscriber, hashed
from services.cli.up.servers import connect_nats
from services.command.relay import Relay
from shared.event_store import EventStore, Pending
from shared.jetstream import CONFIG, NATS_LOST, STREAM, join, leave
from shared.nats_access.config import ORDERED
from shared.nats_access.users import COMMAND, STREAMS, SUBSCRIBER
from shared.nats_server import NatsClient, NatsServer
from shared.streams import TooFewServers, keep_stream
from shared.tasks import end_tasks
from shared.trouble import Trouble
from tests.integration.test_relay import relaying
from tests.support.backends import as_role
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.proxy import Proxy, Withhold
from tests.support.waiting import until

log = logging.getLogger(__name__)

BOUND_S = 60
READER, PASSWORD = "reports", "pReports"
REPLICAS = 3


@pytest.fixture(scope="module")
def cluster(own_directory: Path) -> Iterator[NatsCluster]:
    with nats_cluster(own_directory / "nats-cluster", [Subscriber(READER, (), hashed(PASSWORD))]) as made:
        yield made


class Flow:
    """A store that grows, a relay that publishes it, and a subscriber that reads it, until the block ends."""

    def __init__(self, cluster: NatsCluster, store: EventStore, database_url: str, address: str) -> None:
        self.cluster, self.store = cluster, store
        self.relay = Relay(
            as_role(database_url, "command"), NatsServer(address, replicas=REPLICAS), poll_s=0.2, publish_timeout_s=2.0
        )
        self.read: list[bytes] = []
        self.growing = True
        self._chance, self._appending = random.Random(7), asyncio.Lock()

    async def append(self, count: int) -> None:
        async with self._appending:
            version = await self.store.head()
            numbers = range(version + 1, version + count + 1)
            events = [Pending("gaia", n, uuid4(), 0, b"", "Tested", b'{"n":%d}' % n) for n in numbers]
            assert (await self.store.append({"gaia": version}, events)).outcome == "stored"
        self.relay.ring()

    async def grow(self) -> None:
        """A few events mostly, which are published singly, and sometimes a batch."""
        while self.growing:
            await self.append(self._chance.choice((1, 2, 5, 20, 40)))
            await asyncio.sleep(0.1)

    async def subscribe(self) -> None:
        """Reads as docs/subscribe.md says for programs that keep their own position."""
        address = self.cluster.url_with(f"{SUBSCRIBER}{READER}", PASSWORD)
        while True:
            client = NatsClient()
            try:
                with contextlib.suppress(*NATS_LOST):
                    await join(client, NatsServer(address), Trouble(log, "subscriber"))
                    await self._follow(client)
            finally:
                await leave(client)
            await asyncio.sleep(0.1)

    async def _follow(self, client: NatsClient) -> None:
        consumer = f"{READER}{ORDERED}"
        start = json.dumps({"seq": len(self.read) + 1}).encode()
        await client.request(f"$JS.API.CONSUMER.RESET.{STREAM}.{consumer}", start, timeout=2)
        subscription, expected = await client.jetstream(timeout=2).pull_subscribe_bind(consumer, stream=STREAM), 1
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await subscription.fetch(200, timeout=1):
                    if message.metadata.sequence.consumer != expected:
                        return
                    assert message.metadata.sequence.stream == len(self.read) + 1
                    self.read.append(message.data)
                    expected += 1

    async def passes(self, count: int = 100) -> None:
        """Waits until so many more events have come to the subscriber."""
        wanted = len(self.read) + count
        await until(lambda: len(self.read) >= wanted)

    async def settled(self) -> None:
        """The stream on each of the three servers, and what the subscriber has read, are the store."""
        stored = [event.data for event in await self.store.after(0, 1_000_000)]
        await until(lambda: min(self.relay.last_sequence, len(self.read)) >= len(stored))
        assert self.read == stored
        for server in self.cluster.servers:
            await self.cluster.level()
            await self.cluster.lead_with(server)
            assert await contents(server.url, len(stored)) == stored, server.name


@contextlib.asynccontextmanager
async def flowing(cluster: NatsCluster, database_url: str, address: str | None = None) -> AsyncIterator[Flow]:
    """A flow on a fresh stream. After the block it is looked whether everything is everywhere."""
    connection = await asyncpg.connect(database_url)
    admin = await nats.connect(cluster.servers[0].url)
    for stream in STREAMS:
        with contextlib.suppress(nats.errors.Error):
            await admin.jetstream().delete_stream(stream)
    await make(admin.jetstream(), READER, (), REPLICAS)
    await admin.close()
    flow = Flow(cluster, EventStore(connection), database_url, address or cluster.url_of(COMMAND.name))
    async with relaying(flow.relay):
        tasks = [asyncio.create_task(flow.grow()), asyncio.create_task(flow.subscribe())]
        try:
            await flow.passes(20)
            yield flow
            await flow.passes()
            flow.growing = False
            await tasks[0]
            await flow.settled()
            await until(lambda: flow.relay.trouble.problem is None and flow.relay.agreement.reachable)
        finally:
            await end_tasks(*tasks)
            await connection.close()


async def contents(url: str, last: int) -> list[bytes | None]:
    """The messages of the stream, from the server that leads it."""
    client = await nats.connect(url)
    context = client.jetstream()
    assert (await context.stream_info(STREAM)).state.last_seq == last
    found = []
    for first in range(1, last + 1, 200):
        sequences = range(first, min(first + 200, last + 1))
        found += [one.data for one in await asyncio.gather(*(context.get_msg(STREAM, n) for n in sequences))]
    await client.close()
    return found


async def through_proxies(
    stack: contextlib.AsyncExitStack, cluster: NatsCluster, database_url: str
) -> tuple[Flow, list[Proxy]]:
    """A flow whose relay reaches each server through a proxy."""
    proxies = [await stack.enter_async_context(Proxy(server.url_of(COMMAND.name))) for server in cluster.servers]
    address = ",".join(proxy.url for proxy in proxies)
    return await stack.enter_async_context(flowing(cluster, database_url, address)), proxies


async def struck(proxies: list[Proxy], withhold: Withhold, appending: Coroutine[Any, Any, None]) -> None:
    """Appends, and returns when a proxy keeps back the end of a batch, or the answer to it."""
    for proxy in proxies:
        proxy.arm(withhold, b"Nats-Batch-Commit")
    await appending
    waiting = [asyncio.create_task(proxy.struck.wait()) for proxy in proxies]
    async with asyncio.timeout(BOUND_S):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await end_tasks(*waiting)
    for proxy in proxies:
        proxy.arm(withhold)  # no second time


async def test_the_leader_is_killed_in_the_middle_of_a_batch(cluster: NatsCluster, database_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        flow, proxies = await through_proxies(stack, cluster, database_url)
        leader = await cluster.leader()
        await struck(proxies, "request", flow.append(700))  # the last of several pieces does not reach the server
        leader.kill()
        await flow.passes()
        leader.start()


async def test_a_leader_that_was_silent_comes_back_and_changes_nothing(cluster: NatsCluster, database_url: str) -> None:
    """It is silenced when a batch is under way, and wakes when another server leads."""
    async with contextlib.AsyncExitStack() as stack:
        flow, proxies = await through_proxies(stack, cluster, database_url)
        leader = await cluster.leader()
        await struck(proxies, "answer", flow.append(100))
        leader.pause()
        await flow.passes()
        leader.resume()


async def test_two_of_three_stop_and_start_and_nothing_is_published_between(
    cluster: NatsCluster, database_url: str
) -> None:
    async with flowing(cluster, database_url) as flow:
        lost = [cluster.servers[0], cluster.servers[2]]
        for server in lost:
            server.stop()
        await until(lambda: flow.relay.trouble.problem is not None and not flow.relay.agreement.reachable)
        for server in lost:
            server.start()


async def test_a_server_that_lost_its_disc_gets_everything_again(cluster: NatsCluster, database_url: str) -> None:
    async with flowing(cluster, database_url):
        (await cluster.leader()).wipe()


async def test_all_servers_are_killed_at_once(cluster: NatsCluster, database_url: str) -> None:
    async with flowing(cluster, database_url):
        cluster.stop(signal.SIGKILL)
        cluster.start()


async def test_a_stream_gets_as_many_replicas_as_the_setting_says(cluster: NatsCluster) -> None:
    client = await nats.connect(cluster.url.split(","))
    context = client.jetstream()
    with contextlib.suppress(nats.errors.Error):
        await context.delete_stream(STREAM)

    async def kept(replicas: int | None) -> tuple[int | None, str | None]:
        info, wrong = await keep_stream(context, CONFIG, replicas)
        return info.config.num_replicas, wrong

    with pytest.raises(TooFewServers, match="HOURBOOK_STREAM_REPLICAS is 5"):
        await kept(5)
    assert await kept(None) == (1, None)
    assert await kept(3) == (3, None)
    assert await kept(None) == (3, None)
    replicas, wrong = await kept(5)
    assert (replicas, "HOURBOOK_STREAM_REPLICAS is 5" in str(wrong)) == (3, True)
    assert await kept(1) == (1, None)
    await client.close()


async def test_the_command_line_asks_the_servers_that_are_left(cluster: NatsCluster) -> None:
    lost = cluster.servers[0]
    lost.kill()
    try:
        client = await connect_nats(cluster.url)
        await leave(client)
    finally:
        lost.start()
