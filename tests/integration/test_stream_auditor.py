"""A message that was changed in the middle of the stream is told, and commands go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import nats
import pytest
from nats.aio.client import Client

from services.command.app import create_app
from services.command.settings import Settings
from shared.event_store import EventStore
from shared.jetstream import STREAM
from tests.integration.test_heal import publish_changed
from tests.integration.test_metrics import figures
from tests.support.backends import Nats, as_role, connected
from tests.support.listening import listening
from tests.support.restored import append_accounts

BOUND_S = 60


@pytest.fixture
async def client(nats_server: Nats) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def measured(http: httpx.AsyncClient, name: str) -> float:
    return figures((await http.get("/metrics")).text)[name,]


async def test_a_message_that_was_changed_is_told_within_a_round_and_no_more_when_it_is_mended(
    database_url: str, nats_server: Nats, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(database_url) as connection:
        store = EventStore(connection)
        await append_accounts(store, 60)
        await publish_changed(store, client, 37)
    app = create_app(Settings(database_url=as_role(database_url, "command"), nats_url=nats_server.url_of("command")))
    async with listening(app) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        async with asyncio.timeout(BOUND_S):
            while (health := (await http.get("/health")).json())["trouble"] is None:
                await asyncio.sleep(0.05)
        assert (
            "1 message is not the store's event on the stream HOURBOOK: 37 (its bytes are others)" in health["trouble"]
        )
        assert health["accepts"] is True
        assert any("HOURBOOK: 37 (its bytes are others)" in record.getMessage() for record in caplog.records)
        assert await measured(http, "hourbook_stream_differences") == 1
        async with asyncio.timeout(BOUND_S):
            while await measured(http, "hourbook_stream_audited_position") < 60:
                await asyncio.sleep(0.05)
        assert (await http.post("/projects/create", json={"id": "ada", "name": "Ada"})).status_code == 201
        await client.jetstream().delete_stream(STREAM)  # the mend: it is made again from the store
        async with asyncio.timeout(BOUND_S):
            while (await http.get("/health")).json()["trouble"] is not None:
                await asyncio.sleep(0.05)
        assert await measured(http, "hourbook_stream_differences") == 0
        async with asyncio.timeout(BOUND_S):
            while not await measured(http, "hourbook_stream_audit_ended_timestamp_seconds") > 0:
                await asyncio.sleep(0.05)
