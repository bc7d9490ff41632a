"""The outbox relay on a real PostgreSQL and a real JetStream: message n is position n, whatever is lost or doubled."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from nats.aio.client import Client

from services.command.relay import Relay
from shared.event_store import EventStore, Pending
from shared.jetstream import STREAM, PublishRefused, cloud_event, ensure_stream, publish_batch, whole_commands
from shared.nats_server import NatsServer
from shared.tasks import end_tasks
from tests.support.backends import Nats, as_role, nats_of
from tests.support.proxy import Proxy


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
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end_tasks(task)


async def test_what_is_appended_is_published_in_order(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 2500)
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)) as relay:
        await assert_stream_is_the_store(store, client)
        await append(store, 1)
        relay.ring()
        await assert_stream_is_the_store(store, client)


async def test_what_a_process_hands_over_and_what_others_append_is_published_in_order(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    term = await store.connection.fetchval("SELECT term FROM store_term")
    relay = Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.5)
    async with relaying(relay):
        async with asyncio.timeout(30):
            while not relay.leads:
                await asyncio.sleep(0.01)
        for number in range(30):
            version = await store.head()
            events = [Pending("gaia", version + n, uuid4(), 0, b"", "Tested", b"{%d}" % n) for n in (1, 2)]
            appended = await store.append({"gaia": version}, events)
            if number % 4:  # others are of another process, which rings
                relay.appended(term, appended.first_position, events)
            elif number % 8:
                relay.ring()
        await assert_stream_is_the_store(store, client)
    await assert_every_message_is_the_event(store, client)


async def assert_every_message_is_the_event(store: EventStore, client: Client) -> None:
    for event in await store.after(0, 1000):
        message = await client.jetstream().get_msg(STREAM, event.position)
        subject, headers = cloud_event(event)
        assert (message.subject, message.data) == (subject, event.data)
        assert headers.items() <= (message.headers or {}).items()


async def test_two_relays_at_once_publish_each_event_once(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    async with (
        relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)),
        relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)),
    ):
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


@pytest.mark.parametrize("events", [3, 100])  # one by one, and as an atomic batch
async def test_an_outcome_lost_in_a_time_out_is_read_from_the_stream(
    store: EventStore,
    client: Client,
    database_url: str,
    nats_server: Nats,
    events: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "services.command.relay")
    await append(store, events)
    async with Proxy(nats_server.url_of("command")) as proxy:
        proxy.arm("one answer", b"HPUB hourbook.events.")
        relay = Relay(as_role(database_url, "command"), NatsServer(proxy.url), poll_s=0.05, publish_timeout_s=0.5)
        async with relaying(relay):
            await assert_stream_is_the_store(store, client)
            async with asyncio.timeout(20):
                while relay.last_sequence < events:
                    await asyncio.sleep(0.01)
            await append(store, events)
            await assert_stream_is_the_store(store, client)
    assert proxy.struck.is_set()
    said = [record.getMessage() for record in caplog.records]
    assert sum("TimeoutError" in line and "reading where the stream ends" in line for line in said) == 1, said


async def test_a_lost_stream_and_a_lost_tail_are_published_again(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 100)
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)):
        await assert_stream_is_the_store(store, client)
        await client.jetstream().delete_stream(STREAM)
        await assert_stream_is_the_store(store, client)
    await client.jetstream().delete_stream(STREAM)
    await ensure_stream(client.jetstream())
    await publish_batch(client, 0, (await store.after(0, 100))[:60])
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)):
        await assert_stream_is_the_store(store, client)


async def test_a_stream_with_another_history_is_said_and_left_alone_until_it_is_mended(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 3)
    await ensure_stream(client.jetstream())
    await client.jetstream().publish("hourbook.events.gaia.Tested", b"foreign")
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)) as relay:
        async with asyncio.timeout(20):
            while "message 1 of the stream" not in (relay.trouble.problem or ""):
                await asyncio.sleep(0.01)
        assert await ensure_stream(client.jetstream()) == 1  # nothing was published after it
        await client.jetstream().delete_stream(STREAM)
        await assert_stream_is_the_store(store, client)


async def test_a_killed_nats_server_loses_nothing(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)):
        await append(store, 500)
        await assert_stream_is_the_store(store, client)
        nats_server.stop(signal.SIGKILL)
        await append(store, 500)
        nats_server.start()
        async with asyncio.timeout(20):
            while not client.is_connected:
                await asyncio.sleep(0.05)
        await assert_stream_is_the_store(store, client)


async def test_the_events_of_a_command_are_on_the_stream_together_or_not_at_all(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """They are in one atomic batch, also where they stand across the bound of a batch."""
    command = uuid4()
    await append(store, 999)
    pair = [Pending("gaia", 1000 + n, command, n, b"", "Tested", b"{}") for n in range(2)]
    await store.append({"gaia": 999}, pair)
    first = await store.after(0, 1000)
    assert [event.position for event in (first[0], first[-1])] == [1, 1000]
    assert [event.position for event in whole_commands(first)[-1:]] == [999]
    async with relaying(Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05)):
        await assert_stream_is_the_store(store, client)
    batches = [(await client.jetstream().get_msg(STREAM, n)).headers or {} for n in (999, 1000, 1001)]
    assert batches[1]["Nats-Batch-Id"] == batches[2]["Nats-Batch-Id"] != batches[0]["Nats-Batch-Id"]
