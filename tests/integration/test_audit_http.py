"""The audit proofs over HTTP. The test verifies them as an auditor does, with a checkpoint that it kept."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.query.app import create_app
from services.query.settings import Settings
from services.sealer.sealer import seal
from shared.audit.merkle import Tree, leaf_hash, verify_consistency, verify_inclusion
from shared.audit.notes import Checkpoint, Signer, open_checkpoint, verifier_of
from shared.event_store import EventStore, Pending
from tests.support.backends import as_role
from tests.support.listening import listening

BOUND_S = 60.0
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))


class Ledger:
    """Events, and a sealer that signs when the test calls it."""

    def __init__(self, connection: Any, client: httpx.AsyncClient) -> None:
        self.connection, self.client, self.store, self.tree = connection, client, EventStore(connection), Tree()

    async def append(self, count: int) -> None:
        head = await self.store.head()
        events = [
            Pending("gaia", head + n, uuid4(), 0, b"", "Tested", b'{"type":"Tested","n":%d}' % (head + n))
            for n in range(1, count + 1)
        ]
        assert (await self.store.append({"gaia": head}, events)).outcome == "stored"

    async def grow(self, count: int) -> None:
        await self.append(count)
        assert await seal(self.connection, self.tree, SIGNER) == count

    async def checkpoint(self, query: str = "") -> Checkpoint:
        answer = await self.client.get(f"/audit/checkpoint{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        key = (await self.client.get("/audit/key")).text
        return open_checkpoint(answer.text, verifier_of(key))

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def refused(self, path: str) -> tuple[int, str, str]:
        answer = await self.client.get(path)
        return answer.status_code, answer.json()["code"], answer.json()["detail"]


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(database_url)
    async with (
        listening(create_app(Settings(database_url=as_role(database_url, "query")))) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        yield Ledger(connection, client)
    await connection.close()


def digests(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text, validate=True) for text in texts]


@pytest.mark.odd_store
async def test_an_event_is_shown_to_be_in_the_history_that_was_signed(ledger: Ledger) -> None:
    await ledger.grow(300)
    await ledger.grow(41)
    checkpoint = await ledger.checkpoint()
    assert checkpoint.size == 341
    for position in (1, 2, 256, 257, 300, 301, 341):
        event = (await ledger.client.get(f"/events/{position}")).text.partition('"event":')[2].removesuffix("}")
        answer = await ledger.get(f"/audit/inclusion?position={position}")
        leaf = leaf_hash(event.encode())
        assert (answer["position"], answer["index"], answer["size"]) == (position, position - 1, 341)
        assert digests([answer["leaf"], answer["root"]]) == [leaf, checkpoint.root]
        assert verify_inclusion(leaf, position - 1, 341, digests(answer["proof"]), checkpoint.root)
        assert open_checkpoint(answer["checkpoint"], SIGNER.verifier) == checkpoint


async def test_the_history_that_was_seen_is_shown_to_be_a_prefix_of_todays(ledger: Ledger) -> None:
    await ledger.grow(77)
    kept = await ledger.checkpoint()
    await ledger.grow(1)
    await ledger.grow(500)
    today = await ledger.checkpoint()
    answer = await ledger.get(f"/audit/consistency?from={kept.size}")
    assert (answer["from"], answer["to"]) == (77, 578)
    assert digests([answer["from_root"], answer["to_root"]]) == [kept.root, today.root]
    assert verify_consistency(77, 578, digests(answer["proof"]), kept.root, today.root)
    between = await ledger.get("/audit/consistency?from=77&to=78")
    assert open_checkpoint(between["checkpoint"], SIGNER.verifier) == await ledger.checkpoint("?size=78")
    same = await ledger.get("/audit/consistency?from=578&to=578")
    assert same["proof"] == []


async def test_any_size_has_proofs_and_only_a_signed_one_a_checkpoint(ledger: Ledger) -> None:
    await ledger.grow(100)
    for size in (1, 64, 99):
        answer = await ledger.get(f"/audit/inclusion?position=1&size={size}")
        assert answer["checkpoint"] is None
        root, first = digests([answer["root"], answer["leaf"]])
        assert verify_inclusion(first, 0, size, digests(answer["proof"]), root)
        later = await ledger.get(f"/audit/consistency?from={size}")
        assert verify_consistency(size, 100, digests(later["proof"]), root, digests([later["to_root"]])[0])


async def test_a_rewritten_history_has_no_proof_that_fits_a_kept_checkpoint(ledger: Ledger) -> None:
    await ledger.grow(50)
    kept = await ledger.checkpoint()
    await ledger.grow(10)
    connection = ledger.connection
    for table in ("event", "audit_hash", "audit_checkpoint", "audit_key"):
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await connection.execute('UPDATE event SET data = \'{"type":"Tested","n":0}\' WHERE position = 20')
    await connection.execute("DELETE FROM audit_checkpoint")
    await connection.execute("DELETE FROM audit_hash")
    assert await seal(connection, Tree(), SIGNER) == 60  # the real key signs the forged tree
    answer = await ledger.get("/audit/consistency?from=50")
    root = (await ledger.checkpoint()).root
    assert not verify_consistency(50, 60, digests(answer["proof"]), kept.root, root)


async def test_what_is_not_sealed_is_said_to_be_so(ledger: Ledger) -> None:
    for path in ("/audit/checkpoint", "/audit/key", "/audit/inclusion?position=1", "/audit/consistency?from=1"):
        assert await ledger.refused(path) == (404, "not_sealed", "nothing has been sealed yet")
    await ledger.grow(10)
    await ledger.append(1)
    status, code, detail = await ledger.refused("/audit/inclusion?position=11")
    assert (status, code, detail) == (404, "not_sealed", "position: 10 events are sealed so far")
    assert (await ledger.refused("/audit/inclusion?position=1&size=11"))[1] == "not_sealed"
    assert (await ledger.refused("/audit/consistency?from=11"))[1] == "not_sealed"
    assert (await ledger.refused("/audit/consistency?from=1&to=11"))[1] == "not_sealed"
    status, code, detail = await ledger.refused("/audit/checkpoint?size=9")
    assert detail == "size: no checkpoint was signed of 9 events; the next larger one is of 10"
    assert (await ledger.refused("/audit/checkpoint?size=11"))[1] == "not_sealed"


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/audit/inclusion", 400, "position"),
        ("/audit/inclusion?position=0", 400, "position"),
        ("/audit/inclusion?position=7&size=5", 404, "position"),
        ("/audit/consistency?to=5", 400, "from"),
        ("/audit/consistency?from=0", 400, "from"),
        ("/audit/consistency?from=x&to=y", 400, "from"),
        ("/audit/consistency?from=1&to=1e3", 400, "to"),
        ("/audit/consistency?from=5&to=4", 400, "to"),
        ("/audit/checkpoint?size=x", 400, "size"),
        ("/audit/checkpoint?of=5", 400, "of"),
    ],
)
async def test_a_wrong_question_is_told_its_field(ledger: Ledger, path: str, status: int, field: str) -> None:
    await ledger.grow(10)
    answer = await ledger.client.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)


async def test_proofs_are_right_while_the_tree_grows(ledger: Ledger) -> None:
    await ledger.grow(1)
    sizes = set[int]()

    async def grow() -> None:
        while len(sizes) < 5:
            await ledger.grow(17)

    growing = asyncio.create_task(grow())
    async with asyncio.timeout(BOUND_S):
        while not growing.done():
            answer = await ledger.get("/audit/inclusion?position=1")
            checkpoint = open_checkpoint(answer["checkpoint"], SIGNER.verifier)
            leaf = digests([answer["leaf"]])[0]
            assert verify_inclusion(leaf, 0, checkpoint.size, digests(answer["proof"]), checkpoint.root)
            sizes.add(checkpoint.size)
        await growing
