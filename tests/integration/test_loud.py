"""Unknown ids, and positions that no event has reached, are an error and not an empty answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.projector.indexer import index_batch
from services.query.app import create_app
from services.query.settings import Settings
from shared.event_store import EventStore
from tests.support.backends import as_role
from tests.support.histories import append_history
from tests.support.listening import listening
from tests.support.project import Project

REFUSALS = "/refusals"  # it has the actors of commands to unknown projects
NEEDED = {
    "range": "2086-01-01,2086-01-02",
    "duration": "1h",
    "cores": "1",
    "from": "0",
    "to": "0",
    "grain": "day",
    "account": "ada",
}


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    """An event store with three events."""
    connection = await asyncpg.connect(database_url)
    store = EventStore(connection)
    project = Project()
    project.grant(0, 10, 10)
    project.book(0, 5, 1)
    await append_history(store, project.history)
    yield store
    await connection.close()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(create_app(Settings(database_url=as_role(database_url, "query")))) as url,
        httpx.AsyncClient(base_url=url, timeout=10) as client,
    ):
        yield client


async def ask(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, code and field of an answer. The body of a stream is not read."""
    async with client.stream("GET", path, headers=headers) as answer:
        if answer.status_code == 200:
            return 200, "", ""
        await answer.aread()
        problem = answer.json()
        return answer.status_code, problem["code"], problem["errors"][0]["field"] if "errors" in problem else ""


@pytest.mark.usefixtures("store")
async def test_every_read_that_takes_a_project_says_when_there_is_none(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    asked = []
    for path, item in document["paths"].items():
        takes = [one["name"] for one in item.get("get", {}).get("parameters", []) if one["in"] == "query"]
        if "project" not in takes or path == REFUSALS:
            continue
        needed = "".join(f"&{name}={NEEDED[name]}" for name in takes if name in NEEDED and name != "account")
        if path == "/available/slots":
            needed = "&duration=1h&cores=1"
        if path.startswith("/entitlements"):
            needed = "&account=ada"
        found = await ask(client, f"{path.format(**NEEDED)}?project=none{needed}")
        assert found == (404, "unknown_id", "project"), path
        asked.append(path)
    assert {"/events", "/events/stream", "/notices", "/notices/stream", "/webhooks", "/pools"} <= set(asked)


@pytest.mark.parametrize("indexed", [False, True])
async def test_every_read_that_takes_a_pool_or_an_entity_says_when_there_is_none(
    store: EventStore, client: httpx.AsyncClient, indexed: bool
) -> None:
    if indexed:
        await index_batch(store.connection)
    for query, field in (("pool=gaia.none", "pool"), (f"entity={uuid4()}", "entity"), ("pool=gaia.x&after=2", "pool")):
        assert await ask(client, f"/events?{query}") == (404, "unknown_id", field)
        assert await ask(client, f"/events?{query}", Accept="text/csv") == (404, "unknown_id", field)
    for path in ("/events?pool=gaia&after=3", "/events?entity=gaia&before=1", "/events?pool=gaia&actor=nobody"):
        assert (await client.get(path)).json()["events"] == []
    assert await ask(client, "/events?pool=gaia&as_of=0") == (404, "unknown_id", "pool")
    assert await ask(client, "/events?project=gaia&as_of=0") == (404, "unknown_id", "project")
    assert (await ask(client, f"/bookings/{uuid4()}/history?after=2"))[:2] == (404, "unknown_id")
    assert await ask(client, "/pools?project=none&after=a") == (404, "unknown_id", "project")


async def test_a_place_that_nothing_has_reached_is_refused_and_the_last_one_is_not(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    """Such a position comes from another ledger, or from this one before a restore. The client would wait for ever."""
    booking = (await client.get("/events/3")).json()["event"]["booking"]
    await store.connection.execute("UPDATE generation SET position = 1")  # the store's last position counts
    events = [
        "/events?",
        "/events?project=gaia&",
        "/events?actor=ada&",
        f"/bookings/{booking}/history?",
        "/events/stream?",
    ]
    for path in events:
        for accept in ("application/json", "application/x-ndjson"):
            assert await ask(client, f"{path}after=3", Accept=accept) == (200, "", "")
            assert await ask(client, f"{path}after=4", Accept=accept) == (400, "invalid_field", "after"), path
    assert "beyond the last event, 3" in (await client.get("/events?after=4")).text
    assert await ask(client, "/events?after=2&as_of=1") == (400, "invalid_field", "after")
    for path in ("/notices?", "/notices/stream?", "/refusals?"):
        assert await ask(client, f"{path}after=0") == (200, "", "")
        assert await ask(client, f"{path}after=1") == (400, "invalid_field", "after"), path
    for path in ("/events/stream", "/notices/stream"):
        assert await ask(client, path, **{"Last-Event-ID": "4"}) == (400, "invalid_field", "Last-Event-ID")


async def test_a_refusal_that_is_deleted_is_still_a_place(store: EventStore, client: httpx.AsyncClient) -> None:
    await store.connection.execute(
        """INSERT INTO refusal (at, project, actor, command, asked, code, detail, facts)
           SELECT now(), 'none', 'ada', 'CreateBooking', '{}', 'refused', 'no', '{}' FROM generate_series(1, 5)"""
    )
    assert len((await client.get("/refusals?project=none")).json()["refusals"]) == 5
    await store.connection.execute("DELETE FROM refusal")
    assert await ask(client, "/refusals?after=5") == (200, "", "")
    assert await ask(client, "/refusals?after=6") == (400, "invalid_field", "after")
    assert await ask(client, "/refusals?after=6&order=newest") == (200, "", "")  # an upper limit of the search


async def test_a_webhook_of_a_project_that_is_not_there_is_refused(database_url: str, store: EventStore) -> None:
    settings = CommandSettings(database_url=as_role(database_url, "command"), webhook_hosts="127.0.0.1:9")
    async with AsyncTestClient(create_command(settings)) as command:

        async def register(**wanted: Any) -> tuple[int, Any]:
            answer = await command.post("/webhooks", json={"url": "http://127.0.0.1:9/x"} | wanted)
            return answer.status_code, answer.json()

        status, problem = await register(project="none")
        assert (status, problem["code"], problem["errors"][0]["field"]) == (404, "unknown_id", "project")
        status, problem = await register(after=4)
        assert (status, problem["errors"][0]["field"]) == (400, "after")
        for wanted in ({"project": "gaia"}, {"after": 3}):
            assert (await register(**wanted))[0] == 201
    assert await store.connection.fetchval("SELECT count(*) FROM webhook") == 2
