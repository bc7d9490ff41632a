"""Grants, bookings, sizes and pools over HTTP, in pages."""

import csv
import io

from tests.support.seeded import EXAMPLE, GAIA, SPARK, Client, Database, add_hours, add_item, select


async def test_resources_are_blocks_and_the_grants_that_touch_the_range(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T00", [4] * 8, [1] * 8)
    late = await add_item(database, "live_grant", "2086-01-01T03", "2086-01-02T00", 3, None)
    early = await add_item(database, "live_grant", "2085-12-31T00", "2086-01-01T01", 1, "nova")
    await add_item(database, "live_grant", "2085-12-31T00", "2086-01-01T00", 9, "ends before")
    await add_item(database, "live_grant", "2086-01-01T08", "2086-01-02T00", 9, "starts after")
    answer = await select(client, "/resources/select", **EXAMPLE)
    assert [list(block)[3:] for block in answer["blocks"]] == [["granted"]]
    assert answer["items"] == [
        {
            "id": str(early),
            "pool": "gaia",
            "start": "2085-12-31T00:00:00Z",
            "end": "2086-01-01T01:00:00Z",
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
            "start": "2086-01-01T03:00:00Z",
            "end": "2086-01-02T00:00:00Z",
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
        await add_item(database, "live_booking", f"2086-01-01T0{n // 3}", "2086-01-02T00", n, f'=n, "{n}"')
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
    await add_hours(database, SPARK, "2086-01-01T00", [4] * 24 + [2] * 12 + [6] * 12)
    answer = (await client.get("/clusters/gaia.spark/sizes", params={"dimensions": "cores,memory"})).json()
    assert answer["sizes"] == [
        {
            "start": "2086-01-01T00:00:00Z",
            "end": "2086-01-02T00:00:00Z",
            "hours": 24,
            "size": {"min": {"cores": 4, "memory": 4096}, "max": {"cores": 4, "memory": 4096}},
        },
        {
            "start": "2086-01-02T00:00:00Z",
            "end": "2086-01-03T00:00:00Z",
            "hours": 24,
            "size": {"min": {"cores": 2, "memory": 2048}, "max": {"cores": 6, "memory": 6144}},
        },
    ]
    ranged = await client.get("/clusters/gaia.spark/sizes", params={"range": "2086-01-02,2086-01-02", "grain": "month"})
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
        "layout": None,
    }
    spark = {
        "id": "gaia.spark",
        "parent": "gaia",
        "project": "gaia",
        "name": "Gaia.Spark",
        "kind": "cluster",
        "start": "2086-01-01T00:00:00Z",
        "end": "2086-01-03T00:00:00Z",
        "layout": None,
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
