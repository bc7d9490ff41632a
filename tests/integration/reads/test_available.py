"""The availability of a pool over HTTP: grains, dimensions, values, columns and CSV."""

import pytest

from shared.capacity import DIMENSIONS
from tests.support.seeded import EXAMPLE, GAIA, Client, Database, add_hours, cores, select


@pytest.mark.usefixtures("example")
async def test_the_example_of_the_notes_by_hour_and_in_one_block(client: Client) -> None:
    by_hour = await select(client, grain="hour", **EXAMPLE)
    assert cores(by_hour["blocks"], "min") == cores(by_hour["blocks"], "max") == [4, 3, 2, 3, 4, 2, 4, 4]
    assert cores(by_hour["blocks"], "min", "booked") == [0, 1, 2, 1, 0, 2, 0, 0]
    one = await select(client, **EXAMPLE)
    zero = dict.fromkeys(DIMENSIONS, 0)
    assert one == {
        "pool": "gaia",
        "range": {"start": "2086-01-01T00:00:00Z", "end": "2086-01-01T08:00:00Z"},
        "grain": "day",
        "timezone": "UTC",
        "position": 7,
        "blocks": [
            {
                "start": "2086-01-01T00:00:00Z",
                "end": "2086-01-01T08:00:00Z",
                "hours": 8,
                "granted": {end: zero | {"cores": 4, "memory": 4096} for end in ("min", "max")},
                "booked": {"min": zero, "max": zero | {"cores": 2, "memory": 2048}},
                "shared": {"min": zero, "max": zero},
                "available": {"min": zero | {"cores": 2, "memory": 2048}, "max": zero | {"cores": 4, "memory": 4096}},
            }
        ],
    }


async def test_available_is_taken_per_hour_before_the_minimum(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T00", [9, 1], [9, 1])
    for values in ({}, {"values": "available"}):
        blocks = (await select(client, range="2086-01-01T00:00Z,2086-01-01T02:00Z", **values))["blocks"]
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
    # 2086-01-04 is a Friday: the first week is clipped to three days.
    answer = await select(client, range="2086-01-04,2086-01-13", grain=grain)
    assert [block["hours"] for block in answer["blocks"]] == hours
    assert answer["blocks"][0]["start"] == "2086-01-04T00:00:00Z"
    assert answer["blocks"][-1]["end"] == "2086-01-14T00:00:00Z"
    starts, ends = ([block[edge] for block in answer["blocks"]] for edge in ("start", "end"))
    assert starts[1:] == ends[:-1]


async def test_days_of_23_and_25_hours(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-03-30T23", [5] + [8] * 23)
    await add_hours(database, GAIA, "2086-10-26T23", [3] + [8] * 24)
    spring = await select(client, range="2086-03-30,2086-04-01", tz="Europe/London")
    assert [block["hours"] for block in spring["blocks"]] == [24, 23, 24]
    assert spring["blocks"][2]["start"] == "2086-03-31T23:00:00Z"
    assert cores(spring["blocks"], "max") == [5, 8, 0]
    assert cores(spring["blocks"], "min") == [0, 8, 0]
    autumn = await select(client, range="2086-10-26,2086-10-28", tz="Europe/London")
    assert [block["hours"] for block in autumn["blocks"]] == [24, 25, 24]
    assert cores(autumn["blocks"], "min") == [0, 3, 0]
    assert cores(autumn["blocks"], "max") == [0, 8, 0]


async def test_hours_without_rows_are_zero(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T02", [4, 4])
    blocks = (await select(client, range="2086-01-01T00:00Z,2086-01-01T05:00Z", grain="hour"))["blocks"]
    assert cores(blocks, "min") == [0, 0, 4, 4, 0]
    assert cores((await select(client, range="2087-01-01,2087-01-01"))["blocks"], "max") == [0]
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
        "start": ["2086-01-01T00:00:00Z", "2086-01-01T03:00:00Z", "2086-01-01T06:00:00Z"],
        "end": ["2086-01-01T03:00:00Z", "2086-01-01T06:00:00Z", "2086-01-01T08:00:00Z"],
        "hours": [3, 3, 2],
        "available": {"cores": {"min": [2, 2, 4], "max": [4, 4, 4]}},
    }
    assert (await select(client, grain="hour", **query))["columns"] == {
        "start": "2086-01-01T00:00:00Z",
        "step_hours": 1,
        "count": 8,
        "available": {"cores": {"min": [4, 3, 2, 3, 4, 2, 4, 4]}},
    }


async def test_a_month_by_hour_in_columns_is_about_10_kb(client: Client, database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T00", [1000] * 744, [n % 500 for n in range(744)])
    query = {"project": "gaia", "range": "2086-01-01,2086-01-31", "grain": "hour", "dimensions": "cores,memory"}
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
            "2086-01-01T00:00:00Z,2086-01-01T04:00:00Z,4,2,2048,4,4096",
            "2086-01-01T04:00:00Z,2086-01-01T08:00:00Z,4,2,2048,4,4096",
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
    await add_hours(database, GAIA, "2086-12-31T23", [6])
    answer = await select(client, range="2086-01-01,2086-12-31", grain="hour")
    assert len(answer["blocks"]) == 8760
    assert cores(answer["blocks"], "min")[-2:] == [0, 6]
