"""The reads of a pool and all pools inside it say what the reads of each single pool say."""

import csv
import io
from typing import Any

import asyncpg
import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.query.settings import Settings
from tests.support.backends import Postgres, as_role, make_database
from tests.support.histories import history
from tests.support.querying import append_and_show, serving
from tests.support.seeded import GAIA, SPARK, Client, Database, add_hours, add_pool, touch

RANGE = "2085-12-29,2086-01-14"
WHAT = st.sampled_from([{}, {"dimension": "servers"}, {"dimension": "memory"}, {"template": "t"}])
GRAINS = st.sampled_from(["hour", "day", "week", "month", "5h"])
ZONES = st.sampled_from(["UTC", "Europe/London", "Asia/Tokyo"])


async def answered(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def pools_of(client: httpx.AsyncClient, project: str) -> list[str]:
    pools = (await answered(client, "/pools", project=project, limit=10_000))["pools"]
    return sorted((pool["id"] for pool in pools), key=lambda pool: pool.split("."))


def named(pool: str) -> dict[str, str]:
    return {"clusterid" if "." in pool else "project": pool}


@given(seed=st.integers(0, 20), what=WHAT, grain=GRAINS, zone=ZONES)
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_each_row_of_the_matrix_is_what_the_pool_alone_answers(
    postgres: Postgres, seed: int, what: dict[str, str], grain: str, zone: str
) -> None:
    url = await make_database(postgres)
    connection = await asyncpg.connect(url)
    await append_and_show(connection, history(seed, 250))
    query = {"range": RANGE, "grain": grain, "tz": zone}
    async with serving(Settings(database_url=as_role(url, "query"))) as client:
        pools = await pools_of(client, "project-1")
        top = pools[min(1, len(pools) - 1)] if seed % 3 else pools[0]
        if "template" in what and not (await answered(client, "/templates", project="project-1"))["templates"]:
            what = {}
        found = await answered(client, "/available/matrix", **named(top), **what, **query)
        inside = [pool for pool in pools if f"{pool}.".startswith(f"{top}.")]
        rows = {row["pool"]: row for row in found["rows"]}
        assert [pool for pool in inside if pool in rows] == [row["pool"] for row in found["rows"]]
        for pool in inside:
            alone = await answered(
                client, "/available/select", **named(pool), **query, shape="blocks", **what_alone(what)
            )
            assert found["columns"]["start"] == [block["start"] for block in alone["blocks"]]
            assert found["columns"]["end"] == [block["end"] for block in alone["blocks"]]
            assert found["columns"]["hours"] == [block["hours"] for block in alone["blocks"]]
            for end in ("min", "max"):
                figures = [figure_of(block, what, end) for block in alone["blocks"]]
                assert (rows[pool][end] if pool in rows else [0] * len(figures)) == figures, (pool, end)
        again = await client.get(
            "/available/matrix", params={**named(top), **what, **query}, headers={"Accept": "text/csv"}
        )
        assert list(csv.DictReader(io.StringIO(again.text))) == table_of(found)
    await connection.close()


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
    found = await answered(client, "/available/matrix", project="gaia", range="2086-01-01,2086-01-02")
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
    later = await answered(client, "/available/matrix", project="gaia", range="2086-01-03,2086-01-03")
    assert [row["pool"] for row in later["rows"]] == ["gaia"]
    await add_hours(database, SPARK, "2086-02-01T00", [2])  # of an older cluster of that name
    await touch(database, 8)
    former = await answered(client, "/available/matrix", project="gaia", range="2086-02-01,2086-02-01", min_position=8)
    assert [(row["pool"], row["max"]) for row in former["rows"]] == [("gaia", [0]), ("gaia.spark", [2])]
    below = await answered(client, "/available/matrix", clusterid="gaia.spark", range="2086-03-01,2086-03-01")
    assert [row["pool"] for row in below["rows"]] == ["gaia.spark"]


async def test_the_matrix_is_made_anew_when_any_pool_of_the_tree_changes(client: Client, database: Database) -> None:
    path, query = "/available/matrix", {"project": "gaia", "range": "2086-01-01,2086-01-02"}
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
        answer = await client.get("/available/matrix", params={"project": "gaia", **query})
        assert answer.status_code == 400, answer.text
        error = answer.json()["errors"][0]
        assert error["field"] == field
        assert says in error["detail"], error
    for pool in ("project=none", "clusterid=gaia.none"):
        assert (await client.get(f"/available/matrix?{pool}&range=2086-01-01,2086-01-01")).status_code == 404


async def test_a_long_matrix_is_the_same_in_pieces(client: Client, database: Database) -> None:
    for pool in range(10, 40):
        await add_pool(database, pool, f"gaia.c{pool}", GAIA)
    await database.execute("UPDATE pool SET ends = '2087-01-01' WHERE parent IS NOT NULL")
    await add_hours(database, 25, "2086-02-01T00", list(range(24 * 28)))
    query = {"project": "gaia", "range": "2086-01-01,2086-06-30", "grain": "hour"}
    found = await answered(client, "/available/matrix", **query)
    assert [len(row["min"]) for row in found["rows"]] == [181 * 24] * 32
    (there,) = [row for row in found["rows"] if row["pool"] == "gaia.c25"]
    assert there["min"] == there["max"] == [0] * 31 * 24 + list(range(24 * 28)) + [0] * 122 * 24
    table = await client.get("/available/matrix", params=query, headers={"Accept": "text/csv"})
    assert list(csv.DictReader(io.StringIO(table.text))) == table_of(found)
