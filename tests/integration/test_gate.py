"""When the gate is closed and when it opens: what is told to a client, and which servers are lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from nats.aio.client import Client

from services.command.agreement import Agreement
from services.command.app import create_app
from services.command.domain import CreateProject
from services.command.domain.commands import Context
from services.command.handler.errors import StoreUnavailable
from services.command.handler.handler import CommandHandler
from services.command.settings import Settings
from shared.event_store import EventStore
from shared.event_store.errors import Unsettled
from shared.event_store.terms import read_term
from shared.identity.principals import trusted
from shared.tasks import end_tasks
from tests.integration.test_relay import relaying
from tests.integration.test_terms import append, assert_stream_is_the_store, lose, promote, relay_of, settled
from tests.support.backends import Nats, Postgres, as_role, connected
from tests.support.listening import listening
from tests.support.restored import copied

BOUND_S = 30
PROJECT = {"id": "gaia", "name": "Gaia"}


async def end_sessions(store: EventStore) -> None:
    await store.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_what_is_not_found_while_events_are_lost_may_be_given_back_and_is_no_404(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    app = create_app(Settings(database_url=as_role(database_url, "command"), nats_url=nats_server.url_of("command")))
    grant = {"project": "gaia", "startdate": "2086-01-01", "enddate": "2086-01-02", "cores": 5}
    async with listening(app) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        assert (await http.post("/projects/create", json=PROJECT)).status_code == 201
        made = (await http.post("/resources/create", json=grant)).json()["id"]
        await assert_stream_is_the_store(store, client)
        await lose(store, 1)
        await end_sessions(store)
        async with asyncio.timeout(BOUND_S):
            while (await http.get("/health")).status_code != 503:
                await asyncio.sleep(0.02)
        key = {"Idempotency-Key": "withdraws"}
        assert (await http.post("/resources/create", json=grant)).status_code == 503  # it forgets what it knew
        answer = await http.post(f"/resources/{made}/withdraw", json={}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "history_unsettled")
        assert await store.connection.fetchval("SELECT count(*) FROM remembered_answer") == 0


async def test_a_relay_connects_again_when_another_history_lasts(
    postgres: Postgres, store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """The address leads to the new primary, and the connection to the one that was left behind lives on."""
    await append(store, 3)
    async with relaying(relay_of(database_url, nats_server)):
        await assert_stream_is_the_store(store, client)
    await store.connection.close()
    async with copied(postgres, database_url, "new") as url, connected(url) as new:
        relay = relay_of(database_url, nats_server)
        async with relaying(relay):
            async with connected(database_url) as old, asyncio.timeout(BOUND_S):
                while relay.agreement.term is None:
                    await asyncio.sleep(0.01)
                assert (await read_term(old)).begun
            relay._database_url = as_role(url, "command")
            await promote(EventStore(new))
            async with relaying(relay_of(url, nats_server)) as other:
                await settled(other, EventStore(new))
            await settled(relay, EventStore(new))
            assert relay.agreement.why_closed is None


async def test_a_lost_database_does_not_count_as_a_nats_server_that_cannot_be_asked(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """The store comes back without its last events, as from a copy of its disc: nothing may be accepted before the
    look."""
    await append(store, 3)
    relay = relay_of(database_url, nats_server)
    async with relaying(relay):
        await assert_stream_is_the_store(store, client)
        relay._database_url, url = "postgresql://nobody@127.0.0.1:1/nothing", relay._database_url
        await lose(store, 2)
        await end_sessions(store)
        async with asyncio.timeout(BOUND_S):
            while relay.trouble.problem is None or "Connect" not in relay.trouble.problem:
                await asyncio.sleep(0.01)
        assert relay.agreement.reachable
        looked = asyncio.create_task(relay.agreement.look_again())
        await asyncio.sleep(0.05)
        relay._database_url = url
        await looked
        with pytest.raises(Unsettled, match="the store has lost 1 event"):
            relay.agreement.check((await read_term(store.connection)).term)


async def test_a_look_is_not_put_off_by_a_stream_of_events(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await settled(relay, store)
        relay._poll_s = 60
        appending = asyncio.create_task(append_for_ever(store, relay.ring))
        try:
            async with asyncio.timeout(BOUND_S):
                while relay.last_sequence < 100:
                    await asyncio.sleep(0.01)
            began = time.monotonic()
            for _ in range(3):
                await relay.agreement.look_again()
            assert time.monotonic() - began < 4
        finally:
            await end_tasks(appending)


async def append_for_ever(store: EventStore, ring: Callable[[], None]) -> None:
    while True:
        await append(store, 30)
        ring()


class Closing(Agreement):
    """It opens for the first connection. The second one finds that the store has lost events."""

    looks = 0

    async def look_again(self) -> None:
        self.looks += 1
        if self.looks > 1:
            self.problem = "the store has lost 1 event"


async def test_a_command_that_may_be_stored_is_not_answered_as_one_that_is_not(
    store: EventStore, database_url: str
) -> None:
    """The connection is lost while the append waits for its turn. The next one is to a store that has lost events: the
    command may be among them."""
    handler = CommandHandler(as_role(database_url, "command"), agreement=Closing())
    running = asyncio.create_task(handler.run())
    try:
        command = CreateProject(project="gaia", name="Gaia")
        context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
        async with store.connection.transaction():
            await store.lock()
            sent = asyncio.create_task(handler.submit("gaia", command, context))
            async with asyncio.timeout(BOUND_S):
                while not await store.connection.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                ):
                    await asyncio.sleep(0.01)
            await end_sessions(store)
            with pytest.raises(StoreUnavailable, match="not known whether the command was stored: nothing is accepted"):
                await sent
        with pytest.raises(Unsettled, match="the store has lost 1 event"):
            await handler.submit("gaia", command, context)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await end_tasks(running)
