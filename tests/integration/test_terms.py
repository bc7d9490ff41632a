"""A term begins when another primary of PostgreSQL has the store: nothing is appended before, and a relay that was left
behind can publish nothing after.

The tests promote no server. They write another timeline into the store, as if it had been written on an older primary.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from nats.aio.client import Client

from services.command.app import create_app
from services.command.relay import Relay
from services.command.settings import Settings
from shared.event_store import EventStore, Pending
from shared.event_store.errors import Unsettled
from shared.event_store.terms import begin_term, claim_term, claimed_event, read_term, term_event
from shared.events import TermBegan, decode_event
from shared.jetstream import STREAM, PublishRefused, ensure_stream, publish_batch, stored_of
from tests.integration.test_relay import relaying
from tests.support.backends import Nats, Postgres, as_role, connected, drop_database, make_database, nats_of
from tests.support.listening import listening
from tests.support.restored import PROMOTE, VERSION

BOUND_S = 30
GRANT = {"project": "gaia", "startdate": "2086-01-01", "enddate": "2086-01-02", "cores": 5}


async def append(store: EventStore, count: int, text: bytes = b"") -> None:
    version = await store.connection.fetchval(VERSION)
    events = [
        Pending("gaia", version + n, (command := uuid4()), 0, b"hash", "Tested", data_of(command, text), uuid4())
        for n in range(1, count + 1)
    ]
    await store.append({"gaia": version}, events)


def data_of(command: UUID, text: bytes) -> bytes:
    return b'{"type":"Tested","command":"%b","text":"%b"}' % (str(command).encode(), text)


async def promote(store: EventStore) -> None:
    await store.connection.execute(PROMOTE)


def relay_of(database_url: str, server: Nats) -> Relay:
    return Relay(as_role(database_url, "command"), nats_of(server, "command"), poll_s=0.05, publish_timeout_s=2)


async def settled(relay: Relay, store: EventStore) -> None:
    """Waits until the relay has found that store and stream agree in the term of the store."""
    async with asyncio.timeout(BOUND_S):
        while not (term := await read_term(store.connection)).begun or relay.agreement.term != term.term:
            await asyncio.sleep(0.01)


async def closed(relay: Relay, words: str) -> None:
    async with asyncio.timeout(BOUND_S):
        while words not in (relay.agreement.why_closed or ""):
            await asyncio.sleep(0.01)


async def assert_stream_is_the_store(store: EventStore, client: Client) -> None:
    """Each message has what the event in the store has: its bytes, and in its headers what the bytes do not say."""
    head, context = await store.head(), client.jetstream()
    async with asyncio.timeout(BOUND_S):
        while await ensure_stream(context) < head:
            await asyncio.sleep(0.01)
    assert [stored_of(await context.get_msg(STREAM, n)) for n in range(1, head + 1)] == await store.after(0, head)


async def publish_all(store: EventStore, client: Client, database_url: str, server: Nats) -> None:
    async with relaying(relay_of(database_url, server)):
        await assert_stream_is_the_store(store, client)


async def test_a_message_carries_all_that_the_store_has_of_its_event(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 30)
    await publish_all(store, client, database_url, nats_server)


async def test_nothing_is_appended_before_the_term_of_a_promoted_primary_begins(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 3)
    await promote(store)
    with pytest.raises(Unsettled, match="its term has not begun"):
        await append(store, 1)
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await settled(relay, store)
        await append(store, 1)
        relay.ring()
        await assert_stream_is_the_store(store, client)
    began = (await store.after(3, 1))[0]
    event = decode_event(began.data)
    assert isinstance(event, TermBegan)
    term = await read_term(store.connection)
    assert (event.system, event.timeline, event.project) == (str(term.system), term.timeline, "_ledger")
    assert (began.stream, began.version, term.term) == ("_ledger", 1, event.command)
    assert await store.head() == 5


async def test_a_store_that_has_lost_events_begins_no_term(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 5)
    await publish_all(store, client, database_url, nats_server)
    await lose(store, 3)
    await promote(store)
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await closed(relay, "ends at 5, the store at 3: the store has lost 2 events")
        assert (await store.head(), await ensure_stream(client.jetstream())) == (3, 5)


async def lose(store: EventStore, head: int) -> None:
    """Makes the store one that ends at `head`, as a standby that was behind."""
    async with store.connection.transaction():
        await store.connection.execute("SET LOCAL session_replication_role = replica")
        await store.connection.execute("DELETE FROM event WHERE position > $1", head)
        await store.connection.execute("UPDATE event_head SET position = $1", head)
        await store.connection.execute(
            "UPDATE stream_head h SET version = (SELECT max(version) FROM event e WHERE e.stream = h.stream)"
        )


async def test_a_relay_that_died_between_stream_and_store_is_followed_by_one_that_goes_on(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    await append(store, 3)
    await publish_all(store, client, database_url, nats_server)
    await promote(store)
    await publish_term(store, client)
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await settled(relay, store)
    assert await store.head() == 4
    await assert_stream_is_the_store(store, client)


async def publish_term(store: EventStore, client: Client, *, claimed: bool = True) -> None:
    """Does the first half of what the relay does to begin a term."""
    term, command, head = await read_term(store.connection), uuid4(), await store.head()
    if claimed:
        command = await claim_term(store.connection, command)
    at = await store.connection.fetchval("SELECT now()")
    event = TermBegan(
        at=at, actor="hourbook", command=command, project="_ledger", system=str(term.system), timeline=term.timeline
    )
    await publish_batch(client, head, [term_event(term, event, head)])


async def test_the_claim_of_a_primary_that_died_is_no_term_of_the_next_one(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """The claim came to the next primary by replication. That takes up the event, and begins a term of its own."""
    await append(store, 3)
    await publish_all(store, client, database_url, nats_server)
    await promote(store)
    await publish_term(store, client)
    await store.connection.execute("UPDATE store_term SET claim_timeline = claim_timeline + 9")
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await settled(relay, store)
    assert [event.type for event in await store.after(3, 9)] == ["TermBegan", "TermBegan"]
    await assert_stream_is_the_store(store, client)


async def test_the_term_of_another_primary_is_not_taken_for_the_own(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """Two standbys were promoted: both may have the same timeline, but only one has the claim in its store."""
    await append(store, 3)
    await publish_all(store, client, database_url, nats_server)
    await promote(store)
    await publish_term(store, client, claimed=False)
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await closed(relay, "the event 4 of another primary")
    assert await store.head() == 3


async def test_a_term_that_arrives_late_is_that_of_the_claim(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """A relay sent its TermBegan and died; it arrives after the next relay has claimed the term."""
    await append(store, 3)
    await publish_all(store, client, database_url, nats_server)
    await promote(store)
    late = await claimed_event(store.connection, await read_term(store.connection), 3)
    again = await claimed_event(store.connection, await read_term(store.connection), 3)
    assert late.command_id == again.command_id
    await publish_batch(client, 3, [late])
    with pytest.raises(PublishRefused):
        await publish_batch(client, 3, [again])
    async with relaying(relay_of(database_url, nats_server)) as relay:
        await settled(relay, store)
    await assert_stream_is_the_store(store, client)


async def test_a_claim_is_begun_at_its_place_only(store: EventStore) -> None:
    await append(store, 3)
    term, command = await read_term(store.connection), uuid4()
    at = await store.connection.fetchval("SELECT now()")
    event = TermBegan(at=at, actor="hourbook", command=command, project="_ledger", system="1", timeline=1)
    assert not await begin_term(store.connection, term_event(term, event, 3)), "it is not claimed"
    await claim_term(store.connection, command)
    assert not await begin_term(store.connection, term_event(term, event, 2)), "there is an event at this place"
    assert await begin_term(store.connection, term_event(term, event, 3))
    assert not await begin_term(store.connection, term_event(term, event, 4)), "a claim is begun once"
    assert await store.head() == 4


@pytest.fixture
async def promoted(postgres: Postgres, store: EventStore) -> AsyncIterator[EventStore]:
    """A second store with the same three events, which was promoted: the store of `store` is the one left behind."""
    await append(store, 3)
    url = await make_database(postgres)
    async with connected(url) as connection:
        twin = EventStore(connection)
        for event in await store.after(0, 3):
            pending = Pending(
                event.stream,
                event.version,
                event.command_id,
                event.ordinal,
                event.request_hash,
                event.type,
                event.data,
                event.request_id,
            )
            await twin.append({"gaia": event.version - 1}, [pending])
        await promote(twin)
        yield twin
    await drop_database(postgres, url)


async def test_a_relay_that_was_left_behind_publishes_nothing_at_the_worst_moment(
    store: EventStore, promoted: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    """It has looked at the stream, read its next event, and stood still. Then another primary's term begins; then it
    goes on."""
    new_url = await promoted.connection.fetchval("SELECT current_database()")
    await publish_all(store, client, database_url, nats_server)
    await append(store, 1, b"of the old primary")
    read_by_the_old = await store.after(3, 1)
    url = database_url.rpartition("/")[0] + "/" + new_url
    async with relaying(relay_of(url, nats_server)) as new:
        await settled(new, promoted)
        with pytest.raises(PublishRefused):
            await publish_batch(client, 3, read_by_the_old)
        await append(promoted, 2, b"of the new primary")
        new.ring()
        await assert_stream_is_the_store(promoted, client)
        async with relaying(relay_of(database_url, nats_server)) as old:
            await closed(old, "store")
            await assert_stream_is_the_store(promoted, client)


async def test_a_message_that_slips_in_before_the_term_keeps_the_term_from_beginning(
    store: EventStore, promoted: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    async with relaying(relay_of(database_url, nats_server)):
        await assert_stream_is_the_store(store, client)
        await append(store, 1, b"of the old primary")
        await assert_stream_is_the_store(store, client)
    url = database_url.rpartition("/")[0] + "/" + await promoted.connection.fetchval("SELECT current_database()")
    async with relaying(relay_of(url, nats_server)) as new:
        await closed(new, "the store has lost 1 event")
    assert await promoted.head() == 3


async def test_the_service_is_closed_while_the_history_is_not_settled_and_opens_when_it_is(
    store: EventStore, client: Client, database_url: str, nats_server: Nats
) -> None:
    app = create_app(Settings(database_url=as_role(database_url, "command"), nats_url=nats_server.url_of("command")))
    async with listening(app) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        assert (await http.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
        assert (await http.post("/resources/create", json=GRANT)).status_code == 201
        assert (await http.get("/health")).json()["accepts"] is True
        await assert_stream_is_the_store(store, client)
        lost = await store.after(1, 1)
        await lose(store, 1)
        async with asyncio.timeout(BOUND_S):
            while (health := await http.get("/health")).status_code != 503:
                await asyncio.sleep(0.02)
        assert health.json()["accepts"] is False
        refused = await http.post("/resources/create", json=GRANT)
        assert (refused.status_code, refused.json()["code"]) == (503, "history_unsettled")
        assert "the store has lost 1 event" in refused.json()["detail"]
        assert await store.head() == 1
        await give_back(store, lost[0].data)
        async with asyncio.timeout(BOUND_S):
            while (await http.get("/health")).status_code != 200:
                await asyncio.sleep(0.02)
        assert (await http.post("/resources/create", json=GRANT)).json()["position"] == 3


async def give_back(store: EventStore, data: bytes) -> None:
    command = decode_event(data).command
    await store.append({"gaia": 1}, [Pending("gaia", 2, command, 0, b"", "GrantCreated", data)])


async def test_commands_go_on_on_an_unchanged_timeline_while_nats_cannot_be_asked(
    store: EventStore, database_url: str
) -> None:
    app = create_app(Settings(database_url=as_role(database_url, "command"), nats_url="nats://127.0.0.1:1"))
    async with listening(app) as address, httpx.AsyncClient(base_url=address, timeout=BOUND_S) as http:
        assert (await http.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
        assert (await http.get("/health")).status_code == 200
        await promote(store)
        refused = await http.post("/resources/create", json=GRANT)
        assert (refused.status_code, refused.json()["code"]) == (503, "history_unsettled")
        assert "its term has not begun" in refused.json()["detail"]
        health = await http.get("/health")
        assert (health.status_code, health.json()["accepts"]) == (503, False)
