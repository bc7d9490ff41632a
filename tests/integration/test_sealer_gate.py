"""After a failover or a restore the sealer signs nothing before the store has the history that was published."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client

from services.cli.heal.applying import begin_alone
from services.sealer.announcer import Announcer
from services.sealer.sealer import Sealer
from shared.audit.merkle import consistency_path, edge, fold_right, proof, verify_consistency
from shared.audit.notes import Signer, checkpoint_of, open_checkpoint
from shared.audit.store import latest_checkpoint, read_nodes
from shared.audit.stream import STREAM, SUBJECT
from shared.event_store import EventStore
from shared.nats_server import NatsServer
from tests.integration.test_relay import assert_stream_is_the_store, relaying
from tests.integration.test_sealer import assert_proven, running, until_sealed
from tests.integration.test_terms import relay_of
from tests.support.backends import Nats, Postgres, as_role, connected, nats_of
from tests.support.restored import append_accounts, copied, healed, promote
from tests.support.running import hourbook

BOUND_S = 60
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOWHERE = NatsServer("nats://127.0.0.1:1")


def sealer_of(url: str, nats: NatsServer) -> Sealer:
    return Sealer(as_role(url, "sealer"), SIGNER, nats=nats, poll_s=0.05)


@contextlib.asynccontextmanager
async def sealing(url: str, nats: NatsServer) -> AsyncIterator[Sealer]:
    """A sealer and its announcer."""
    sealer = sealer_of(url, nats)
    async with running(sealer, Announcer(as_role(url, "sealer"), nats, sealer.leads)):
        yield sealer


async def last_note(client: Client) -> str:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        return ((await client.jetstream().get_last_msg(STREAM, SUBJECT)).data or b"").decode()
    return ""


async def until_published(client: Client, size: int) -> str:
    async with asyncio.timeout(BOUND_S):
        while not (note := await last_note(client)) or checkpoint_of(note).size < size:
            await asyncio.sleep(0.02)
    return note


async def closed(sealer: Sealer, words: str) -> None:
    async with asyncio.timeout(BOUND_S):
        while words not in (sealer.trouble.problem or ""):
            await asyncio.sleep(0.02)
    assert not sealer.leads.is_set()


async def signed_and_lost(url: str, nats_server: Nats, client: Client) -> str:
    """Appends four events to the store at `url`, and publishes them and the checkpoint over them. Returns its note."""
    server = nats_of(nats_server, "sealer")
    async with connected(url) as connection, relaying(relay_of(url, nats_server)), sealing(url, server):
        store = EventStore(connection)
        await append_accounts(store, 4)
        return await until_published(client, await store.head())


async def test_what_was_published_is_signed_again_after_healing_and_nothing_before(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client
) -> None:
    await signed_and_lost(database_url, nats_server, client)
    async with copied(postgres, database_url) as restored:
        await signed_and_lost(database_url, nats_server, client)
        note = await signed_and_lost(database_url, nats_server, client)
        await promote(restored)
        async with sealing(restored, nats_of(nats_server, "sealer")) as sealer, connected(restored) as connection:
            await closed(sealer, "the term of this primary of PostgreSQL has not begun")
            store = EventStore(connection)
            async with relaying(relay_of(restored, nats_server)):
                assert (await healed(restored, nats_server, apply=True)).settled
                await until_sealed(store)
                again = await connection.fetchval("SELECT note FROM audit_checkpoint WHERE size = 12")
                assert again == note
                assert sealer.trouble.problem is None
                await until_published(client, 13)
            await assert_proven(store)
            await assert_consistent(store, note)


async def assert_consistent(store: EventStore, note: str) -> None:
    """Whoever kept the note gets a proof that the tree of today begins with its events."""
    kept, latest = open_checkpoint(note, SIGNER.verifier), await latest_checkpoint(store.connection)
    assert latest is not None
    path, edges = consistency_path(kept.size, latest.size), edge(0, latest.size)
    nodes = await read_nodes(store.connection, {node for named in (*path, edges) for node in named})
    assert fold_right([nodes[node] for node in edges]) == latest.root
    hashes = proof(path, nodes.__getitem__)
    assert verify_consistency(kept.size, latest.size, hashes, kept.root, latest.root)


async def test_another_history_than_the_published_one_is_never_signed_until_a_person_removes_what_was_published(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client
) -> None:
    async with copied(postgres, database_url) as restored:
        await signed_and_lost(database_url, nats_server, client)
        await promote(restored)
        async with connected(restored) as connection:
            assert await begin_alone(connection) == 1
        async with sealing(restored, nats_of(nats_server, "sealer")) as sealer, connected(restored) as connection:
            await closed(sealer, "a checkpoint of 4 events was published, and the store has lost events: it ends at 1")
            said = await asyncio.to_thread(status, restored, nats_server)
            assert "nothing is signed: a checkpoint of 4 events was published, and the store ends at 1" in said
            assert "ahead of the event store, which has lost 3 events: `hourbook heal` shows them" in said
            await append_accounts(EventStore(connection), 4)
            await closed(sealer, "another history was signed")
            assert await connection.fetchval("SELECT count(*) FROM audit_checkpoint") == 0
            await client.jetstream().delete_stream(STREAM)
            await until_sealed(EventStore(connection))


def status(url: str, server: Nats) -> str:
    shown = hourbook("status", HOURBOOK_DATABASE_URL=url, HOURBOOK_NATS_URL=server.url_of("status"))
    assert shown.returncode == 1
    return shown.stdout


async def test_while_nats_cannot_be_asked_it_signs_on_in_its_term_and_waits_in_a_new_one(database_url: str) -> None:
    async with connected(database_url) as connection:
        store = EventStore(connection)
        async with running(sealer_of(database_url, NOWHERE)):
            await append_accounts(store, 2)
            await until_sealed(store)
        await connection.execute("UPDATE store_term SET term = gen_random_uuid(), since = 3")
        sealer = sealer_of(database_url, NOWHERE)
        async with running(sealer):
            await append_accounts(store, 2)
            await closed(sealer, "the term is new, and NATS cannot be asked what was published")
            latest = await latest_checkpoint(connection)
            assert latest is not None
            assert latest.size == 2


async def test_a_checkpoint_is_published_when_the_stream_has_its_events(
    database_url: str, nats_server: Nats, client: Client
) -> None:
    """Otherwise somebody could hold the signature of an event that nobody can give back."""
    async with connected(database_url) as connection:
        store = EventStore(connection)
        await append_accounts(store, 4)
        async with relaying(relay_of(database_url, nats_server)), sealing(database_url, nats_of(nats_server, "sealer")):
            await until_published(client, 4)
        await append_accounts(store, 2)
        async with sealing(database_url, nats_of(nats_server, "sealer")):
            await until_sealed(store)
            await append_accounts(store, 2)
            await until_sealed(store)
            assert checkpoint_of(await last_note(client)).size == 4
            async with relaying(relay_of(database_url, nats_server)):
                await until_published(client, 8)


async def test_a_store_that_was_left_behind_publishes_no_checkpoint_of_its_own_events(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """It has signed events that the stream has not got. The stream goes on with those of another primary."""
    async with connected(database_url) as connection:
        await append_accounts(EventStore(connection), 4)
    async with copied(postgres, database_url, "old") as old, connected(old) as left:
        async with connected(database_url) as connection:
            await append_accounts(EventStore(connection), 4, "new")
            async with relaying(relay_of(database_url, nats_server)):
                await assert_stream_is_the_store(EventStore(connection), client)
        await append_accounts(EventStore(left), 2, "old")
        async with sealing(old, nats_of(nats_server, "sealer")), asyncio.timeout(BOUND_S):
            await until_sealed(EventStore(left))
            while "has another event there" not in caplog.text:
                await asyncio.sleep(0.02)
        assert await last_note(client) == ""
