"""The query service itself: its health, a database that is away, its description."""

import json

from services.query.settings import Settings
from tests.support.querying import serving
from tests.support.seeded import AVAILABLE, EXAMPLE, Client, Database, select


async def test_health_is_the_databases(client: Client) -> None:
    assert (await client.get("/health")).json() == {"status": "ok", "position": 7, "head": 7}


async def test_without_a_database_it_starts_and_answers_503() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none?sslmode=disable")
    async with serving(settings) as client:
        for path in ("/health", AVAILABLE, AVAILABLE + "&min_position=1", "/events"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), answer.text
        assert (await client.get("/live")).text == "ok"  # nobody has to start it again


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
