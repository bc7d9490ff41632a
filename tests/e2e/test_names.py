"""One rule for all names: what is taken is found wherever a name can be asked for, through the one address."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from unicodedata import normalize
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest
from icalendar import Calendar

from services.cli.up.gateway import Gateway
from services.cli.up.upstreams import on_loopback
from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import AccountCreated, BookingCreated, Event, GrantCreated, Limits, ProjectCreated, encode_event
from shared.http.owners import COMMAND, QUERY
from tests.support.names import NAMES
from tests.support.system import System

_numbers = count(1)
DAY = {"startdate": "2086-01-01", "enddate": "2086-01-01"}
RANGE = "2086-01-01,2086-01-01"
WAIT_S = 30


@pytest.fixture(scope="module")
def ports(system: System) -> Iterator[dict[str, int]]:
    with system.projector(), system.command() as command, system.query() as query:
        yield {COMMAND: command.port, QUERY: query.port}


@pytest.fixture
async def http(ports: dict[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    gateway, listening = Gateway(on_loopback(ports.get)), socket.create_server(("127.0.0.1", 0))
    await gateway.start(listening)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=WAIT_S) as client:
        yield client
    await gateway.stop()


class Ledger:
    """A project of its own, and how far it is."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http, self.project, self.position = http, f"names-{next(_numbers)}", 0

    async def post(self, path: str, actor: str = "tester", **body: Any) -> httpx.Response:
        headers = [(b"X-Hourbook-Actor", actor.encode())]
        answer = await self.http.post(path, json={"project": self.project, **body}, headers=headers)
        self.position = max(self.position, answer.json().get("position", 0))
        return answer

    async def made(self, path: str, actor: str = "tester", **body: Any) -> dict[str, Any]:
        answer = await self.post(path, actor, **body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def begin(self) -> Ledger:
        assert (await self.http.post("/projects/create", json={"id": self.project, "name": "N"})).status_code == 201
        await self.made("/resources/create", cores=10, **DAY)
        return self

    async def get(self, path: str, accept: str = "*/*", **query: Any) -> httpx.Response:
        answer = await self.http.get(path, params=query, headers={"Accept": accept})
        assert answer.status_code == 200, (path, query, answer.text)
        return answer

    async def events(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.get("/events", project=self.project, **query)
        return [found["event"] for found in answer.json()["events"]]

    async def booked_in_feed(self, name: str) -> list[str]:
        path = f"/accounts/{quote(name, safe='')}.ics"
        answer = await self.get(path, range=RANGE, min_position=self.position)
        calendar = Calendar.from_ical(answer.content)
        return [str(event["UID"]).partition("@")[0] for event in calendar.walk("VEVENT")]

    async def used(self, name: str) -> int:
        path = f"/accounts/{quote(name, safe='')}/usage"
        query = {"project": self.project, "range": RANGE, "grain": "day"}
        now = (await self.get(path, min_position=self.position, **query)).json()
        then = (await self.get(path, as_of=self.position, **query)).json()
        assert now["blocks"] == then["blocks"]
        return int(now["blocks"][0]["used"]["cores"])


@pytest.fixture
async def ledger(http: httpx.AsyncClient) -> Ledger:
    return await Ledger(http).begin()


# Where an account or an actor can be asked for; those below ask in each of them.
PLACES = {
    ("GET", "/accounts/{feed}", "feed"),
    ("GET", "/accounts/{account}/usage", "account"),
    ("GET", "/accounts/members", "account"),
    ("GET", "/events", "account"),
    ("GET", "/events", "actor"),
    ("GET", "/refusals", "actor"),
    ("GET", "/bookings/load", "account"),
    ("GET", "/bookings/select", "account"),
    ("GET", "/entitlements", "account"),
    ("GET", "/entitlements/stream", "account"),
    ("POST", "/accounts/{account}/limits", "account"),
    ("POST", "/accounts/{account}/close", "account"),
    ("POST", "/accounts/{account}/members/add", "account"),
    ("POST", "/accounts/{account}/members/remove", "account"),
    ("POST", "*", "X-Hourbook-Actor"),
    ("DELETE", "*", "X-Hourbook-Actor"),
}


async def test_no_place_is_left_out(http: httpx.AsyncClient) -> None:
    found = set()
    for document in ("/schema/openapi.json", "/schema/command/openapi.json"):
        for path, operations in (await http.get(document)).json()["paths"].items():
            for method, operation in operations.items():
                for parameter in operation.get("parameters", []):
                    name = parameter["name"]
                    if name == "X-Hourbook-Actor":
                        found.add((method.upper(), "*", name))
                    elif name in ("account", "actor") or (path.startswith("/accounts/{") and parameter["in"] == "path"):
                        found.add((method.upper(), path, name))
    assert found == PLACES


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_each_name_that_may_book_is_found_everywhere(ledger: Ledger, name: str) -> None:
    booking = (await ledger.made("/bookings/create", name, account=name, cores=2, **DAY))["id"]
    assert (await ledger.made("/accounts/create", account=name, limits={}))["id"] == name
    place = quote(name, safe="")
    assert (await ledger.made(f"/accounts/{place}/limits", limits={"capacity": {"cores": 3}}))["id"] == name
    for change, members in (("add", ["egi:ada"]), ("remove", [])):
        made = await ledger.made(f"/accounts/{place}/members/{change}", member="egi:ada")
        assert made["id"] == name
        asked = {"project": ledger.project, "account": name, "min_position": made["position"]}
        assert [one["member"] for one in (await ledger.get("/accounts/members", **asked)).json()["members"]] == members
    refused = await ledger.post("/bookings/create", name, account=name, cores=2, **DAY)
    assert (refused.status_code, refused.json()["account"]) == (409, name)
    await ledger.made(f"/accounts/{place}/close")

    assert booking in await ledger.booked_in_feed(name)
    assert await ledger.used(name) == 48
    changed = ["AccountLimitsSet", "AccountMemberAdded", "AccountMemberRemoved", "AccountClosed"]
    kinds = ["BookingCreated", "AccountCreated", *changed]
    assert [event["type"] for event in await ledger.events(account=name)] == kinds
    assert [event["booking"] for event in await ledger.events(actor=name)] == [booking]
    assert [event["booking"] for event in await ledger.events(actor=name, account=name)] == [booking]
    table = await ledger.get("/events", "text/csv", project=ledger.project, actor=name)
    (row,) = csv.DictReader(io.StringIO(table.text, newline=""))
    written = f"'{name}" if name.startswith("=") else name  # no formula to a spreadsheet
    assert (row["actor"], row["account"]) == (written, written)
    listed = await ledger.get("/accounts", project=ledger.project, min_position=ledger.position)
    assert [(one["account"], one["closed"]) for one in listed.json()["accounts"]] == [(name, True)]
    items = await ledger.get("/bookings/select", project=ledger.project, range=RANGE, min_position=ledger.position)
    assert [item["account"] for item in items.json()["items"]] == [name]
    await held_by(ledger, name, booking)


async def held_by(ledger: Ledger, name: str, booking: str) -> None:
    """The reads of what an account holds find the booking by the name."""
    project, there = ledger.project, {"min_position": ledger.position}
    asked = {"project": project, "account": name}
    items = await ledger.get("/bookings/select", range=RANGE, **asked, **there)
    assert [item["id"] for item in items.json()["items"]] == [booking]
    load = await ledger.get("/bookings/load", range=RANGE, grain="day", by="account", **asked, **there)
    assert [row["name"] for row in load.json()["rows"]] == [name]
    held = await ledger.get("/entitlements", at="2086-01-01T00:00:00Z", **asked, **there)
    assert [(one["pool"], one["cores"]) for one in held.json()["entitlements"]] == [(project, 2)]
    async with ledger.http.stream("GET", "/entitlements/stream", params=asked) as stream:
        told = json.loads(await first_data(stream))
    assert (told["account"], told["until"]) == (name, "2086-01-01T00:00:00Z")


async def first_data(stream: httpx.Response) -> str:
    """The data of the first event of a stream."""
    async for line in stream.aiter_lines():
        if line.startswith("data:"):
            return line.removeprefix("data:")
    raise AssertionError("the stream ended without an event")


async def test_what_each_name_was_refused_is_found(ledger: Ledger) -> None:
    for name in NAMES:
        assert (await ledger.post("/bookings/create", name, account=name, cores=11, **DAY)).status_code == 409
    async with asyncio.timeout(WAIT_S):  # the log is written a moment later
        while len((await ledger.get("/refusals", project=ledger.project)).json()["refusals"]) < len(NAMES):
            await asyncio.sleep(0.05)
    for name in NAMES:
        (refusal,) = (await ledger.get("/refusals", project=ledger.project, actor=name)).json()["refusals"]
        assert (refusal["actor"], refusal["asked"]["account"]) == (name, name)


async def test_two_spellings_are_one_name(ledger: Ledger) -> None:
    one, other = "Zoë Ñandú", normalize("NFD", "Zoë Ñandú")
    assert one != other
    for name in (one, other):
        decided = (await ledger.made("/bookings/create", name, account=name, cores=1, **DAY))["decided"][0]
        assert (decided["account"], decided["actor"]) == (one, one)
    await ledger.made("/accounts/create", account=other, limits={})
    assert (await ledger.post("/accounts/create", account=one, limits={})).status_code == 409
    assert (await ledger.made(f"/accounts/{quote(other)}/limits", limits={"ahead_hours": 9}))["decided"][0][
        "account"
    ] == one
    for name in (one, other):
        assert len(await ledger.booked_in_feed(name)) >= 2  # a feed is of all projects
        assert await ledger.used(name) == 48
        assert len(await ledger.events(account=name)) == 4
        assert len(await ledger.events(actor=name)) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_an_actor_keeps_every_letter_on_the_way(ledger: Ledger, encoding: str) -> None:
    body = {"project": ledger.project, "account": "ada", "cores": 1, **DAY}
    headers = [(b"X-Hourbook-Actor", "Zoë Ñandú".encode(encoding))]
    answer = await ledger.http.post("/bookings/create", json=body, headers=headers)
    assert answer.json()["decided"][0]["actor"] == "Zoë Ñandú"


@pytest.mark.parametrize(
    "name", ["", " ", " ada", "..", "x" * 201, "a\xa0b", "a\x85b", "a\u202eb", "a\u200db"], ids=ascii
)
async def test_what_is_no_name_is_none_anywhere(ledger: Ledger, name: str) -> None:
    asked = [
        ("/bookings/create", {"account": name, "cores": 1, **DAY}, "account"),
        ("/accounts/create", {"account": name}, "account"),
        ("/accounts/create", {"account": "ada", "name": name}, "name"),
        ("/resources/create", {"cores": 1, "source": name, **DAY}, "source"),
    ]
    for path, body, field in asked:
        answer = await ledger.post(path, **body)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field]), (
            answer.text
        )
    if name == name.strip(" "):  # HTTP itself takes a header's blanks away
        answer = await ledger.post("/accounts/create", name, account="ada")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-Hourbook-Actor")
    assert len(await ledger.events()) == 2


