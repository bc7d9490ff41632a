"""The relay on a real PostgreSQL and a real JetStream: message n is position n, whatever is lost or doubled."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import nats
import pytest
from nats.aio.client import Client

from services.command.relay import ForeignHistory, Relay
from shared.embedded import EmbeddedNats
from shared.event_store import EventStore, Pending
from shared.jetstream import STREAM, PublishRefused, ensure_stream, publish_batch


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    connection = await asyncpg.connect(database_url)
    yield EventStore(connection)
    await connection.close()


@pytest.fixture
async def client(nats_server: EmbeddedNats) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def append(store: EventStore, count: int) -> None:
    version = await store.head()
    events = [Pending("gaia", version + n, uuid4(), 0, b"", "Tested", b"{%d}" % n) for n in range(1, count + 1)]
    assert (await store.append({"gaia": version}, events)).outcome == "stored"


async def assert_stream_is_the_store(store: EventStore, client: Client) -> None:
    head = await store.head()
    context = client.jetstream()
    async with asyncio.timeout(20):
        while (await ensure_stream(context)) < head:
            await asyncio.sleep(0.02)
    assert (await context.stream_info(STREAM)).state.messages == head
    events = await store.after(0, head)
    for event in (events[0], events[len(events) // 2], events[-1]):
        message = await context.get_msg(STREAM, event.position)
        assert (message.data, (message.headers or {})["ce-id"]) == (event.data, str(event.position))


@contextlib.asynccontextmanager
async def relaying(database_url: str, nats_url: str) -> AsyncIterator[Relay]:
    relay = Relay(database_url, nats_url, poll_s=0.05)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_is_appended_is_published_in_order(
    store: EventStore, client: Client, database_url: str, nats_server: EmbeddedNats
) -> None:
    await append(store, 2500)
    async with relaying(database_url, nats_server.url) as relay:
        await assert_stream_is_the_store(store, client)
        await append(store, 1)
        relay.ring()
        await assert_stream_is_the_store(store, client)


async def test_two_relays_at_once_publish_each_event_once(
    store: EventStore, client: Client, database_url: str, nats_server: EmbeddedNats
) -> None:
    async with relaying(database_url, nats_server.url), relaying(database_url, nats_server.url):
        for _ in range(10):
            await append(store, 50)
        await assert_stream_is_the_store(store, client)


async def test_a_batch_that_expects_another_end_is_refused_whole(store: EventStore, client: Client) -> None:
    await append(store, 10)
    await ensure_stream(client.jetstream())
    events = await store.after(0, 10)
    assert await publish_batch(client, 0, events) == 10
    with pytest.raises(PublishRefused):
        await publish_batch(client, 0, events)
    assert await ensure_stream(client.jetstream()) == 10


async def test_a_lost_stream_and_a_lost_tail_are_published_again(
    store: EventStore, client: Client, database_url: str, nats_server: EmbeddedNats
) -> None:
    await append(store, 100)
    async with relaying(database_url, nats_server.url):
        await assert_stream_is_the_store(store, client)
        await client.jetstream().delete_stream(STREAM)
        await assert_stream_is_the_store(store, client)
    await client.jetstream().delete_stream(STREAM)
    await ensure_stream(client.jetstream())
    await publish_batch(client, 0, (await store.after(0, 100))[:60])
    async with relaying(database_url, nats_server.url):
        await assert_stream_is_the_store(store, client)


async def test_a_stream_with_another_history_stops_the_relay(
    store: EventStore, client: Client, database_url: str, nats_server: EmbeddedNats
) -> None:
    await append(store, 3)
    await ensure_stream(client.jetstream())
    await client.jetstream().publish("hourbook.events.gaia.Tested", b"foreign")
    with pytest.raises(ForeignHistory, match="message 1"):
        await asyncio.wait_for(Relay(database_url, nats_server.url).run(), 20)


async def test_a_killed_nats_server_loses_nothing(
    store: EventStore, client: Client, database_url: str, nats_server: EmbeddedNats
) -> None:
    async with relaying(database_url, nats_server.url):
        await append(store, 500)
        await assert_stream_is_the_store(store, client)
        nats_server.stop(signal.SIGKILL)
        await append(store, 500)
        nats_server.start()
        async with asyncio.timeout(20):
            while not client.is_connected:
                await asyncio.sleep(0.05)
        await assert_stream_is_the_store(store, client)
