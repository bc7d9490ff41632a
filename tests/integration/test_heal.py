"""`hourbook heal` shows how the store and the stream differ, and gives back what the store has lost, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client

from services.command.app import create_app
from services.command.settings import Settings
from services.projector.consumer import Projector
from services.projector.rebuild.verification import verify
from shared.audit.merkle import Tree, hash_leaves
from shared.audit.notes import Signer
from shared.audit.stream import CONFIG as AUDIT
from shared.event_store import EventStore, Stored
from shared.event_store.terms import read_term
from shared.jetstream import STREAM, ensure_stream, publish_batch
from shared.tasks import end_tasks
from tests.integration.test_relay import assert_stream_is_the_store, relaying
from tests.integration.test_terms import relay_of
from tests.support.backends import Nats, Postgres, as_role, connected, nats_of
from tests.support.listening import listening
from tests.support.restored import append_accounts, copied, heal, healed, promote, start_heal

BOUND_S = 60
GRANT = {"project": "gaia", "startdate": "2086-01-01", "enddate": "2086-01-02"}
SIGNER = Signer("hourbook", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY = SIGNER.verifier.text()


async def all_of(url: str) -> list[Stored]:
    async with connected(url) as connection:
        return await EventStore(connection).after(0, 1_000_000)


def note_over(events: list[Stored], file: Path) -> Path:
    """A checkpoint of these events, signed by the ledger's key, in a file."""
    tree = Tree()
    tree.extend(hash_leaves(event.data for event in events))
    file.write_text(SIGNER.sign(tree.size, tree.root()))
    return file


async def published(url: str, nats_server: Nats, client: Client) -> None:
    """Publishes all events of the store."""
    async with relaying(relay_of(url, nats_server)), connected(url) as connection:
        await assert_stream_is_the_store(EventStore(connection), client)