OLD = ["Zoe\u0308", "a\xa0b", "a\x85b", "a\u200bb", "a\u202eb", " ada ", "..", "a\u200cb", "\ue000"]


@pytest.mark.parametrize("name", OLD, ids=ascii)
async def test_a_name_that_was_stored_before_there_was_a_rule_is_found_as_before(
    http: httpx.AsyncClient, system: System, name: str
) -> None:
    ledger = Ledger(http)
    booking = await remember(system, ledger, name)
    for spelling in {name, normalize("NFC", name)}:
        if spelling != "..":  # which httpx leaves out of a path
            assert await ledger.used(spelling) == 48
        assert booking in await ledger.booked_in_feed(spelling)
        assert [event["type"] for event in await ledger.events(account=spelling)] == [
            "AccountCreated",
            "BookingCreated",
        ]
        assert [event["type"] for event in await ledger.events(actor=spelling)] == ["BookingCreated"]
    if name != "..":
        limited = await ledger.made(f"/accounts/{quote(name, safe='')}/limits", limits={"capacity": {"cores": 2}})
        assert limited["decided"][0]["account"] == name
    if normalize("NFC", name) != name:  # the account is one, and holds all that was booked for it
        refused = await ledger.post("/bookings/create", account=name, cores=1, **DAY)
        assert (refused.status_code, refused.json()["code"]) == (409, "account_limit_exceeded")


