"""The stored events over HTTP, byte for byte."""

import json
from uuid import uuid4

import pytest

from shared.event_store import EventStore, Pending
from tests.support.seeded import Client, Database

pytestmark = pytest.mark.odd_store

# Not as our own encoder would write it: what is stored comes back byte for byte.
ODD = b'{"type": "Odd" ,"at":"2086-01-01T00:00:00Z","n":1.50,"s":"\\u00e9\xc3\xa9"}'


@pytest.fixture
async def stored(database: Database) -> list[bytes]:
    """Ten events, of gaia and other by turns."""
    await database.execute("UPDATE event_head SET position = 0")
    datas = [ODD.replace(b"1.50", b"%d.50" % n) for n in range(1, 11)]
    streams = ["other" if n % 2 else "gaia" for n in range(10)]
    events = [
        Pending(stream, n // 2 + 1, uuid4(), 0, b"", "Odd", data)
        for n, (stream, data) in enumerate(zip(streams, datas, strict=True))
    ]
    assert (await EventStore(database).append({"gaia": 0, "other": 0}, events)).first_position == 1
    return datas


async def test_events_are_paged_and_never_encoded_again(client: Client, stored: list[bytes]) -> None:
    answer = await client.get("/events", params={"limit": 4})
    page = answer.json()
    assert (page["position"], page["next"], answer.headers["Hourbook-Position"]) == (10, 4, "10")
    assert [(event["position"], event["version"]) for event in page["events"]] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert b'"events":[{"position":1,"version":1,"event":' + stored[0] + b"}," in answer.content
    rest = (await client.get("/events", params={"after": 4, "limit": 6})).json()
    assert ([event["position"] for event in rest["events"]], rest["next"]) == ([5, 6, 7, 8, 9, 10], None)
    assert (await client.get("/events", params={"after": 10})).json() == {"position": 10, "events": [], "next": None}


async def test_ndjson_is_an_event_a_line(client: Client, stored: list[bytes]) -> None:
    answer = await client.get("/events", params={"after": 2, "limit": 3}, headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["Hourbook-Next"] == "5"
    lines = answer.content.splitlines()
    assert lines[0] == b'{"position":3,"version":2,"event":' + stored[2] + b"}"
    assert [json.loads(line)["position"] for line in lines] == [3, 4, 5]


@pytest.mark.usefixtures("stored")
async def test_the_events_of_one_project_after_any_position(client: Client) -> None:
    for project, positions in (("gaia", [1, 3, 5, 7, 9]), ("other", [2, 4, 6, 8, 10])):
        for after in range(11):
            answer = (await client.get("/events", params={"project": project, "after": after, "limit": 2})).json()
            left = [position for position in positions if position > after]
            assert [event["position"] for event in answer["events"]] == left[:2]
            assert answer["next"] == (left[1] if len(left) > 2 else None)
    assert (await client.get("/events?project=none")).json()["code"] == "unknown_id"


async def test_one_event(client: Client, stored: list[bytes]) -> None:
    answer = await client.get("/events/3")
    assert answer.content == b'{"position":3,"version":2,"event":' + stored[2] + b"}"
    for position in (0, 11, -1, 2**63, 10**30):
        missing = await client.get(f"/events/{position}")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_id"), missing.text
    assert (await client.get("/events/x")).status_code == 404