async def test_what_a_restored_store_has_lost_comes_back_byte_for_byte_also_after_a_kill(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client, tmp_path: Path
) -> None:
    settings = Settings(database_url=as_role(database_url, "command"), nats_url=nats_server.url_of("command"))
    keys = [{"Idempotency-Key": name} for name in ("first", "second")]
    async with listening(create_app(settings)) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        assert (await http.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
    async with copied(postgres, database_url) as restored:
        async with listening(create_app(settings)) as address, httpx.AsyncClient(base_url=address) as http:
            answers = [await http.post("/resources/create", json={**GRANT, "cores": 5}, headers=key) for key in keys]
            assert {answer.status_code for answer in answers} == {201}
        last_request = uuid4()
        async with connected(database_url) as connection:
            await append_accounts(EventStore(connection), 1300, request=last_request)
        await published(database_url, nats_server, client)
        whole = await all_of(database_url)
        await promote(restored)
        said = heal(restored, nats_server)
        assert said.returncode == 1, said.stdout + said.stderr
        assert "The store has lost 1,302 events: positions 2 to 1,303" in said.stdout
        assert "1,300 AccountCreated" in said.stdout
        assert "No signed checkpoint covers the last 1,302 events" in said.stdout
        assert await all_of(restored) == whole[:1]
        await kill_in_the_middle(restored, nats_server, last_request)
        assert 1 < len(await all_of(restored)) < len(whole)
        kept = note_over(whole, tmp_path / "kept.txt")
        assert "Signed checkpoints prove all of them" in (await healed(restored, nats_server, kept, key=KEY)).text
        settings = Settings(database_url=as_role(restored, "command"), nats_url=nats_server.url_of("command"))
        async with listening(create_app(settings)) as address, httpx.AsyncClient(base_url=address) as http:
            assert (await http.post("/resources/create", json={**GRANT, "cores": 9})).status_code == 503
            said = await asyncio.to_thread(heal, restored, nats_server, "--apply")
            assert said.returncode == 0, said.stdout + said.stderr
            assert "The term of this primary has begun: commands are accepted" in said.stdout
            assert (await all_of(restored))[: len(whole)] == whole
            for key, answer in zip(keys, answers, strict=True):
                again = await http.post("/resources/create", json={**GRANT, "cores": 5}, headers=key)
                assert (again.status_code, again.json()) == (200, answer.json())
            assert (await http.post("/resources/create", json={**GRANT, "cores": 9})).status_code == 201
        await assert_read_models_hold(restored, nats_server)
        async with connected(restored) as connection:
            assert await connection.fetchval("SELECT count(*) FROM remembered_answer") == 0
        assert (await healed(restored, nats_server)).settled


KEEP = "INSERT INTO remembered_answer (request_id, request_hash, status, body) VALUES ($1, '', 409, '')"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%heal_events%'
"""

END_HEALING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%heal_events%'
"""


async def kill_in_the_middle(url: str, server: Nats, request: object) -> None:
    """Kills `hourbook heal --apply` while it waits in its last batch: there is a kept answer, which is locked."""
    async with connected(url) as connection, connected(url) as other:
        await connection.execute(KEEP, request)
        async with connection.transaction():
            await connection.execute("SELECT FROM remembered_answer WHERE request_id = $1 FOR UPDATE", request)
            healing = start_heal(url, server, "--apply")
            async with asyncio.timeout(BOUND_S):
                while not await other.fetchval(WAITING):
                    assert healing.poll() is None
                    await asyncio.sleep(0.02)
            healing.send_signal(signal.SIGKILL)
            healing.wait(BOUND_S)
            await other.execute(END_HEALING)


async def assert_read_models_hold(url: str, server: Nats) -> None:
    """The projector applies what came back, and every cell is what the events say."""
    projecting = asyncio.create_task(Projector(as_role(url, "projector"), nats_of(server, "projector")).run())
    async with connected(url) as connection, asyncio.timeout(BOUND_S):
        while (
            await connection.fetchval("SELECT position FROM generation WHERE live")
            < await EventStore(connection).head()
        ):
            await asyncio.sleep(0.02)
    await end_tasks(projecting)
    report = await verify(as_role(url, "projector"), [], None)
    assert report.holds, report


async def test_a_stream_that_is_behind_or_empty_or_equal_is_nothing_to_heal(
    store: EventStore, database_url: str, nats_server: Nats, client: Client
) -> None:
    await append_accounts(store, 4)
    said = await healed(database_url, nats_server)
    assert said.settled
    assert "The stream has not got the last 4 events yet" in said.text
    await published(database_url, nats_server, client)
    said = await healed(database_url, nats_server, apply=True)
    assert said.settled
    assert "Both are the same. There is nothing to heal." in said.text
    await append_accounts(store, 2)
    said = await healed(database_url, nats_server)
    assert "The stream has not got the last 2 events yet" in said.text
    assert len(await all_of(database_url)) == 6


async def test_a_stream_of_checkpoints_without_one_is_no_error(
    store: EventStore, database_url: str, nats_server: Nats, client: Client
) -> None:
    await client.jetstream().add_stream(AUDIT)
    await append_accounts(store, 1)
    assert (await healed(database_url, nats_server)).settled


async def test_a_store_that_has_gone_on_otherwise_is_shown_and_not_touched(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client, tmp_path: Path
) -> None:
    async with connected(database_url) as connection:
        await append_accounts(EventStore(connection), 6)
    async with copied(postgres, database_url) as restored:
        async with connected(database_url) as connection:
            await append_accounts(EventStore(connection), 30, "of the old primary ")
        await published(database_url, nats_server, client)
        async with connected(restored) as connection:
            await append_accounts(EventStore(connection), 2, "of the new primary ")
        before = await all_of(restored)
        kept = note_over(await all_of(database_url), tmp_path / "kept.txt")
        tail = tmp_path / "tail.ndjson"
        said = await healed(restored, nats_server, kept, key=KEY, apply=True, export=tail)
        assert not said.settled
        for words in (
            "have gone on differently after position 6",
            "The store has 2 events of its own, the stream 30 events",
            "1 signed checkpoints support the stream, the largest is of 36 events",
            "No signed checkpoint beyond it supports the store",
            f"30 events that only the stream has are in {tail}",
        ):
            assert words in said.text
        assert before[6].command_id.hex in said.text.replace("-", "")
        assert await all_of(restored) == before
        lines = [msgspec.json.decode(line) for line in tail.read_bytes().splitlines()]
        assert [line["position"] for line in lines] == list(range(7, 37))
        assert lines[0]["event"]["name"] == "of the old primary 0"


async def test_a_message_that_was_changed_in_the_middle_is_named(
    store: EventStore, database_url: str, nats_server: Nats, client: Client
) -> None:
    await append_accounts(store, 40)
    await publish_changed(store, client, 17)
    said = await healed(database_url, nats_server, apply=True)
    assert not said.settled
    assert "1 message is not the store's events" in said.text
    assert "  17  its bytes are others" in said.text
    await client.jetstream().delete_stream(STREAM)
    await published(database_url, nats_server, client)
    assert (await healed(database_url, nats_server)).settled


async def publish_changed(store: EventStore, client: Client, position: int) -> None:
    """Fills the stream with the store's events, but for one, which has another name."""
    await ensure_stream(client.jetstream())
    events = await store.after(0, 1000)
    changed = msgspec.structs.replace(
        events[position - 1], data=events[position - 1].data.replace(b'"name"', b'"eman"')
    )
    await publish_batch(client, 0, [*events[: position - 1], changed, *events[position:]])


async def test_a_checkpoint_of_another_history_keeps_lost_events_from_coming_back(
    postgres: Postgres, database_url: str, nats_server: Nats, client: Client, tmp_path: Path
) -> None:
    async with connected(database_url) as connection:
        await append_accounts(EventStore(connection), 4)
    async with copied(postgres, database_url) as restored:
        async with connected(database_url) as connection:
            await append_accounts(EventStore(connection), 4)
        await published(database_url, nats_server, client)
        events = await all_of(database_url)
        other = note_over([*events[:6], events[7], events[6]], tmp_path / "other.txt")
        said = await healed(restored, nats_server, other, key=KEY, apply=True)
        assert not said.settled
        assert f"the checkpoint in {other} was signed over other events: the root at 8 is another" in said.text
        ahead = note_over([*events, *events], tmp_path / "ahead.txt")
        said = await healed(restored, nats_server, ahead, key=KEY, apply=True)
        assert "a checkpoint of 16 events was signed: 8 events more than the stream has" in said.text
        assert len(await all_of(restored)) == 4
        stranger = Signer("hourbook", Ed25519PrivateKey.generate()).verifier.text()
        said = await healed(restored, nats_server, other, key=stranger)
        assert f"the checkpoint in {other} is left out: it is not signed by" in said.text
        assert "They cannot be given back" not in said.text


@contextlib.asynccontextmanager
async def left_behind(postgres: Postgres, database_url: str, nats_server: Nats) -> AsyncIterator[str]:
    """A copy of the database with four events. Since it was made, the database has begun another term on the stream."""
    async with connected(database_url) as connection:
        await append_accounts(EventStore(connection), 4)
    async with copied(postgres, database_url) as copy:
        await promote(database_url)
        await published_term(database_url, nats_server)
        yield copy


async def test_a_primary_that_was_left_behind_takes_no_events_of_a_newer_one_unless_it_is_gone(
    postgres: Postgres, database_url: str, nats_server: Nats
) -> None:
    async with left_behind(postgres, database_url, nats_server) as old:
        async with connected(old) as connection:
            await connection.execute(OLDER)
        said = await healed(old, nats_server, apply=True)
        assert "it may be an old primary that was left behind" in said.text
        assert len(await all_of(old)) == 4
        assert len(await all_of(database_url)) == 5


async def test_a_second_standby_that_was_promoted_begins_a_term_of_its_own_after_the_one_that_is_given_back(
    postgres: Postgres, database_url: str, nats_server: Nats
) -> None:
    """Both have the same timeline. The first one may still live, and must be able to publish nothing more."""
    async with left_behind(postgres, database_url, nats_server) as second:
        await promote(second)
        said = await healed(second, nats_server, apply=True)
        assert "it may be an old primary that was left behind" in said.text
        assert len(await all_of(second)) == 4
        async with relaying(relay_of(second, nats_server)):
            words = ("--apply", "--other-primary-is-gone")
            given = await asyncio.to_thread(heal, second, nats_server, *words)
        assert given.returncode == 0, given.stdout + given.stderr
        assert [event.type for event in (await all_of(second))[4:]] == ["TermBegan", "TermBegan"]
        async with relaying(relay_of(database_url, nats_server)) as first, asyncio.timeout(BOUND_S):
            while "the event 6 of another primary" not in (first.agreement.why_closed or ""):
                await asyncio.sleep(0.02)


# `hourbook heal` compares timelines. The server of the tests has the timeline 1 and stays so: the test makes the
# function say 0 in the database of the old primary.
OLDER = "CREATE OR REPLACE FUNCTION current_timeline() RETURNS integer LANGUAGE sql AS $$ SELECT 0 $$"


async def published_term(url: str, nats_server: Nats) -> None:
    async with relaying(relay_of(url, nats_server)), connected(url) as connection, asyncio.timeout(BOUND_S):
        while not (await read_term(connection)).begun:
            await asyncio.sleep(0.02)


async def test_a_term_begins_without_the_stream_only_if_a_person_says_so(store: EventStore, database_url: str) -> None:
    await append_accounts(store, 2)
    await promote(database_url)
    nowhere = Nowhere()
    said = await asyncio.to_thread(heal, database_url, nowhere, "--without-stream")
    assert said.returncode == 1
    assert "say --apply too" in said.stderr
    assert not (await read_term(store.connection)).begun
    said = await asyncio.to_thread(heal, database_url, nowhere, "--without-stream", "--apply")
    assert (said.returncode, said.stderr) == (0, "")
    assert "The term has begun at position 3" in said.stdout
    assert (await read_term(store.connection)).begun
    await append_accounts(store, 2)


class Nowhere:
    """The address of a NATS server that is not there."""

    url = "nats://127.0.0.1:1"
