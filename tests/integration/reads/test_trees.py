"""The reads of a pool and all pools inside it say what the reads of each single pool say."""

import contextlib
import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.query.settings import Settings
from tests.support.backends import Postgres, as_role, make_database
from tests.support.histories import history
from tests.support.querying import append_and_show, serving
from tests.support.seeded import GAIA, SPARK, Client, Database, add_hours, add_item, add_pool, touch

MATRIX, SLOTS, BOOKINGS = "/available/matrix", "/available/slots", "/bookings/select"
RANGE = "2085-12-29,2086-01-14"
WHAT = st.sampled_from([{}, {"dimension": "servers"}, {"dimension": "memory"}, {"template": "t"}])
GRAINS = st.sampled_from(["hour", "day", "week", "month", "5h"])
ZONES = st.sampled_from(["UTC", "Europe/London", "Asia/Tokyo"])


async def answered(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def named(pool: str) -> dict[str, str]:
    return {"clusterid" if "." in pool else "project": pool}


FEW = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@contextlib.asynccontextmanager
async def recorded(postgres: Postgres, seed: int) -> AsyncIterator[httpx.AsyncClient]:
    """The reads of a history with clusters inside clusters."""
    url = await make_database(postgres)
    connection = await asyncpg.connect(url)
    await append_and_show(connection, history(seed, 250))
    await connection.close()
    async with serving(Settings(database_url=as_role(url, "query"))) as client:
        yield client


async def tree_of(client: httpx.AsyncClient, seed: int) -> tuple[str, list[str]]:
    """A project or a cluster of it, and the pools of its tree in order."""
    pools = (await answered(client, "/pools", project="project-1", limit=10_000))["pools"]
    ids = sorted((pool["id"] for pool in pools), key=lambda pool: pool.split("."))
    top = ids[1] if seed % 3 == 0 and len(ids) > 1 else ids[0]
    return top, [pool for pool in ids if f"{pool}.".startswith(f"{top}.")]


@given(seed=st.integers(0, 20), what=WHAT, grain=GRAINS, zone=ZONES)
@FEW
async def test_each_row_of_the_matrix_is_what_the_pool_alone_answers(
    postgres: Postgres, seed: int, what: dict[str, str], grain: str, zone: str
) -> None:
    query = {"range": RANGE, "grain": grain, "tz": zone}
    async with recorded(postgres, seed) as client:
        top, inside = await tree_of(client, seed)
        if "template" in what and not (await answered(client, "/templates", project="project-1"))["templates"]:
            what = {}
        found = await answered(client, MATRIX, **named(top), **what, **query)
        rows = {row["pool"]: row for row in found["rows"]}
        assert [pool for pool in inside if pool in rows] == [row["pool"] for row in found["rows"]]
        for pool in inside:
            blocks = (await answered(client, "/available/select", **named(pool), **query, **what_alone(what)))["blocks"]
            assert list(zip(*found["columns"].values(), strict=True)) == [
                (block["start"], block["end"], block["hours"]) for block in blocks
            ]
            for end in ("min", "max"):
                figures = [figure_of(block, what, end) for block in blocks]
                assert (rows[pool][end] if pool in rows else [0] * len(figures)) == figures, (pool, end)
        lines = await client.get(MATRIX, params={**named(top), **what, **query}, headers={"Accept": "text/csv"})
        assert list(csv.DictReader(io.StringIO(lines.text))) == table_of(found)


def what_alone(what: dict[str, str]) -> dict[str, str]:
    """The same question to /available/select."""
    return what if "template" in what else {"values": "available", "dimensions": what.get("dimension", "cores")}


def figure_of(block: dict[str, Any], what: dict[str, str], end: str) -> int:
    figures = block["fits"] if "template" in what else block["available"]
    found: int = figures[end] if "template" in what else figures[end][what.get("dimension", "cores")]
    return found


def table_of(found: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of the table that says the same as the document."""
    columns = list(zip(*found["columns"].values(), strict=True))
    return [
        {
            **{name: row[name] for name in ("pool", "name", "kind")},
            **{"start": start, "end": end, "hours": str(hours), "min": str(low), "max": str(high)},
        }
        for row in found["rows"]
        for (start, end, hours), low, high in zip(columns, row["min"], row["max"], strict=True)
    ]


async def test_the_matrix_has_a_row_for_each_pool_that_lives_in_the_range(client: Client, database: Database) -> None:
    await add_pool(database, 4, "gaia.spark.deep", SPARK)
    await add_pool(database, 5, "gaia.spark-2", GAIA)  # "-" sorts before "."
    await add_hours(database, GAIA, "2086-01-01T00", [9] * 24 + [8] * 24, [2] * 24 + [1] * 24)
    await add_hours(database, SPARK, "2086-01-01T00", [2] * 24, [0, 1] * 12)
    found = await answered(client, MATRIX, project="gaia", range="2086-01-01,2086-01-02")
    assert found == {
        "pool": "gaia",
        "range": {"start": "2086-01-01T00:00:00Z", "end": "2086-01-03T00:00:00Z"},
        "grain": "day",
        "timezone": "UTC",
        "position": 7,
        "dimension": "cores",
        "columns": {
            "start": ["2086-01-01T00:00:00Z", "2086-01-02T00:00:00Z"],
            "end": ["2086-01-02T00:00:00Z", "2086-01-03T00:00:00Z"],
            "hours": [24, 24],
        },
        "rows": [
            {"pool": "gaia", "name": "Gaia", "kind": "project", "min": [7, 7], "max": [7, 7]},
            {"pool": "gaia.spark", "name": "Gaia.Spark", "kind": "cluster", "min": [1, 0], "max": [2, 0]},
            {"pool": "gaia.spark.deep", "name": "Gaia.Spark.Deep", "kind": "cluster", "min": [0, 0], "max": [0, 0]},
            {"pool": "gaia.spark-2", "name": "Gaia.Spark-2", "kind": "cluster", "min": [0, 0], "max": [0, 0]},
        ],
    }
    later = await answered(client, MATRIX, project="gaia", range="2086-01-03,2086-01-03")
    assert [row["pool"] for row in later["rows"]] == ["gaia"]
    await add_hours(database, SPARK, "2086-02-01T00", [2])  # of an older cluster of that name
    await touch(database, 8)
    former = await answered(client, MATRIX, project="gaia", range="2086-02-01,2086-02-01", min_position=8)
    assert [(row["pool"], row["max"]) for row in former["rows"]] == [("gaia", [0]), ("gaia.spark", [2])]
    below = await answered(client, MATRIX, clusterid="gaia.spark", range="2086-03-01,2086-03-01")
    assert [row["pool"] for row in below["rows"]] == ["gaia.spark"]


async def test_the_matrix_is_made_anew_when_any_pool_of_the_tree_changes(client: Client, database: Database) -> None:
    path, query = MATRIX, {"project": "gaia", "range": "2086-01-01,2086-01-02"}
    first = await client.get(path, params=query)
    etag = {"If-None-Match": first.headers["ETag"]}
    assert (await client.get(path, params=query, headers=etag)).status_code == 304
    await add_hours(database, SPARK, "2086-01-01T00", [5] * 48)
    await touch(database, 8, SPARK)
    second = await client.get(path, params=query, headers=etag)
    assert (second.status_code, second.json()["position"]) == (200, 8)
    assert [row["min"] for row in second.json()["rows"]] == [[0, 0], [5, 5]]
    etag = {"If-None-Match": second.headers["ETag"]}
    await database.execute("UPDATE generation SET position = 9")
    assert (await client.get(path, params=query, headers=etag)).status_code == 304
    assert (await client.get(path, params=query)).json() == second.json() | {"position": 9}


async def test_a_matrix_that_is_too_large_says_what_would_be_right(client: Client, database: Database) -> None:
    for pool in range(10, 40):
        await add_pool(database, pool, f"gaia.c{pool}", GAIA)
    await database.execute("UPDATE pool SET ends = '2097-01-01' WHERE parent IS NOT NULL")
    for query, field, says in (
        ({"range": "2086-01-01,2092-12-31"}, "range", "32 pools in 61368 hours"),
        ({"range": "2086-01-01,2090-12-31", "grain": "hour"}, "grain", "at most 31250 blocks"),
        ({"range": "2086-01-01,2086-01-02", "dimension": "cores,memory"}, "dimension", "one of servers"),
        ({"range": "2086-01-01,2086-01-02", "dimension": "cores", "template": "t"}, "dimension", "either"),
        ({"range": "2086-01-01,2086-01-02", "template": "none"}, "template", "no template"),
        ({}, "range", "two dates"),
    ):
        answer = await client.get(MATRIX, params={"project": "gaia", **query})
        assert answer.status_code == 400, answer.text
        error = answer.json()["errors"][0]
        assert error["field"] == field
        assert says in error["detail"], error
    for pool in ("project=none", "clusterid=gaia.none"):
        assert (await client.get(f"{MATRIX}?{pool}&range=2086-01-01,2086-01-01")).status_code == 404


async def test_a_long_matrix_is_the_same_in_pieces(client: Client, database: Database) -> None:
    for pool in range(10, 40):
        await add_pool(database, pool, f"gaia.c{pool}", GAIA)
    await database.execute("UPDATE pool SET ends = '2087-01-01' WHERE parent IS NOT NULL")
    await add_hours(database, 25, "2086-02-01T00", list(range(24 * 28)))
    query = {"project": "gaia", "range": "2086-01-01,2086-06-30", "grain": "hour"}
    found = await answered(client, MATRIX, **query)
    assert [len(row["min"]) for row in found["rows"]] == [181 * 24] * 32
    (there,) = [row for row in found["rows"] if row["pool"] == "gaia.c25"]
    assert there["min"] == there["max"] == [0] * 31 * 24 + list(range(24 * 28)) + [0] * 122 * 24
    table = await client.get(MATRIX, params=query, headers={"Accept": "text/csv"})
    assert list(csv.DictReader(io.StringIO(table.text))) == table_of(found)


@given(seed=st.integers(0, 20), limit=st.sampled_from([1, 3, 7]), account=st.sampled_from([None, "a", "b"]))
@FEW
async def test_the_pages_of_a_tree_are_the_bookings_of_its_pools(
    postgres: Postgres, seed: int, limit: int, account: str | None
) -> None:
    async with recorded(postgres, seed) as client:
        top, inside = await tree_of(client, seed)
        query: dict[str, Any] = {"range": RANGE} | ({} if account is None else {"account": account})
        alone = [item for pool in inside for item in await paged(client, limit=100, **named(pool), **query)]
        right = sorted(alone, key=lambda item: (item["start"], item["id"]))
        assert all(account in (None, item["account"]) for item in right)
        tree = {**named(top), **query, "tree": "true"}
        assert await paged(client, limit=limit, **tree) == right
        columns = await answered(client, BOOKINGS, shape="columns", limit=50_000, **tree)
        assert rows_of(columns) == right
        lines = await client.get(BOOKINGS, params=tree, headers={"Accept": "text/csv"})
        table = list(csv.DictReader(io.StringIO(lines.text)))
        assert [(row["id"], row["pool"], row["start"]) for row in table] == [
            (item["id"], item["pool"], item["start"]) for item in right
        ]


@given(seed=st.integers(0, 20), amount=st.sampled_from([{"cores": 2}, {"cores": 30, "servers": 1}, {"share": "10%"}]))
@FEW
async def test_the_slots_of_a_tree_are_those_of_its_pools_the_earliest_pool_first(
    postgres: Postgres, seed: int, amount: dict[str, Any]
) -> None:
    async with recorded(postgres, seed) as client:
        top, inside = await tree_of(client, seed)
        for limit, duration in ((1, "2h"), (4, "30h")):
            query = {"range": "2085-12-31,2086-07-01", "limit": limit, "duration": duration, **amount}
            found = await answered(client, SLOTS, **named(top), **query, tree="true")
            pools = [pool for pool in inside if "share" not in amount or "." in pool]
            alone = [(pool, (await answered(client, SLOTS, **named(pool), **query))["slots"]) for pool in pools]
            right = sorted((one for one in alone if one[1]), key=lambda one: str(one[1][0]["start"]))
            assert [(pool["pool"], pool["slots"]) for pool in found["pools"]] == right
            lines = await client.get(
                SLOTS, params={**named(top), **query, "tree": "true"}, headers={"Accept": "text/csv"}
            )
            flat = [{"pool": pool, **slot} for pool, slots in right for slot in slots]
            assert list(csv.DictReader(io.StringIO(lines.text))) == flat


async def paged(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """The items of all pages of bookings."""
    items = []
    while True:
        page = await answered(client, BOOKINGS, **query)
        assert len(page["items"]) <= query["limit"]
        items += page["items"]
        if page["next"] is None:
            return items
        query["after"] = page["next"]


def rows_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a page of columns."""
    columns, names = page["columns"], page["names"]
    for name, values in names.items():
        columns[name] = [None if place is None else values[place] for place in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


async def test_no_page_of_a_tree_leaves_a_booking_out_or_shows_it_twice_while_others_are_made(
    client: Client, database: Database
) -> None:
    made = [await book(database, (SPARK, GAIA)[number % 2], f"2086-01-01T0{number // 3}") for number in range(9)]
    query: dict[str, Any] = {"project": "gaia", "tree": "true", "range": "2086-01-01,2086-01-02", "limit": 2}
    found, position = [], 7
    while True:
        page = await answered(client, BOOKINGS, **query, min_position=position)
        assert "blocks" not in page
        found += [item["id"] for item in page["items"]]
        for hour in (0, 2):  # before the place that the pages have reached, and behind it
            await book(database, SPARK, f"2086-01-01T0{hour}")
        position += 1
        await touch(database, position, SPARK)
        if page["next"] is None or position > 40:
            break
        query["after"] = page["next"]
    assert len(found) == len(set(found))
    assert {str(booking) for booking in made} <= set(found)


async def test_a_tree_of_bookings_says_what_is_wrong(client: Client) -> None:
    there = "project=gaia&range=2086-01-01,2086-01-02"
    for path, field in (
        (f"{BOOKINGS}?{there}&tree=yes", "tree"),
        (f"{BOOKINGS}?{there}&tree=true&grain=day", "grain"),
        (f"{BOOKINGS}?{there}&tree=true&values=booked", "values"),
        (f"{BOOKINGS}?{there}&tree=true&limit=10001", "limit"),
        (f"{BOOKINGS}?{there}&shape=columns&limit=10001", "limit"),
        (f"{SLOTS}?{there}&tree=true&most=small", "most"),
        (f"{SLOTS}?{there}&tree=1&cores=1&duration=1h", "tree"),
        (f"{SLOTS}?{there}&share=10%25&duration=1h", "share"),
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), path
    for path in (BOOKINGS, f"{SLOTS}?cores=1&duration=1h"):
        for pool in ("project=none", "clusterid=gaia.none"):
            asked = f"{path}{'&' if '?' in path else '?'}{pool}&range=2086-01-01,2086-01-01&tree=true"
            assert (await client.get(asked)).status_code == 404


async def book(database: Database, pool: int, start: str) -> UUID:
    """A booking up to the 2nd of January."""
    booking = await add_item(database, "live_booking", start, "2086-01-02T00", 1, "team")
    await database.execute("UPDATE live_booking SET pool = $1, created = 1 WHERE id = $2", pool, booking)
    return booking