async def remember(system: System, ledger: Ledger, name: str) -> str:
    """Stores what an older Hourbook took."""
    booking, at, capacity = uuid4(), datetime(2085, 1, 1, tzinfo=UTC), Capacity(cores=10)
    span: Any = {"start": datetime(2086, 1, 1, tzinfo=UTC), "end": datetime(2086, 1, 2, tzinfo=UTC)}
    meta: Any = {"at": at, "project": ledger.project, "command": uuid4()}
    events: list[Event] = [
        ProjectCreated(name="Old", actor="tester", **meta),
        GrantCreated(grant=uuid4(), capacity=capacity, actor="tester", **span, **meta),
        AccountCreated(account=name, name=name, limits=Limits(), actor="tester", **meta),
        BookingCreated(
            booking=booking, pool=ledger.project, account=name, capacity=Capacity(cores=2), actor=name, **span, **meta
        ),
    ]
    connection = await asyncpg.connect(system.postgres.url)
    pending = [
        Pending(ledger.project, version, uuid4(), 0, b"", type(event).__name__, encode_event(event))
        for version, event in enumerate(events, 1)
    ]
    assert (await EventStore(connection).append({ledger.project: 0}, pending)).outcome == "stored"
    ledger.position = await connection.fetchval("SELECT position FROM event_head")
    await connection.close()
    return str(booking)
