"""The sealer on a real PostgreSQL and a real JetStream: after any kill, the tree is that of the stored bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import nats
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.sealer.announcer import Announcer
from services.sealer.sealer import Sealer, seal
from shared.audit.merkle import Tree, consistency_path, edge, hash_leaves, inclusion_path, proof, verify_inclusion
from shared.audit.notes import Signer, Verifier, checkpoint_of, ensure_key, load_key, open_checkpoint
from shared.audit.store import (
    MissingHashes,
    SignedCheckpoint,
    latest_checkpoint,
    read_nodes,
    read_tree,
    write_checkpoint,
)
from shared.audit.stream import STREAM, SUBJECT
from shared.event_store import EventStore, Pending
from shared.locks import Lock
from shared.tasks import end_tasks
from tests.support.backends import Nats, as_role, nats_of

BOUND_S = 30
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))


async def append(store: EventStore, count: int) -> None:
    version = await store.head()
    events = [
        Pending("gaia", version + n, uuid4(), 0, b"", "Tested", b'{"type":"Tested","n":%d}' % (version + n))
        for n in range(1, count + 1)
    ]
    assert (await store.append({"gaia": version}, events)).outcome == "stored"


async def leaves(store: EventStore) -> list[bytes]:
    return [event.data for event in await store.after(0, 1_000_000)]


async def assert_proven(store: EventStore, verifier: Verifier = SIGNER.verifier) -> None:
    """Every checkpoint signs the root of the stored bytes, and every stored hash is the hash of its node."""
    tree, data = Tree(), await leaves(store)
    checkpoints = await store.connection.fetch("SELECT * FROM audit_checkpoint ORDER BY size")
    for previous, record in zip([0, *(record["size"] for record in checkpoints)], checkpoints, strict=False):
        assert record["previous"] == previous
        tree.extend(hash_leaves(data[previous : record["size"]]))
        opened = open_checkpoint(record["note"], verifier)
        assert (opened.size, opened.root) == (record["size"], tree.root()) == (record["size"], record["root"])
    size = tree.size
    nodes = await read_nodes(store.connection, {(h, n) for h in range(size.bit_length()) for n in range(size >> h)})
    whole = Tree()
    for height, made in enumerate(whole.extend(hash_leaves(data[:size]))):
        hashes = [made[place : place + 32] for place in range(0, len(made), 32)]
        assert hashes == [nodes[height, number] for number in range(size >> height)]


async def until_sealed(store: EventStore) -> None:
    async with asyncio.timeout(BOUND_S):
        while (found := await latest_checkpoint(store.connection)) is None or found.size < await store.head():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(*sealers: Sealer | Announcer) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in sealers]
    try:
        yield
    finally:
        await end_tasks(*tasks)


async def test_in_any_batches_the_tree_is_the_one_over_the_stored_bytes(store: EventStore) -> None:
    chance, tree = random.Random(4), Tree()
    assert await seal(store.connection, tree, SIGNER) == 0
    for count in (1, 2, 253, 1, 600, 7):
        await append(store, count)
        while await seal(store.connection, tree, SIGNER, chance.randrange(1, 400)):
            pass
    assert tree.size == 864
    await assert_proven(store)


async def test_a_tree_of_three_levels_is_read_back_from_any_place(store: EventStore) -> None:
    """70,000 leaves without events are enough to begin a tile of the third level."""
    hashes = hash_leaves(b"%d" % number for number in range(70_000))
    tree = Tree()
    for start in range(0, 70_000, 7_001):
        made, previous = hashes[start * 32 : (start + 7_001) * 32], tree.size
        nodes = tree.extend(made)
        root = tree.root()
        checkpoint = SignedCheckpoint(tree.size, root, SIGNER.sign(tree.size, root))
        await write_checkpoint(store.connection, previous, nodes, checkpoint, SIGNER.verifier.text())
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        path = inclusion_path(index, 70_000)
        nodes_ = await read_nodes(store.connection, {node for named in path for node in named})
        inclusion = proof(path, nodes_.__getitem__)
        assert verify_inclusion(hashes[index * 32 : index * 32 + 32], index, 70_000, inclusion, tree.root())
    again = await read_tree(store.connection, 70_000)
    assert again.root() == tree.root()
    path = consistency_path(300, 70_000)
    assert proof(path, (await read_nodes(store.connection, {n for named in path for n in named})).__getitem__)
    with pytest.raises(MissingHashes):
        await read_nodes(store.connection, edge(0, 70_001))
    with pytest.raises(MissingHashes):
        await read_nodes(store.connection, [(0, 1_000_000)])


async def test_an_event_is_sealed_within_a_second_and_published(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    sealer = Sealer(as_role(database_url, "sealer"), SIGNER, on_seal=lambda: announcer.ring())
    announcer = Announcer(as_role(database_url, "sealer"), nats_of(nats_server, "sealer"), sealer.leads)
    client = await nats.connect(nats_server.url)
    heard = await client.subscribe(SUBJECT)
    async with running(sealer, announcer):
        await append(store, 3)
        await until_sealed(store)
        await append(store, 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until_sealed(store)
        assert loop.time() - began < 3.0  # one second, and more for a busy machine
        notes = [await heard.next_msg(BOUND_S) for _ in range(2)]
    assert [open_checkpoint(note.data.decode(), SIGNER.verifier).size for note in notes][-1] == 4
    stored = await store.connection.fetch("SELECT note FROM audit_checkpoint ORDER BY size")
    assert [note.data.decode() for note in notes] == [record["note"] for record in stored][-2:]
    await client.close()
    await assert_proven(store)


async def test_checkpoints_that_nobody_could_hear_are_published_later(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    tree = Tree()
    for count in (5, 6, 7):
        await append(store, count)
        await seal(store.connection, tree, SIGNER)
    leads = asyncio.Event()
    leads.set()
    client = await nats.connect(nats_server.url)
    for _ in range(2):  # the second call has nothing to publish
        async with (
            running(Announcer(as_role(database_url, "sealer"), nats_of(nats_server, "sealer"), leads)),
            asyncio.timeout(BOUND_S),
        ):
            while await published(client) < 3:
                await asyncio.sleep(0.02)
    assert await published(client) == 3
    message = await client.jetstream().get_last_msg(STREAM, SUBJECT)
    assert checkpoint_of((message.data or b"").decode()).size == 18
    await client.close()


async def published(client: nats.NATS) -> int:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        return (await client.jetstream().stream_info(STREAM)).state.messages
    return 0


async def test_of_several_sealers_one_leads_and_another_takes_over(store: EventStore, database_url: str) -> None:
    sealers = [Sealer(as_role(database_url, "sealer"), SIGNER, poll_s=0.02) for _ in range(3)]
    async with running(*sealers):
        for _ in range(5):
            await append(store, 20)
            await until_sealed(store)
            assert [sealer.leads.is_set() for sealer in sealers].count(True) == 1
            async with asyncio.timeout(BOUND_S):
                while not await store.connection.fetchval(
                    "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    f" AND (classid::bigint << 32) + objid::bigint = {Lock.SEALER:d}"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                ):
                    await asyncio.sleep(0.01)
    await assert_proven(store)


async def test_two_that_both_go_on_from_one_checkpoint_cannot_both_write(store: EventStore) -> None:
    first, second = Tree(), Tree()
    await append(store, 10)
    assert await seal(store.connection, first, SIGNER, 4) == 4
    with pytest.raises(asyncpg.UniqueViolationError):
        await seal(store.connection, second, SIGNER, 7)
    assert await seal(store.connection, first, SIGNER) == 6
    await assert_proven(store)


@pytest.mark.parametrize("table", ["audit_hash", "audit_checkpoint", "audit_key"])
async def test_the_database_refuses_to_change_what_was_sealed(store: EventStore, table: str) -> None:
    await append(store, 3)
    await seal(store.connection, Tree(), SIGNER)
    for change in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(asyncpg.RestrictViolationError, match="immutable"):
            await store.connection.execute(change)


async def test_a_sealer_that_finds_other_hashes_than_it_signed_stops(store: EventStore, database_url: str) -> None:
    await append(store, 3)
    await seal(store.connection, Tree(), SIGNER)
    await store.connection.execute("ALTER TABLE audit_hash DISABLE TRIGGER ALL")
    await store.connection.execute("UPDATE audit_hash SET hashes = set_byte(hashes, 1, 7)")
    with pytest.raises(RuntimeError, match="do not give the root"):
        await asyncio.wait_for(Sealer(as_role(database_url, "sealer"), SIGNER).run(), BOUND_S)


async def test_killed_at_any_moment_it_goes_on_where_it_was(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    """The sealer's own process, killed again and again while events arrive. Only the last one ends by itself."""
    key, chance = tmp_path / "audit.key", random.Random(9)
    ensure_key(key)
    environment = {
        **os.environ,
        "HOURBOOK_DATABASE_URL": as_role(database_url, "sealer"),
        "HOURBOOK_AUDIT_KEY_FILE": str(key),
    }
    environment.pop("HOURBOOK_NATS_URL", None)
    enough = asyncio.Event()
    writing = asyncio.create_task(write(database_url, enough))
    verifier = Signer("hourbook", load_key(key)).verifier
    for round_ in range(5):
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.sealer", env=environment)
        async with asyncio.timeout(BOUND_S):
            before = await latest_checkpoint(store.connection)
            while await latest_checkpoint(store.connection) == before:
                await asyncio.sleep(0.005)
        if round_ == 4:
            enough.set()
            await writing
            await until_sealed(store)
        await asyncio.sleep(chance.random() / 10)
        process.send_signal(signal.SIGTERM if round_ == 4 else signal.SIGKILL)
        assert await asyncio.wait_for(process.wait(), BOUND_S) == (0 if round_ == 4 else -signal.SIGKILL)
    await assert_proven(store, verifier)


async def write(database_url: str, enough: asyncio.Event) -> None:
    """Appends a few events at a time, until the kills are over."""
    connection = await asyncpg.connect(database_url)
    store = EventStore(connection)
    while not enough.is_set():
        await append(store, 20)
        await asyncio.sleep(0.01)
    await connection.close()


async def test_without_a_key_it_says_how_to_make_one(database_url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOURBOOK_DATABASE_URL": as_role(database_url, "sealer"),
        "HOURBOOK_AUDIT_KEY_FILE": str(tmp_path / "no"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.sealer", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), BOUND_S)
    assert process.returncode == 1
    assert b"HOURBOOK_AUDIT_KEY_FILE" in said
    assert b"openssl genpkey" in said
