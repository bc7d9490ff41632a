"""`hourbook audit verify` computes the history and the read models again, and compares every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.projector.generation import load_generation, prepare, write_batch
from services.projector.rebuild.rebuild import AlreadyRebuilding
from services.projector.rebuild.report import report_lines
from services.projector.rebuild.verification import Report, TrustedCheckpoint, verify
from services.sealer.sealer import seal
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import Signer
from shared.event_store import EventStore, Pending
from shared.events import Event, encode_event
from shared.locks import Lock
from tests.support.backends import as_role
from tests.support.histories import history

SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY = SIGNER.verifier.text()
EVENTS = history(12, 400)


class Sealed:
    """400 projected events, with checkpoints at 150, 250 and 390."""

    def __init__(self, url: str, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.url, self.connection = url, connection

    async def verify(self, *kept: TrustedCheckpoint, keys: list[str] | None = None) -> Report:
        return await verify(as_role(self.url, "projector"), kept, keys)

    async def tamper(self, table: str, statement: str) -> None:
        """Changes rows with rights that only the owner of the database has."""
        await self.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        assert not (await self.connection.execute(statement)).endswith(" 0")
        await self.connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def append_as_decided(store: EventStore, events: list[Event]) -> None:
    """Appends each event with the id of the command that made it, as the command service does."""
    versions, ordinals = Counter[str](), Counter[UUID]()
    pending = []
    for event in events:
        versions[event.project] += 1
        pending.append(
            Pending(
                event.project,
                versions[event.project],
                event.command,
                ordinals[event.command],
                b"",
                type(event).__name__,
                encode_event(event),
            )
        )
        ordinals[event.command] += 1
    assert (await store.append(dict.fromkeys(versions, 0), pending)).outcome == "stored"


@pytest.fixture
async def sealed(database_url: str) -> AsyncIterator[Sealed]:
    connection, tree = await asyncpg.connect(database_url), Tree()
    store = EventStore(connection)
    await append_as_decided(store, EVENTS)
    for size in (150, 250, 390):
        await seal(connection, tree, SIGNER, size - tree.size)
    await prepare(connection)
    generation = await load_generation(connection)
    await write_batch(connection, generation, [encode_event(event) for event in EVENTS])
    yield Sealed(database_url, connection)
    await connection.close()


async def test_what_was_never_touched_holds(sealed: Sealed) -> None:
    kept = TrustedCheckpoint("kept", SIGNER.sign(*root_at(211)))
    report = await sealed.verify(kept, keys=[KEY])
    assert report.holds, list(report_lines(report, 1.0))
    assert (report.events, report.sealed, report.checkpoints, report.replayed) == (400, 390, 3, 400)
    assert report.root == root_at(400)[1]
    hours = await sealed.connection.fetchval("SELECT count(*) FROM availability_hour")
    cells = {model.model: model.cells for model in report.models}
    assert cells["availability_hour"] >= 14 * hours > 14_000
    assert {"availability_hour", "pool", "live_grant", "live_booking"} <= cells.keys()
    lines = list(report_lines(report, 1.0))
    assert len(lines) <= 24
    assert "sealed       390 (10 more are not sealed yet)" in lines
    assert lines[-1] == "verified"
    assert await sealed.connection.fetchval("SELECT count(*) FROM generation") == 1


async def test_a_cell_that_was_changed_is_shown(sealed: Sealed) -> None:
    await sealed.connection.execute(
        "UPDATE availability_hour SET booked_cores = booked_cores + 1, granted_memory = granted_memory + 7"
        " WHERE (pool, hour) = (SELECT pool, hour FROM availability_hour ORDER BY pool, hour LIMIT 1)"
    )
    await sealed.connection.execute("DELETE FROM live_booking WHERE ctid = (SELECT min(ctid) FROM live_booking)")
    report = await sealed.verify()
    assert not report.holds
    assert report.wrong == []
    different = {model.model: model for model in report.models if model.different}
    columns = (
        "SELECT count(*) - 1 FROM information_schema.columns"
        " WHERE (table_schema, table_name) = ('public', 'live_booking')"
    )
    assert {name: model.different for name, model in different.items()} == {
        "availability_hour": 2,
        "live_booking": await sealed.connection.fetchval(columns),
    }
    assert '"hour": "' in different["availability_hour"].examples[0]
    assert different["live_booking"].examples[0].startswith("null <> {")
    lines = list(report_lines(report, 1.0))
    assert lines[-1] == "NOT VERIFIED"
    assert any(line.startswith("    live <> replayed: {") for line in lines)


async def test_an_event_that_was_changed_is_found_in_the_tree(sealed: Sealed) -> None:
    await sealed.tamper("event", "UPDATE event SET data = data || ' ' WHERE position = 200")
    report = await sealed.verify()
    assert report.wrong == [
        "a stored checkpoint of 250 events was signed over others: the history before it was rewritten",
        "a stored checkpoint of 390 events was signed over others: the history before it was rewritten",
    ]


async def test_columns_that_do_not_say_what_the_event_says_are_found(sealed: Sealed) -> None:
    await sealed.tamper("event", "UPDATE event SET type = 'BookingLost' WHERE position = 200")
    await sealed.tamper("event", "UPDATE event SET command_id = gen_random_uuid() WHERE position = 300")
    report = await sealed.verify()
    assert report.wrong == [
        f"position {position}: the columns beside the event are not what it says" for position in (200, 300)
    ]


async def test_a_missing_event_is_found(sealed: Sealed) -> None:
    await sealed.tamper("event", "DELETE FROM event WHERE position = 200")
    with pytest.raises(LookupError, match="of the events 1 to 400 only 399"):
        await sealed.verify()


async def test_a_history_rewritten_and_sealed_again_is_found_by_a_kept_checkpoint(sealed: Sealed) -> None:
    kept = TrustedCheckpoint("kept.txt", SIGNER.sign(*root_at(250)))
    await sealed.tamper("event", "UPDATE event SET data = data || ' ' WHERE position = 200")
    await sealed.tamper("audit_checkpoint", "DELETE FROM audit_checkpoint")
    await sealed.tamper("audit_hash", "DELETE FROM audit_hash")
    await seal(sealed.connection, Tree(), SIGNER)
    assert (await sealed.verify()).holds
    report = await sealed.verify(kept)
    assert report.wrong == ["kept.txt of 250 events was signed over others: the history before it was rewritten"]
    later = await sealed.verify(TrustedCheckpoint("kept.txt", SIGNER.sign(401, bytes(32))))
    assert later.wrong == ["kept.txt was signed over 401 events; there are only 400"]


async def test_a_checkpoint_of_a_key_that_is_not_trusted_is_refused(sealed: Sealed) -> None:
    other = Signer("hourbook", Ed25519PrivateKey.generate())
    report = await sealed.verify(TrustedCheckpoint("kept.txt", other.sign(*root_at(250))))
    assert report.wrong == [f"kept.txt: it is not signed by {KEY}"]
    report = await sealed.verify(keys=[other.verifier.text()])
    assert report.wrong == [f"the latest checkpoint: it is not signed by {other.verifier.text()}"]


async def test_an_event_that_cannot_be_replayed_is_named(sealed: Sealed) -> None:
    await sealed.tamper("event", 'UPDATE event SET data = \'{"type":"Unheard"}\' WHERE position = 200')
    report = await sealed.verify()
    assert any("position 200 cannot be applied" in problem for problem in report.wrong)
    assert await sealed.connection.fetchval("SELECT count(*) FROM generation") == 1


async def test_it_does_not_meet_a_rebuild(sealed: Sealed) -> None:
    await sealed.connection.fetchval(f"SELECT pg_advisory_lock({Lock.REBUILD:d})")
    with pytest.raises(AlreadyRebuilding):
        await sealed.verify()


def root_at(size: int) -> tuple[int, bytes]:
    tree = Tree()
    tree.extend(hash_leaves([encode_event(event) for event in EVENTS[:size]]))
    return size, tree.root()
