"""The reads as a program sends them: over HTTP, to the application on a real PostgreSQL."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from services.query.settings import Settings
from shared.capacity import DIMENSIONS
from shared.event_store import EventStore, Pending
from tests.support.querying import serving

GAIA, SPARK, OTHER = 1, 2, 3
NOBODY = "01890000-0000-7000-8000-000000000000"
Database = asyncpg.Connection  # type: ignore[type-arg]
Client = httpx.AsyncClient


@pytest.fixture
async def seeded_url(database_url: str) -> str:
    """A database with two projects and a cluster, at position 7, in which nothing is granted."""
    connection = await asyncpg.connect(database_url)
    await add_pool(connection, GAIA, "gaia", None)
    await add_pool(connection, SPARK, "gaia.spark", GAIA)
    await add_pool(connection, OTHER, "other", None)
    await connection.execute("UPDATE generation SET position = 7")
    await connection.execute("UPDATE event_head SET position = 7")
    await connection.close()
    return database_url


@pytest.fixture
async def database(seeded_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(seeded_url)
    yield connection
    await connection.close()


@pytest.fixture
async def client(seeded_url: str) -> AsyncIterator[Client]:
    async with serving(Settings(database_url=seeded_url, visible_timeout_s=1.0)) as client:
        yield client


async def add_pool(database: Database, pool: int, name: str, parent: int | None) -> None:
    period = [at("2030-01-01T00"), at("2030-01-03T00")] if parent else [None, None]
    await database.execute(
        "INSERT INTO pool VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, 7, NULL, false, 0)",
        pool,
        name,
        parent,
        name.split(".")[0],
        name.title(),
        "cluster" if parent else "project",
        *period,
    )


async def add_hours(
    database: Database, pool: int, start: str, granted: list[int], booked: list[int] | None = None
) -> None:
    """An hour for each number: so many cores, and as many times 1024 MiB of memory."""
    await database.execute(
        """
        INSERT INTO availability_hour
        SELECT 1, $1, $2::timestamptz + (n - 1) * interval '1 hour', 0, g, g * 1024, 0, 0, 0, 0, b, b * 1024, 0, 0, 0, 0
        FROM unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS x (g, b, n)
        """,
        pool,
        at(start),
        granted,
        booked or [0] * len(granted),
    )


async def add_item(database: Database, table: str, start: str, end: str, cores: int, origin: str | None) -> UUID:
    item = uuid4()
    rest = ", 0, false, 0, 0, 0" if table == "live_booking" else ""
    await database.execute(
        f"INSERT INTO {table} VALUES (1, $1, 1, $2, $3, 0, $4, 0, 0, 0, 0, 'ada', $5{rest})",
        item,
        at(start),
        at(end),
        cores,
        origin,
    )
    return item


async def touch(database: Database, position: int, pool: int = GAIA) -> None:
    async with database.transaction():
        await database.execute("UPDATE event_head SET position = $1", position)
        await database.execute("UPDATE pool SET touched = $1 WHERE pool = $2", position, pool)
        await database.execute("UPDATE generation SET position = $1", position)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + ":00:00+00:00")


async def select(client: Client, path: str = "/available/select", **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=({} if "clusterid" in query else {"project": "gaia"}) | query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Hourbook-Position"] == str(answer.json()["position"])
    return dict(answer.json())


def cores(blocks: list[dict[str, Any]], end: str, value: str = "available") -> list[int]:
    return [block[value][end]["cores"] for block in blocks]


EXAMPLE = {"range": "2030-01-01T00:00Z,2030-01-01T08:00Z"}


@pytest.fixture
async def example(database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T00", [4] * 8, [0, 1, 2, 1, 0, 2, 0, 0])


@pytest.mark.usefixtures("example")
async def test_the_example_of_the_notes_by_hour_and_in_one_block(client: Client) -> None:
    by_hour = await select(client, grain="hour", **EXAMPLE)
    assert cores(by_hour["blocks"], "min") == cores(by_hour["blocks"], "max") == [4, 3, 2, 3, 4, 2, 4, 4]
    assert cores(by_hour["blocks"], "min", "booked") == [0, 1, 2, 1, 0, 2, 0, 0]
    one = await select(client, **EXAMPLE)
    zero = dict.fromkeys(DIMENSIONS, 0)
    assert one == {
        "pool": "gaia",
        "range": {"start": "2030-01-01T00:00:00Z", "end": "2030-01-01T08:00:00Z"},
        "grain": "day",
        "timezone": "UTC",
        "position": 7,
        "blocks": [
            {
                "start": "2030-01-01T00:00:00Z",
                "end": "2030-01-01T08:00:00Z",
                "hours": 8,
                "granted": {end: zero | {"cores": 4, "memory": 4096} for end in ("min", "max")},
                "booked": {"min": zero, "max": zero | {"cores": 2, "memory": 2048}},
                "shared": {"min": zero, "max": zero},
                "available": {"min": zero | {"cores": 2, "memory": 2048}, "max": zero | {"cores": 4, "memory": 4096}},
            }
        ],
    }


async def test_available_is_taken_per_hour_before_the_minimum(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T00", [9, 1], [9, 1])
    for values in ({}, {"values": "available"}):
        blocks = (await select(client, range="2030-01-01T00:00Z,2030-01-01T02:00Z", **values))["blocks"]
        assert (cores(blocks, "min"), cores(blocks, "max")) == ([0], [0])


@pytest.mark.parametrize(
    ("grain", "hours"),
    [
        ("hour", [1] * 240),
        ("hourly", [1] * 240),
        ("1h", [1] * 240),
        ("day", [24] * 10),
        ("daily", [24] * 10),
        ("week", [72, 168]),
        ("weekly", [72, 168]),
        ("month", [240]),
        ("monthly", [240]),
        ("100h", [100, 100, 40]),
        ("168h", [168, 72]),
    ],
)
async def test_every_grain_cuts_the_range_whole(client: Client, grain: str, hours: list[int]) -> None:
    # 2030-01-04 is a Friday: the first week is clipped to three days.
    answer = await select(client, range="2030-01-04,2030-01-13", grain=grain)
    assert [block["hours"] for block in answer["blocks"]] == hours
    assert answer["blocks"][0]["start"] == "2030-01-04T00:00:00Z"
    assert answer["blocks"][-1]["end"] == "2030-01-14T00:00:00Z"
    starts, ends = ([block[edge] for block in answer["blocks"]] for edge in ("start", "end"))
    assert starts[1:] == ends[:-1]


async def test_days_of_23_and_25_hours(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-03-30T23", [5] + [8] * 23)
    await add_hours(database, GAIA, "2030-10-26T23", [3] + [8] * 24)
    spring = await select(client, range="2030-03-30,2030-04-01", tz="Europe/London")
    assert [block["hours"] for block in spring["blocks"]] == [24, 23, 24]
    assert spring["blocks"][2]["start"] == "2030-03-31T23:00:00Z"
    assert cores(spring["blocks"], "max") == [5, 8, 0]
    assert cores(spring["blocks"], "min") == [0, 8, 0]
    autumn = await select(client, range="2030-10-26,2030-10-28", tz="Europe/London")
    assert [block["hours"] for block in autumn["blocks"]] == [24, 25, 24]
    assert cores(autumn["blocks"], "min") == [0, 3, 0]
    assert cores(autumn["blocks"], "max") == [0, 8, 0]


async def test_hours_without_rows_are_zero(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T02", [4, 4])
    blocks = (await select(client, range="2030-01-01T00:00Z,2030-01-01T05:00Z", grain="hour"))["blocks"]
    assert cores(blocks, "min") == [0, 0, 4, 4, 0]
    assert cores((await select(client, range="2031-01-01,2031-01-01"))["blocks"], "max") == [0]
    assert cores((await select(client, clusterid="gaia.spark", **EXAMPLE))["blocks"], "max") == [0]


@pytest.mark.usefixtures("example")
async def test_dimensions_and_values_narrow_an_answer(client: Client) -> None:
    query = {"dimensions": "memory,cores", "values": "available,booked", **EXAMPLE}
    (block,) = (await select(client, **query))["blocks"]
    assert list(block) == ["start", "end", "hours", "booked", "available"]
    assert block["booked"] == {"min": {"cores": 0, "memory": 0}, "max": {"cores": 2, "memory": 2048}}
    assert block["available"] == {"min": {"cores": 2, "memory": 2048}, "max": {"cores": 4, "memory": 4096}}
    for values in ("granted", "booked", "shared", "granted,booked", "shared,available"):
        (block,) = (await select(client, **query | {"values": values}))["blocks"]
        assert list(block)[3:] == values.split(",")


@pytest.mark.usefixtures("example")
async def test_columns_hold_the_same_figures(client: Client) -> None:
    query = {"dimensions": "cores", "values": "available", "shape": "columns", **EXAMPLE}
    answer = await select(client, grain="3h", **query)
    assert "blocks" not in answer
    assert answer["columns"] == {
        "start": ["2030-01-01T00:00:00Z", "2030-01-01T03:00:00Z", "2030-01-01T06:00:00Z"],
        "end": ["2030-01-01T03:00:00Z", "2030-01-01T06:00:00Z", "2030-01-01T08:00:00Z"],
        "hours": [3, 3, 2],
        "available": {"cores": {"min": [2, 2, 4], "max": [4, 4, 4]}},
    }
    assert (await select(client, grain="hour", **query))["columns"] == {
        "start": "2030-01-01T00:00:00Z",
        "step_hours": 1,
        "count": 8,
        "available": {"cores": {"min": [4, 3, 2, 3, 4, 2, 4, 4]}},
    }


async def test_a_month_by_hour_in_columns_is_about_10_kb(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T00", [1000] * 744, [n % 500 for n in range(744)])
    query = {"project": "gaia", "range": "2030-01-01,2030-01-31", "grain": "hour", "dimensions": "cores,memory"}
    answer = await client.get("/available/select", params=query | {"values": "available", "shape": "columns"})
    assert answer.json()["columns"]["count"] == 744
    assert len(answer.content) < 11_000


NOT_CSV = (
    "text/csv;q=0",
    "text/csv; Q=0.000",
    "text/csv;q=0, */*",
    "text/csv;q=1e999",
    "application/json;q=0, text/csv;q=0",
)


@pytest.mark.usefixtures("example")
async def test_csv_is_a_table_of_the_same_figures(client: Client) -> None:
    query = {"project": "gaia", "dimensions": "cores,memory", "values": "available", "grain": "4h", **EXAMPLE}
    for accept in ("text/csv", "application/json;q=0.5, text/csv"):
        answer = await client.get("/available/select", params=query, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["Hourbook-Position"] == "7"
        assert answer.text.splitlines() == [
            "start,end,hours,available_cores_min,available_memory_min,available_cores_max,available_memory_max",
            "2030-01-01T00:00:00Z,2030-01-01T04:00:00Z,4,2,2048,4,4096",
            "2030-01-01T04:00:00Z,2030-01-01T08:00:00Z,4,2,2048,4,4096",
        ]
    for accept in ("application/json, text/csv;q=0.5", "text/html, */*;q=0.8", "image/png", *NOT_CSV):
        answer = await client.get("/available/select", params=query, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.usefixtures("example")
async def test_a_mark_of_utf_8_is_before_a_table_on_request_and_refused_where_there_is_none(client: Client) -> None:
    table, query = {"Accept": "text/csv"}, {"project": "gaia", **EXAMPLE}
    for path in ("/available/select", "/bookings/select", "/templates", "/events", "/refusals", "/novaquota/available"):
        given = query if "select" in path or "quota" in path else {"project": "gaia"} if path == "/templates" else {}
        plain = await client.get(path, params=given, headers=table)
        marked = await client.get(path, params={**given, "bom": "true"}, headers=table)
        assert (plain.status_code, marked.status_code) == (200, 200), path
        assert marked.content == b"\xef\xbb\xbf" + plain.content
        without = await client.get(path, params={**given, "bom": "false"}, headers=table)
        assert without.content == plain.content
        for headers, mark in (({}, "true"), (table, "yes")):
            refused = await client.get(path, params={**given, "bom": mark}, headers=headers)
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "bom"), path
    assert (await client.get("/pools", params={"bom": "true"}, headers=table)).json()["errors"][0]["field"] == "bom"


async def test_a_long_answer_is_whole(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-12-31T23", [6])
    answer = await select(client, range="2030-01-01,2030-12-31", grain="hour")
    assert len(answer["blocks"]) == 8760
    assert cores(answer["blocks"], "min")[-2:] == [0, 6]


@pytest.mark.usefixtures("example")
async def test_an_etag_stands_while_the_pool_is_not_touched(client: Client, database: Database) -> None:
    query = {"project": "gaia", **EXAMPLE}
    first = await client.get("/available/select", params=query)
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    await touch(database, 8, OTHER)
    for given in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await client.get("/available/select", params=query, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["Hourbook-Position"] == "8"
    assert (await client.get("/available/select", params=query, headers={"If-None-Match": '"x"'})).status_code == 200
    spelt_otherwise = query | {"grain": "daily", "values": "available,shared,booked,granted", "tz": "UTC"}
    assert (await client.get("/available/select", params=spelt_otherwise)).headers["ETag"] == etag
    narrower = await client.get("/available/select", params=query | {"values": "available"})
    table = await client.get("/available/select", params=query, headers={"Accept": "text/csv"})
    assert len({etag, narrower.headers["ETag"], table.headers["ETag"]}) == 3

    await database.execute("UPDATE availability_hour SET booked_cores = 3")
    await touch(database, 9)
    changed = await client.get("/available/select", params=query, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert cores(changed.json()["blocks"], "max") == [1]


@pytest.mark.usefixtures("example")
async def test_a_remembered_answer_shows_the_position_of_now(client: Client, database: Database) -> None:
    first = await select(client, **EXAMPLE)
    await touch(database, 8, OTHER)
    assert await select(client, **EXAMPLE) == first | {"position": 8}
    await database.execute("UPDATE availability_hour SET booked_cores = 3")
    await touch(database, 9)
    changed = await select(client, **EXAMPLE)
    assert (changed["position"], cores(changed["blocks"], "max")) == (9, [1])


@pytest.mark.usefixtures("example")
async def test_another_generation_is_another_answer(client: Client, database: Database) -> None:
    first = await client.get("/available/select", params={"project": "gaia", **EXAMPLE})
    async with database.transaction():
        assert await database.fetchval("SELECT create_generation()") == 2
        await database.execute(
            "INSERT INTO pool SELECT 2, pool, id, parent, project, name, kind, starts, ends, touched, NULL, false, 0"
            " FROM pool"
        )
        await database.execute("UPDATE generation SET live = false WHERE generation = 1")
        await database.execute("UPDATE generation SET live = true, position = 7 WHERE generation = 2")
    second = await client.get("/available/select", params={"project": "gaia", **EXAMPLE})
    assert cores(second.json()["blocks"], "max") == [0]
    assert first.headers["ETag"] != second.headers["ETag"]


async def test_who_asks_during_a_read_is_answered_with_what_was_there_then(
    client: Client, database: Database, seeded_url: str
) -> None:
    query = {"project": "gaia", **EXAMPLE}
    blocker = await asyncpg.connect(seeded_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE availability_hour_1")
        first = asyncio.create_task(client.get("/available/select", params=query))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while await database.fetchval(waiting) == 0:
            await asyncio.sleep(0.005)
        await touch(database, 8)
        later = [asyncio.create_task(client.get("/available/select", params=query)) for _ in range(5)]
        assert [await database.fetchval(waiting) for _ in range(20)] == [1] * 20
    await blocker.close()
    assert (await first).status_code == 200
    assert [(await answer).json()["position"] for answer in later] == [8] * 5


async def test_many_at_once_each_get_their_own_answer(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T00", [4])
    await add_hours(database, SPARK, "2030-01-01T00", [2])
    for _ in range(2):
        asked = [{"project": "gaia"}, {"clusterid": "gaia.spark"}, {"project": "other"}, {"project": "none"}] * 10
        answers = await asyncio.gather(
            *(client.get("/available/select", params=one | {"range": "2030-01-01,2030-01-01"}) for one in asked)
        )
        found = [cores(a.json()["blocks"], "max")[0] if a.status_code == 200 else a.status_code for a in answers]
        assert found == [4, 2, 0, 404] * 10


@pytest.mark.parametrize(
    "path",
    ["/available/select", "/resources/select", "/bookings/select", "/clusters/gaia.spark/sizes", "/pools", "/projects"],
)
async def test_min_position_waits_until_it_is_visible(client: Client, database: Database, path: str) -> None:
    query = {"range": "2030-01-01,2030-01-01"} if "/s" in path else {}
    if path.endswith("select"):
        query["project"] = "gaia"
    await database.execute("UPDATE event_head SET position = 9")
    waiting = [asyncio.create_task(client.get(path, params=query | {"min_position": n})) for n in (9, 8, 9)]
    seen = await client.get(path, params=query | {"min_position": 7})
    assert (seen.status_code, seen.json()["position"]) == (200, 7)
    await add_hours(database, GAIA, "2030-01-01T00", [4])
    await touch(database, 9)
    for answer in await asyncio.gather(*waiting):
        assert (answer.status_code, answer.json()["position"]) == (200, 9), answer.text
    if path == "/available/select":
        assert cores(answer.json()["blocks"], "max") == [4]


@pytest.mark.usefixtures("example")
async def test_min_position_waits_no_longer_than_it_may(client: Client, database: Database) -> None:
    await database.execute("UPDATE event_head SET position = 9")
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 9, **EXAMPLE})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["position"]) == (503, "not_yet_visible", 7)
    assert answer.headers["Retry-After"] == "1"
    await touch(database, 9)
    assert (await select(client, min_position=9, **EXAMPLE))["position"] == 9


async def test_a_generation_that_is_behind_the_one_before_is_waited_for(client: Client, database: Database) -> None:
    assert (await select(client, min_position=7, **EXAMPLE))["position"] == 7
    await database.execute("UPDATE generation SET position = 5")
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 7, **EXAMPLE})
    assert (answer.status_code, answer.json()["position"]) == (503, 5)


async def test_a_position_beyond_the_last_event_is_refused_at_once(client: Client) -> None:
    answer = await client.get("/available/select", params={"project": "gaia", "min_position": 8, **EXAMPLE})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "min_position"), answer.text


async def test_resources_are_blocks_and_the_grants_that_touch_the_range(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2030-01-01T00", [4] * 8, [1] * 8)
    late = await add_item(database, "live_grant", "2030-01-01T03", "2030-01-02T00", 3, None)
    early = await add_item(database, "live_grant", "2029-12-31T00", "2030-01-01T01", 1, "nova")
    await add_item(database, "live_grant", "2029-12-31T00", "2030-01-01T00", 9, "ends before")
    await add_item(database, "live_grant", "2030-01-01T08", "2030-01-02T00", 9, "starts after")
    answer = await select(client, "/resources/select", **EXAMPLE)
    assert [list(block)[3:] for block in answer["blocks"]] == [["granted"]]
    assert answer["items"] == [
        {
            "id": str(early),
            "pool": "gaia",
            "start": "2029-12-31T00:00:00Z",
            "end": "2030-01-01T01:00:00Z",
            "servers": 0,
            "cores": 1,
            "memory": 0,
            "tempdisc": 0,
            "userdisc": 0,
            "datadisc": 0,
            "source": "nova",
            "actor": "ada",
        },
        {
            "id": str(late),
            "pool": "gaia",
            "start": "2030-01-01T03:00:00Z",
            "end": "2030-01-02T00:00:00Z",
            "servers": 0,
            "cores": 3,
            "memory": 0,
            "tempdisc": 0,
            "userdisc": 0,
            "datadisc": 0,
            "source": None,
            "actor": "ada",
        },
    ]
    assert answer["next"] is None
    wider = await select(client, "/resources/select", values="granted,available", shape="columns", **EXAMPLE)
    assert wider["columns"]["available"]["cores"] == {"min": [3], "max": [3]}
    assert wider["items"] == answer["items"]


async def test_bookings_are_paged_in_the_order_of_start_and_id(client: Client, database: Database) -> None:
    for n in range(7):
        await add_item(database, "live_booking", f"2030-01-01T0{n // 3}", "2030-01-02T00", n, f'=n, "{n}"')
    everything = (await select(client, "/bookings/select", **EXAMPLE))["items"]
    assert len(everything) == 7
    assert everything == sorted(everything, key=lambda item: (item["start"], item["id"]))
    pages, query = [], {"limit": 3, "dimensions": "cores"}
    while True:
        page = await select(client, "/bookings/select", **query, **EXAMPLE)
        pages.append(page["items"])
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [item["id"] for page in pages for item in page] == [item["id"] for item in everything]
    assert list(pages[0][0]) == [
        "id",
        "pool",
        "start",
        "end",
        "cores",
        "share",
        "template",
        "account",
        "actor",
        "state",
        "created",
        "series",
        "segment",
    ]

    table = await client.get(
        "/bookings/select", params={"project": "gaia", "limit": 3, **EXAMPLE}, headers={"Accept": "text/csv"}
    )
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["account"] for row in rows] == [f"'{item['account']}" for item in everything[:3]]
    assert table.headers["Hourbook-Next"] == (await select(client, "/bookings/select", limit=3, **EXAMPLE))["next"]


async def test_the_sizes_of_a_cluster_cover_its_own_period(client: Client, database: Database) -> None:
    await add_hours(database, SPARK, "2030-01-01T00", [4] * 24 + [2] * 12 + [6] * 12)
    answer = (await client.get("/clusters/gaia.spark/sizes", params={"dimensions": "cores,memory"})).json()
    assert answer["sizes"] == [
        {
            "start": "2030-01-01T00:00:00Z",
            "end": "2030-01-02T00:00:00Z",
            "hours": 24,
            "size": {"min": {"cores": 4, "memory": 4096}, "max": {"cores": 4, "memory": 4096}},
        },
        {
            "start": "2030-01-02T00:00:00Z",
            "end": "2030-01-03T00:00:00Z",
            "hours": 24,
            "size": {"min": {"cores": 2, "memory": 2048}, "max": {"cores": 6, "memory": 6144}},
        },
    ]
    ranged = await client.get("/clusters/gaia.spark/sizes", params={"range": "2030-01-02,2030-01-02", "grain": "month"})
    assert [row["size"]["max"]["cores"] for row in ranged.json()["sizes"]] == [6]


async def test_the_tree_of_pools(client: Client) -> None:
    gaia = {
        "id": "gaia",
        "parent": None,
        "project": "gaia",
        "name": "Gaia",
        "kind": "project",
        "start": None,
        "end": None,
    }
    spark = {
        "id": "gaia.spark",
        "parent": "gaia",
        "project": "gaia",
        "name": "Gaia.Spark",
        "kind": "cluster",
        "start": "2030-01-01T00:00:00Z",
        "end": "2030-01-03T00:00:00Z",
    }
    projects = (await client.get("/projects")).json()
    assert (projects["position"], [row["id"] for row in projects["projects"]]) == (7, ["gaia", "other"])
    assert (await client.get("/pools?project=gaia")).json() == {"position": 7, "pools": [gaia, spark], "next": None}
    first = (await client.get("/pools?limit=2")).json()
    assert (first["pools"], first["next"]) == ([gaia, spark], "gaia.spark")
    rest = (await client.get("/pools", params={"limit": 2, "after": first["next"]})).json()
    assert ([row["id"] for row in rest["pools"]], rest["next"]) == (["other"], None)
    assert (await client.get("/pools?project=none")).status_code == 404
    assert (await client.get("/pools?project=gaia&after=gaia.spark")).json()["pools"] == []


# Not as our own encoder would write it: what is stored comes back byte for byte.
ODD = b'{"type": "Odd" ,"at":"2030-01-01T00:00:00Z","n":1.50,"s":"\\u00e9\xc3\xa9"}'


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


AVAILABLE = "/available/select?project=gaia&range=2030-01-01,2030-01-02"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/available/select?range=2030-01-01,2030-01-02", "project"),
        (AVAILABLE + "&clusterid=gaia.spark", "clusterid"),
        ("/available/select?project=gaia", "range"),
        ("/available/select?project=gaia&range=2030-01-01", "range"),
        ("/available/select?project=gaia&range=2030-01-02,2030-01-01T00:00Z", "range"),
        ("/available/select?project=gaia&range=2030-01-01,2041-01-01", "range"),
        (AVAILABLE + "&grain=year", "grain"),
        (AVAILABLE + "&grain=0h", "grain"),
        (AVAILABLE + "&tz=Mars/Olympus", "tz"),
        (AVAILABLE + "&tz=Asia/Kolkata", "tz"),
        (AVAILABLE + "&dimensions=cpus", "dimensions"),
        (AVAILABLE + "&dimensions=", "dimensions"),
        (AVAILABLE + "&values=free", "values"),
        (AVAILABLE + "&shape=rows", "shape"),
        (AVAILABLE + "&min_position=-1", "min_position"),
        (AVAILABLE + "&min_position=9223372036854775808", "min_position"),
        (AVAILABLE + "&min_position=soon", "min_position"),
        (AVAILABLE + "&colour=red", "colour"),
        (AVAILABLE + "&limit=5", "limit"),
        (AVAILABLE + "&grain=day&grain=hour", "grain"),
        (AVAILABLE + "&project=other", "project"),
        ("/bookings/select?project=gaia&range=2030-01-01,2030-01-02&limit=0", "limit"),
        ("/bookings/select?project=gaia&range=2030-01-01,2030-01-02&limit=10001", "limit"),
        ("/bookings/select?project=gaia&range=2030-01-01,2030-01-02&after=x", "after"),
        ("/resources/select?project=gaia&range=2030-01-01,2030-01-02&after=%00", "after"),
        ("/clusters/gaia.spark/sizes?values=granted", "values"),
        ("/pools?after=%00", "after"),
        ("/projects?limit=x", "limit"),
        ("/events?after=-1", "after"),
        ("/events?after=9223372036854775808", "after"),
        ("/events?limit=10001", "limit"),
        ("/events?min_position=1", "min_position"),
        ("/events/1?after=1", "after"),
    ],
)
async def test_a_bad_parameter_is_named(client: Client, path: str, field: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json().get("code")) == (400, "invalid_field"), answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "path",
    [
        "/available/select?project=gaia&range=2030-01-01T00:00:00+00:00,2030-01-02T00:00:00Z",
        "/available/select?project=gaia&range=2030-01-01T00:00:00Z,2030-01-02T00:00:00+0100",
        "/available/select?project=gaia&range=2030-01-01,2030-01-02&as_of=2026-01-01T00:00:00+00:00",
        "/available/select?project=gaia&range=2030-01-01,2030-01-02&tz=Etc/GMT+5",
        "/events?since=2026-01-01T00:00:00+00:00",
        "/events?until=2026-01-01T00:00:00.5+01:00",
        "/refusals?since=2026-01-01T00:00:00+00:00",
    ],
)
async def test_a_plus_that_is_not_encoded_is_told_how_to_be(client: Client, path: str) -> None:
    refused = await client.get(path)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field"), refused.text
    assert "%2B" in refused.json()["detail"]
    assert (await client.get(path.replace("+", "%2B"))).json().get("code") != "invalid_field"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/available/select?project=none&range=2030-01-01,2030-01-02", "project"),
        ("/available/select?project=gaia.spark&range=2030-01-01,2030-01-02", "project"),
        ("/available/select?project=%00&range=2030-01-01,2030-01-02", "project"),
        ("/available/select?clusterid=gaia&range=2030-01-01,2030-01-02", "clusterid"),
        ("/available/select?clusterid=gaia.none&range=2030-01-01,2030-01-02", "clusterid"),
        ("/resources/select?project=none&range=2030-01-01,2030-01-02", "project"),
        ("/bookings/select?project=none&range=2030-01-01,2030-01-02", "project"),
        ("/clusters/gaia.none/sizes", "id"),
        ("/clusters/gaia.none/sizes?range=2030-01-01,2030-01-02", "id"),
        ("/clusters/gaia/sizes", "id"),
        ("/events?project=None", "project"),
    ],
)
async def test_what_is_not_there_is_404(client: Client, path: str, field: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_id"), answer.text
    assert answer.json()["errors"][0]["field"] == field
    for etag in ('"x"', "*"):
        assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 404


async def test_health_is_the_databases(client: Client) -> None:
    assert (await client.get("/health")).json() == {"status": "ok", "position": 7, "head": 7}


async def test_without_a_database_it_starts_and_answers_503() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none?sslmode=disable")
    async with serving(settings) as client:
        for path in ("/health", AVAILABLE, AVAILABLE + "&min_position=1", "/events"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), answer.text


async def test_a_lost_connection_is_made_again(client: Client, database: Database) -> None:
    await select(client, **EXAMPLE)
    ours = "FROM pg_stat_activity WHERE application_name = 'hourbook-query'"
    assert await database.fetchval(f"SELECT count(pg_terminate_backend(pid, 5000)) {ours}") == 1
    query = {"project": "gaia", **EXAMPLE}
    statuses = [(await client.get("/available/select", params=query)).status_code for _ in range(3)]
    assert statuses[-1] == 200
    assert set(statuses) <= {200, 503}


async def test_the_interface_is_described(client: Client) -> None:
    schema = (await client.get("/schema/openapi.json")).json()
    parameters = {one["name"] for one in schema["paths"]["/available/select"]["get"]["parameters"]}
    assert parameters == {
        "project",
        "clusterid",
        "range",
        "grain",
        "tz",
        "dimensions",
        "values",
        "shape",
        "min_position",
        "template",
        "as_of",
        "bom",
    }
    assert "step_hours" in json.dumps(schema)
