"""Searches of the history answer the same as a walk over all events, with and without the index."""

import csv
import io
import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from services.projector.indexer import BATCH_MAX, index_batch
from services.query.app import create_app
from services.query.database import Database
from services.query.questions.events import EventFilter
from services.query.routes.events import BATCH, CSV, FORMS, NDJSON, batches
from services.query.settings import Settings
from services.query.views.search import NOT_INDEXED_MAX, read_found
from shared.event_store import EventStore, Pending
from shared.events import BookingAmended, BookingCancelled, BookingCreated, Event, GrantCreated, encode_event
from tests.support.backends import as_role
from tests.support.histories import append_history, history
from tests.support.listening import listening

Found = list[tuple[int, Event]]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(create_app(Settings(database_url=as_role(database_url, "query")))) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield client


def told(seed: int, length: int) -> list[Event]:
    """A random history in which several actors act for several accounts, some with a reason."""
    chance = random.Random(seed)
    events, accounts = [], dict[Any, str]()
    for event in history(seed, length):
        if isinstance(event, BookingCreated):
            accounts[event.booking] = chance.choice(["ada", "grace", "émilie"])
        if isinstance(event, BookingCreated | BookingAmended):
            event = msgspec.structs.replace(event, account=accounts[event.booking])
        events.append(msgspec.structs.replace(event, reason=chance.choice([None, 'so, they "said"\n'])))
    return events


def about(events: list[Event]) -> list[dict[str, Any]]:
    """The things that each event is about, found by a walk over all events."""
    accounts: dict[Any, str] = {}
    rows = []
    for position, event in enumerate(events, 1):
        booking = getattr(event, "booking", None)
        if isinstance(event, BookingCreated):
            accounts[booking] = event.account
        cluster = getattr(event, "cluster", None)
        rows.append(
            {
                "position": position,
                "project": event.project,
                "type": type(event).__name__,
                "actor": event.actor,
                "account": getattr(event, "account", None) or accounts.get(booking),
                "pool": getattr(event, "pool", None) or cluster or event.project,
                "entity": str(booking or getattr(event, "grant", None) or cluster or event.project),
                "at": event.at,
            }
        )
    return rows


async def all_of(client: httpx.AsyncClient, limit: int = 10, **query: Any) -> list[int]:
    """The positions on all pages of an answer."""
    positions: list[int] = []
    after: int | None = int(query.pop("after", 0))
    while after is not None:
        answer = await client.get("/events", params={"limit": limit, "after": after} | query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["events"]) <= limit
        positions += [event["position"] for event in page["events"]]
        after = page["next"]
    return positions


