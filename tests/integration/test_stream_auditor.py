"""A message that was changed in the middle of the stream is told, and commands go on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from nats.aio.client import Client

from services.command.app import create_app
from services.command.relay import Relay
from services.command.settings import Settings
from services.command.stream_auditor import StreamAuditor
from shared.event_store import EventStore
from shared.jetstream import CONFIG, STREAM, publish_batch
from shared.nats_server import NatsServer
from shared.tasks import end_tasks
from tests.integration.test_heal import publish_changed
from tests.integration.test_metrics import figures
from tests.support.backends import Nats, as_role, connected
from tests.support.listening import listening
from tests.support.restored import append_accounts

BOUND_S = 60


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


class Behind:
    """A relay that has not yet seen that the stream was removed."""

    leads, last_sequence, agreement = True, 60, SimpleNamespace(problem=None)


async def test_a_stream_that_is_being_filled_again_has_no_differences(
    database_url: str, nats_server: Nats, client: Client
) -> None:
    async with connected(database_url) as connection:
        store = EventStore(connection)
        await append_accounts(store, 60)
        events = await store.after(0, 60)
    await client.jetstream().add_stream(CONFIG.evolve(deny_delete=False))
    server = NatsServer(nats_server.url_of("command"))
    auditor = StreamAuditor(database_url, server, cast(Relay, Behind()), piece_s=0.001, round_s=0)
    task = asyncio.create_task(auditor.run())
    try:
        await rounds(auditor)  # the stream is empty
        assert auditor.differences == 0
        await publish_batch(client, 0, events[:40], timeout_s=BOUND_S)
        await rounds(auditor)  # it ends at 40
        assert auditor.differences == 0
        await publish_batch(client, 40, events[40:], timeout_s=BOUND_S)
        await client.jetstream().delete_msg(STREAM, 20)
        await rounds(auditor)
        assert "1 message is not the store's event" in (auditor.trouble.problem or "")
        assert "20 (it is not there any more)" in (auditor.trouble.problem or "")
    finally:
        await end_tasks(task)


async def rounds(auditor: StreamAuditor) -> None:
    """Waits until a whole round has begun and ended."""
    for _ in range(2):
        before = auditor.round_ended
        async with asyncio.timeout(BOUND_S):
            while auditor.round_ended == before:
                await asyncio.sleep(0.001)
