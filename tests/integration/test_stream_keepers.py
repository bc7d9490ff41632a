"""The relay reports every fault of the stream, and continues by itself when the stream is repaired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import nats
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig

from services.cli.status import stream
from services.cli.up.servers import Servers
from services.command.app import create_app
from services.command.relay import Relay
from services.command.settings import Settings
from services.projector.consumer import Projector
from shared.event_store import EventStore
from shared.jetstream import STREAM, SUBJECTS, ensure_stream, join
from shared.nats_server import NatsServer
from shared.tasks import end_tasks
from shared.trouble import Trouble
from tests.integration.test_metrics import figures
from tests.integration.test_relay import append, assert_stream_is_the_store, relaying
from tests.support.backends import Nats, as_role, nats_of
from tests.support.listening import listening
from tests.support.running import hourbook

BOUND_S = 30
GRANT = {"project": "gaia", "startdate": "2086-01-01", "enddate": "2086-01-02"}


@pytest.fixture
async def relay(store: EventStore, client: Client, database_url: str, nats_server: Nats) -> AsyncIterator[Relay]:
    """A relay that leads and has published ten events."""
    await append(store, 10)
    async with relaying(
        Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05, publish_timeout_s=0.5)
    ) as relay:
        await assert_stream_is_the_store(store, client)
        yield relay


async def troubled(relay: Relay, words: str) -> None:
    async with asyncio.timeout(BOUND_S):
        while words not in (relay.trouble.problem or ""):
            await asyncio.sleep(0.01)


async def untroubled(relay: Relay) -> None:
    async with asyncio.timeout(BOUND_S):
        while relay.trouble.problem is not None or relay.waiting:
            await asyncio.sleep(0.01)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def changed(context: JetStreamContext, **values: Any) -> None:
    info = await context.stream_info(STREAM)
    await context.update_stream(info.config.evolve(**values))


async def test_a_stream_that_was_deleted_and_whose_subjects_another_has_is_said_and_made_again_when_it_can_be(
    store: EventStore, client: Client, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    context = client.jetstream()
    await squat(context, relay)
    await append(store, 3)
    relay.ring()
    await troubled(relay, "the stream SQUATTER has its subjects hourbook.events.>")
    async with asyncio.timeout(BOUND_S):
        while relay.waiting != 13 - relay.last_sequence:
            await asyncio.sleep(0.01)
    assert (await context.stream_info("SQUATTER")).state.messages == 0
    assert [line for line in errors(caplog) if "SQUATTER" in line]
    await context.delete_stream("SQUATTER")
    await untroubled(relay)
    await assert_stream_is_the_store(store, client)


@pytest.mark.usefixtures("relay")
async def test_a_stream_that_grew_while_status_looked_is_not_ahead_of_the_store(
    client: Client, database_url: str, nats_server: Nats
) -> None:
    servers = Servers(database_url, nats_server.url_of("status"))
    assert (await stream(servers, 4)).trouble is None
    await client.jetstream().publish(f"{SUBJECTS[0][:-2]}.gaia.Foreign", b"{}")
    assert "ahead of the event store" in str((await stream(servers, 10)).trouble)


async def squat(context: JetStreamContext, relay: Relay) -> None:
    """Deletes the stream and gives its subjects to another one, until the relay sees that.

    The relay makes the stream again at any moment. A NATS server that is asked for two streams at once may make both,
    although they have the same subjects: then this one deletes the relay's stream again.
    """
    async with asyncio.timeout(BOUND_S):
        while "SQUATTER" not in (relay.trouble.problem or ""):
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await context.delete_stream(STREAM)
            with contextlib.suppress(nats.js.errors.BadRequestError):  # the relay was faster
                await context.add_stream(StreamConfig(name="SQUATTER", subjects=SUBJECTS))
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"subjects": ["other.>"]}, "its subjects are other.> and should be hourbook.events.>"),
        ({"max_msgs": 10, "discard": DiscardPolicy.NEW}, "its max_msgs is 10 and should be no limit"),
        ({"max_msg_size": 5}, "its max_msg_size is 5 and should be no limit"),
        ({"no_ack": True}, "it is without acknowledgements and should not be"),
    ],
)
async def test_a_stream_that_refuses_is_said_with_what_would_be_right_and_goes_on_when_it_is_changed_back(
    store: EventStore,
    client: Client,
    relay: Relay,
    values: dict[str, Any],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = client.jetstream()
    before = (await context.stream_info(STREAM)).config
    await changed(context, **values)
    await append(store, 30)
    relay.ring()
    await troubled(relay, words)
    assert 0 < len(errors(caplog)) <= 3  # said, and not again and again
    await changed(context, **{name: getattr(before, name) for name in values})
    await untroubled(relay)
    async with asyncio.timeout(BOUND_S):
        while await ensure_stream(context) < 40:
            await asyncio.sleep(0.01)


async def test_a_stream_that_forgets_is_said_though_it_takes_what_is_published(
    store: EventStore, client: Client, relay: Relay
) -> None:
    await changed(client.jetstream(), max_msgs=4)
    await append(store, 3)
    relay.ring()
    await troubled(relay, "its max_msgs is 4 and should be no limit")
    async with asyncio.timeout(BOUND_S):
        while relay.last_sequence < 13:
            await asyncio.sleep(0.01)


async def test_a_sealed_stream_is_said_and_made_again_when_it_is_removed(
    store: EventStore, client: Client, relay: Relay
) -> None:
    await changed(client.jetstream(), sealed=True)
    await append(store, 1)
    relay.ring()
    await troubled(relay, "it is sealed and should not be")
    await client.jetstream().delete_stream(STREAM)
    await untroubled(relay)
    await assert_stream_is_the_store(store, client)


async def test_a_single_server_cannot_hold_three_replicas_and_the_relay_says_so(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    await append(store, 1)
    server = NatsServer(nats_server.url_of("command"), replicas=3)
    async with relaying(Relay(as_role(database_url, "command"), server, poll_s=0.05)) as relay:
        await troubled(relay, "is not there, and cannot be made, and HOURBOOK_STREAM_REPLICAS is 3")


async def test_a_relay_that_does_not_reach_nats_says_so(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with relaying(
        Relay(as_role(database_url, "command"), NatsServer("nats://127.0.0.1:9"), poll_s=0.05)
    ) as relay:
        await troubled(relay, "NATS server does not answer")
    assert any("NATS server does not answer" in line for line in errors(caplog))


async def test_a_forged_message_is_shown_nowhere_and_said_everywhere(
    store: EventStore, client: Client, database_url: str, nats_server: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    """The test publishes a message to the stream, where the next event will be. It looks like a real, huge grant."""
    projector = Projector(as_role(database_url, "projector"), nats_of(nats_server, "projector"))
    app = create_app(Settings(database_url=as_role(database_url, "command"), nats_url=nats_server.url_of("command")))
    async with listening(app) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        projecting = asyncio.create_task(projector.run())
        assert (await http.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
        assert (await http.post("/resources/create", json={**GRANT, "cores": 5})).status_code == 201
        async with asyncio.timeout(BOUND_S):
            while await ensure_stream(client.jetstream()) < 2:
                await asyncio.sleep(0.01)
        forged = (await store.after(1, 1))[0].data.replace(b'"cores":5', b'"cores":999')
        await client.jetstream().publish("hourbook.events.gaia.GrantCreated", forged)
        async with asyncio.timeout(BOUND_S):
            while (health := await http.get("/health")).status_code == 200:
                await asyncio.sleep(0.01)
        assert health.json()["accepts"] is False
        assert "the stream HOURBOOK ends at 3, the store at 2: the store has lost 1 event" in health.json()["trouble"]
        refused = await http.post("/resources/create", json={**GRANT, "cores": 7})
        assert (refused.status_code, refused.json()["code"]) == (503, "history_unsettled")
        granted = await store.connection.fetch("SELECT DISTINCT granted_cores FROM availability_hour")
        assert [row[0] for row in granted] == [5]
        assert figures((await http.get("/metrics")).text)["hourbook_relay_trouble_seconds",] > 0
        assert any("stream HOURBOOK" in line for line in errors(caplog))
        said = await asyncio.to_thread(
            hourbook,
            "status",
            "--url",
            address,
            HOURBOOK_DATABASE_URL=database_url,
            HOURBOOK_NATS_URL=nats_server.url_of("status"),
        )
        assert said.returncode == 1
        assert "ahead of the event store" in said.stdout
        await client.jetstream().delete_stream(STREAM)  # the mend: it is made again from the store
        async with asyncio.timeout(BOUND_S):
            while (await http.get("/health")).json()["trouble"] is not None:
                await asyncio.sleep(0.05)
        assert (await http.post("/resources/create", json={**GRANT, "cores": 7})).json()["position"] == 3
        await assert_stream_is_the_store(store, client)
        await end_tasks(projecting)


async def test_a_nats_server_that_is_not_there_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tried = asyncio.Semaphore(0)

    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        tried.release()

    async with await asyncio.start_server(closes, "127.0.0.1", 0) as server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        trouble = Trouble(logging.getLogger("test"), "relay: NATS")
        for _ in range(2):  # a relay takes a new client when one has not come through for some seconds
            client = Client()
            joining = asyncio.create_task(join(client, NatsServer(url), trouble))
            async with asyncio.timeout(BOUND_S):
                for _ in range(3):
                    await tried.acquire()
            await end_tasks(joining)
            await client.close()
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == 1, records
    assert records[0].getMessage().startswith("relay: NATS: ")
    assert records[0].exc_info is None