@pytest.mark.parametrize("indexed", [0, 170, 400])
async def test_what_is_sought_is_found_whatever_is_indexed(
    store: EventStore, client: httpx.AsyncClient, indexed: int
) -> None:
    events = told(11, 400)
    await append_history(store, events)
    if indexed:
        assert await index_batch(store.connection, indexed) == indexed
    rows, chance = about(events), random.Random(indexed)
    keys = ("project", "type", "actor", "account", "pool", "entity")
    for _ in range(40):
        row = chance.choice(rows)
        query = {key: row[key] for key in chance.sample(keys, chance.choice([1, 1, 2, 3])) if row[key] is not None}
        if chance.random() < 0.3:
            query |= {"since": iso(row["at"])}
        if chance.random() < 0.3:
            query |= {"until": iso(row["at"] + timedelta(hours=1))}
        if chance.random() < 0.3:
            query |= {"after": row["position"] // 2, "before": row["position"] + 20}
        wanted = [one["position"] for one in rows if matches(one, query)]
        assert await all_of(client, **query) == wanted, query


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def matches(row: dict[str, Any], query: dict[str, Any]) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {
        "since": lambda given: iso(row["at"]) >= given,
        "until": lambda given: iso(row["at"]) < given,
        "after": lambda given: row["position"] > given,
        "before": lambda given: row["position"] < given,
    }
    return all(tests[key](given) if key in tests else row[key] == given for key, given in query.items())


async def test_several_types_and_an_account_of_a_cancelled_booking(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    events = told(3, 300)
    await append_history(store, events)
    await index_batch(store.connection, 150)
    rows = about(events)
    both = [row["position"] for row in rows if row["type"] in ("GrantCreated", "BookingCancelled")]
    assert await all_of(client, type="GrantCreated,BookingCancelled") == both
    cancelled = next(row for row in rows if row["type"] == "BookingCancelled" and row["position"] > 150)
    found = await all_of(client, account=cancelled["account"], type="BookingCancelled")
    assert cancelled["position"] in found


@pytest.mark.parametrize("media_type", [NDJSON, CSV])
async def test_the_whole_history_as_lines(store: EventStore, client: httpx.AsyncClient, media_type: str) -> None:
    events = told(5, 2600)
    await append_history(store, events)
    accept = {"Accept": media_type}
    answer = await client.get("/events", headers=accept)
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["Hourbook-Position"] == "2600"
    if media_type == NDJSON:
        lines = answer.content.splitlines()
        assert b'"event":' + encode_event(events[1700]) + b"}" in lines[1700]
        assert [json.loads(line)["position"] for line in lines] == list(range(1, 2601))
    else:
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [int(row["position"]) for row in rows] == list(range(1, 2601))
        for row, event in zip(rows, events, strict=True):
            assert (row["event"].encode(), row["actor"], row["reason"]) == (
                encode_event(event),
                event.actor,
                event.reason or "",
            )
    some = await client.get("/events?project=project-1&type=GrantCreated", headers=accept)
    wanted = [event for event in events if isinstance(event, GrantCreated) and event.project == "project-1"]
    assert some.text.count("GrantCreated") >= len(wanted) > 3
    page = await client.get("/events?limit=2", headers=accept)
    assert page.headers["Hourbook-Next"] == "2"
    assert page.text.count("ProjectCreated") == (2 if media_type == NDJSON else 4)


class Counted(Database):
    """Counts the statements that read."""

    reads = 0

    async def fetch(self, query: str, *args: Any) -> Any:
        self.reads += 1
        return await super().fetch(query, *args)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.media_type)
async def test_a_long_answer_begins_at_once_and_holds_one_batch(
    store: EventStore, database_url: str, form: Any
) -> None:
    batch_count, version = 40, 0
    data = json.dumps({"type": "BookingCreated", "actor": "ada", "reason": "x" * 500}).encode()
    for _ in range(batch_count):
        pending = [Pending("p", version + n, uuid4(), 0, b"", "BookingCreated", data) for n in range(1, BATCH + 1)]
        assert (await store.append({"p": version}, pending)).outcome == "stored"
        version += BATCH
    database = Counted(database_url, 2)
    async with database.opened():
        sought = EventFilter(before=version + 1)
        pieces = batches(database, sought, form, await read_found(database, sought, BATCH))
        first = await anext(pieces)
        assert database.reads == 1
        assert first.count(b"BookingCreated") >= BATCH
        tracemalloc.start()
        try:
            peaks, count = [], 1
            async for piece in pieces:
                count += 1
                assert len(piece) < 2 * len(first)
                if count % 10 == 0:
                    peaks.append(tracemalloc.get_traced_memory()[1])
                    tracemalloc.reset_peak()
        finally:
            tracemalloc.stop()
    assert (count, database.reads) == (batch_count, batch_count)
    assert max(peaks) < 1.2 * peaks[0]
    assert max(peaks) < 8 * len(first)


async def test_the_history_of_a_booking_a_grant_and_a_cluster(store: EventStore, client: httpx.AsyncClient) -> None:
    events = told(7, 500)
    await append_history(store, events)
    await index_batch(store.connection, 250)
    rows = about(events)
    cancelled = next(event for event in events if isinstance(event, BookingCancelled))
    grant = next(event.grant for event in events if isinstance(event, GrantCreated))
    cluster = next(row["entity"] for row in rows if row["type"] == "ClusterResized")
    for path, entity in (("bookings", cancelled.booking), ("resources", grant), ("clusters", cluster)):
        answer = await client.get(f"/{path}/{entity}/history")
        body = answer.json()
        wanted = [(row, events[row["position"] - 1]) for row in rows if row["entity"] == str(entity)]
        assert [deed["position"] for deed in body["history"]] == [row["position"] for row, _ in wanted]
        for deed, (row, event) in zip(body["history"], wanted, strict=True):
            assert (deed["actor"], deed["type"], deed["reason"]) == (event.actor, row["type"], event.reason)
            assert deed["at"] == iso(event.at)
            assert deed["event"] == json.loads(encode_event(event))
        assert (body["id"], body["next"], body["position"]) == (str(entity), None, 500)
        page = (await client.get(f"/{path}/{entity}/history?limit=1")).json()
        assert (len(page["history"]), page["next"]) == (1, wanted[0][0]["position"] if len(wanted) > 1 else None)
    nobody = await client.get(f"/bookings/{uuid4()}/history")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_id")
    assert (await client.get("/clusters/project-0.none/history")).status_code == 404
    assert (await client.get("/clusters/project-0/history")).status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=Nothing", "type"),
        ("since=2086-01-01", "since"),
        ("until=soon", "until"),
        ("actor=", "actor"),
        ("pool=%00", "pool"),
        ("entity=%0a", "entity"),
        ("before=-1", "before"),
        ("limit=0", "limit"),
        ("account=", "account"),
        ("account=a%00b", "account"),
        ("actor=" + 801 * "x", "actor"),
    ],
)
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    for accept in (NDJSON, "application/json"):
        answer = await client.get(f"/events?{query}", headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), answer.text
        assert answer.json()["errors"][0]["field"] == field


async def test_an_unknown_project_is_404_and_a_known_one_without_finds_is_empty(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    await append_history(store, told(1, 50))
    assert (await client.get("/events?project=none&actor=ada")).status_code == 404
    found = (await client.get("/events?project=project-0&actor=nobody")).json()
    assert found == {"position": 50, "events": [], "next": None}


@pytest.mark.odd_store
async def test_events_that_are_no_json_are_indexed_too_and_stop_nothing(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    datas = [b"{1}", b'{"at":"never","actor":"ada"}', b'{"actor":"ada"}']
    pending = [Pending("gaia", n, uuid4(), 0, b"", "Odd", data) for n, data in enumerate(datas, 1)]
    await store.append({"gaia": 0}, pending)
    assert await all_of(client, actor="ada") == [2, 3]
    assert await index_batch(store.connection) == 3
    assert await index_batch(store.connection) == 0
    assert await all_of(client, actor="ada") == [2, 3]
    assert (await client.get("/events?pool=gaia&before=2")).text.count('"position":1,"version":1,"event":{1}') == 1


@pytest.mark.odd_store
async def test_a_search_far_behind_says_so(store: EventStore, client: httpx.AsyncClient) -> None:
    data, version = b'{"actor":"ada"}', 0
    while version <= NOT_INDEXED_MAX:
        pending = [Pending("gaia", version + n, uuid4(), 0, b"", "Odd", data) for n in range(1, 5001)]
        await store.append({"gaia": version}, pending)
        version += 5000
    answer = await client.get("/events?actor=ada")
    assert (answer.status_code, answer.json()["code"]) == (503, "index_behind")
    assert (await client.get("/events?project=gaia")).status_code == 200
    assert await index_batch(store.connection) == BATCH_MAX
    assert (await client.get("/events?actor=ada")).status_code == 200


async def test_the_history_as_of_a_position_ends_there(store: EventStore, client: httpx.AsyncClient) -> None:
    events = told(11, 60)
    await append_history(store, events)
    page = (await client.get("/events", params={"as_of": 40, "after": 30, "limit": 100})).json()
    assert (page["position"], [event["position"] for event in page["events"]], page["next"]) == (
        40,
        [*range(31, 41)],
        None,
    )
    whole = await client.get("/events", params={"as_of": 40}, headers={"Accept": "application/x-ndjson"})
    assert (whole.headers["Hourbook-Position"], len(whole.text.splitlines())) == ("40", 40)
    nothing = (await client.get("/events", params={"as_of": "2020-01-01T00:00:00Z"})).json()
    assert (nothing["position"], nothing["events"]) == (0, [])
    first = next(event for event in events if isinstance(event, BookingCreated))
    position = events.index(first) + 1
    then = await client.get(f"/bookings/{first.booking}/history", params={"as_of": position})
    assert [deed["position"] for deed in then.json()["history"]] == [position]
    before = await client.get(f"/bookings/{first.booking}/history", params={"as_of": position - 1})
    assert before.status_code == 404
    beyond = await client.get("/events", params={"as_of": 61})
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (400, "as_of")
