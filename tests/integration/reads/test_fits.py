"""Shares, templates and slots over HTTP: what fits, and when."""

from uuid import uuid4

import pytest

from services.command.domain import CreateGrant, ResizeCluster
from shared.capacity import DIMENSIONS, Capacity
from shared.hours import Period
from tests.support.clock import this_hour
from tests.support.project import T0
from tests.support.shown import DAY, EIGHT, Shown, at, minima, template


async def test_shares_follow_the_size_in_every_hour_and_are_rounded_up(shown: Shown) -> None:
    shown.project.grant(0, 8, 20)
    shown.project.cluster("gaia.k", 0, 8, 9)
    shown.project.book(0, 6, pool="gaia.k", share=2000)
    shown.project.book(0, 8, 1, pool="gaia.k")
    shown.project.do(ResizeCluster(cluster="gaia.k", start=T0 + 2, end=T0 + 4, capacity=Capacity(cores=16)))
    blocks = (await shown.get("/available/select", clusterid="gaia.k", range=EIGHT, grain="hour"))["blocks"]
    assert minima(blocks, "granted") == [9, 9, 16, 16, 9, 9, 9, 9]
    assert minima(blocks, "booked") == [1] * 8
    assert minima(blocks, "shared") == [2, 2, 4, 4, 2, 2, 0, 0]
    assert minima(blocks, "available") == [6, 6, 11, 11, 6, 6, 8, 8]
    for values in ("available", "shared", "shared,available", "booked,available"):
        query = {"clusterid": "gaia.k", "range": EIGHT, "grain": "hour", "values": values, "dimensions": "cores"}
        narrowed = (await shown.get("/available/select", **query))["blocks"]
        for value in values.split(","):
            assert minima(narrowed, value) == minima(blocks, value)
    one = (await shown.get("/available/select", clusterid="gaia.k", range=EIGHT))["blocks"][0]
    assert (one["shared"]["min"]["cores"], one["shared"]["max"]["cores"]) == (0, 4)


async def test_how_many_of_a_template_fit_is_taken_per_hour_first(shown: Shown) -> None:
    shown.project.do(
        CreateGrant(grant=uuid4(), period=Period(T0, T0 + 8), capacity=Capacity(cores=5, memory=6, servers=1))
    )
    template(shown.project, "tiny", cores=1, memory=1)
    template(shown.project, "small", cores=2, memory=2)
    shown.project.book(4, 8, 4)
    for name, by_hour in (("tiny", [5] * 4 + [1] * 4), ("small", [2] * 4 + [0] * 4), ("small@1", [2] * 4 + [0] * 4)):
        query = {"project": "gaia", "range": EIGHT, "template": name}
        blocks = (await shown.get("/available/select", grain="hour", **query))["blocks"]
        assert [block["fits"] for block in blocks] == [{"min": n, "max": n} for n in by_hour]
        (block,) = (await shown.get("/available/select", dimensions="servers", values="booked", **query))["blocks"]
        assert block["fits"] == {"min": min(by_hour), "max": max(by_hour)}
        assert block["booked"] == {"min": {"servers": 0}, "max": {"servers": 0}}
    columns = (await shown.get("/available/select", shape="columns", grain="4h", **query))["columns"]
    assert columns["fits"] == {"min": [2, 0], "max": [2, 0]}
    rows = await shown.table("/available/select", grain="4h", **query)
    assert [(row["fits_min"], row["fits_max"]) for row in rows] == [("2", "2"), ("0", "0")]
    assert await shown.problem("/available/select", project="gaia", range=DAY, template="big") == (400, "template")
    assert await shown.problem("/available/select", project="none", range=DAY, template="big") == (404, "project")


async def test_an_answer_about_templates_changes_with_a_new_version(shown: Shown) -> None:
    shown.project.grant(0, 8, 6)
    shown.project.cluster("gaia.k", 0, 8, 6)
    template(shown.project, "small", cores=1)
    query = {"clusterid": "gaia.k", "range": EIGHT, "template": "small"}
    first = await shown.ask("/available/select", **query)
    template(shown.project, "small", cores=3)
    again = await shown.ask("/available/select", headers={"If-None-Match": first.headers["ETag"]}, **query)
    assert (again.status_code, again.json()["blocks"][0]["fits"]["max"]) == (200, 2)
    old = await shown.get("/available/select", **query | {"template": "small@1"})
    assert old["blocks"][0]["fits"]["max"] == 6
    same = await shown.ask("/available/select", headers={"If-None-Match": again.headers["ETag"]}, **query)
    assert same.status_code == 304


async def test_the_templates_of_a_project_every_version_the_newest_first(shown: Shown) -> None:
    assert (await shown.get("/templates", project="gaia"))["templates"] == []
    template(shown.project, "small", cores=1)
    template(shown.project, "large", cores=8, memory=4)
    template(shown.project, "small", cores=2)
    listed = await shown.get("/templates", project="gaia")
    assert [row["id"] for row in listed["templates"]] == ["large@1", "small@2", "small@1"]
    assert listed["templates"][1] == {
        "id": "small@2",
        "name": "small",
        "version": 2,
        "actor": "ada",
        "created": 4,
        "capacity": dict.fromkeys(DIMENSIONS, 0) | {"cores": 2},
    }
    assert [row["cores"] for row in await shown.table("/templates", project="gaia")] == ["8", "2", "1"]
    assert await shown.problem("/templates", project="none") == (404, "project")
    assert await shown.problem("/templates") == (400, "project")


async def test_what_fits_now(shown: Shown) -> None:
    now = await shown.get("/available/now", project="gaia")
    assert (now["available"], now["templates"]) == (dict.fromkeys(DIMENSIONS, 0), [])
    now_and_next = Period(this_hour(), this_hour() + 2)
    shown.project.do(CreateGrant(grant=uuid4(), period=now_and_next, capacity=Capacity(cores=5, memory=6)))
    template(shown.project, "small", cores=2, memory=2)
    template(shown.project, "tiny", cores=1, memory=1)
    now = await shown.get("/available/now", project="gaia")
    assert (now["available"]["cores"], now["available"]["memory"]) == (5, 6)
    assert [(one["name"], one["version"], one["fits"]) for one in now["templates"]] == [("small", 1, 2), ("tiny", 1, 5)]
    rows = await shown.table("/available/now", project="gaia")
    assert [(row["name"], row["cores"], row["fits"]) for row in rows] == [
        ("", "5", ""),
        ("small", "2", "2"),
        ("tiny", "1", "5"),
    ]
    assert {row["hour"] for row in rows} == {now["hour"]}
    assert await shown.problem("/available/now", clusterid="gaia.none") == (404, "clusterid")


async def test_slots_are_the_earliest_starts_that_fit_throughout(shown: Shown) -> None:
    shown.project.grant(0, 8, 4)
    template(shown.project, "small", cores=2)
    shown.project.book(2, 3, 3)
    query = {"project": "gaia", "range": EIGHT, "duration": "2h"}
    found = await shown.get("/available/slots", cores="2", **query)
    assert found["duration_hours"] == 2
    assert [slot["start"] for slot in found["slots"]] == [at(hour) for hour in (0, 3, 4, 5, 6)]
    assert found["slots"][0]["end"] == at(2)
    assert (await shown.get("/available/slots", cores="1", limit=2, **query))["slots"] == [
        {"start": at(0), "end": at(2)},
        {"start": at(1), "end": at(3)},
    ]
    assert (await shown.get("/available/slots", template="small", count="3", **query))["slots"] == []
    by_template = await shown.get("/available/slots", template="small", count="2", **query)
    assert [slot["start"] for slot in by_template["slots"]] == [at(hour) for hour in (0, 3, 4, 5, 6)]
    assert len(await shown.table("/available/slots", cores="2", **query)) == 5
    assert (await shown.get("/available/slots", project="gaia", duration="2h", servers="1"))["slots"] == []


async def test_slots_of_a_share_are_where_the_cluster_is_and_has_it(shown: Shown) -> None:
    shown.project.grant(0, 24, 10)
    shown.project.cluster("gaia.k", 2, 8, 10)
    shown.project.book(2, 4, pool="gaia.k", share=9000)
    shown.project.book(6, 8, 8, pool="gaia.k")
    query = {"clusterid": "gaia.k", "range": DAY, "duration": "1h"}
    for share, hours in (("10%", [2, 3, 4, 5, 6, 7]), ("1001", [4, 5, 6, 7]), ("20%", [4, 5, 6, 7]), ("2001", [4, 5])):
        found = await shown.get("/available/slots", share=share, **query)
        assert [slot["start"] for slot in found["slots"]] == [at(hour) for hour in hours], share


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"duration": "2h"}, "template"),
        ({"duration": "2h", "cores": "1", "template": "small"}, "template"),
        ({"cores": "1"}, "duration"),
        ({"duration": "two", "cores": "1"}, "duration"),
        ({"duration": "2h", "cores": "-1"}, "cores"),
        ({"duration": "2h", "cores": "0"}, "capacity"),
        ({"duration": "2h", "share": "20%"}, "share"),
        ({"duration": "2h", "template": "small"}, "template"),
        ({"duration": "2h", "template": "s@x"}, "template"),
        ({"most": "small"}, "range"),
        ({"most": "small", "range": DAY}, "most"),
        ({"most": "small", "range": DAY, "cores": "1"}, "most"),
        ({"duration": "2h", "cores": "1", "colour": "red"}, "colour"),
    ],
)
async def test_a_bad_search_is_told_which_field(shown: Shown, query: dict[str, str], field: str) -> None:
    assert await shown.problem("/available/slots", project="gaia", **query) == (400, field)


async def test_who_asks_for_a_template_of_a_pool_that_is_not_there_is_told_of_the_pool(shown: Shown) -> None:
    for query in ({"template": "small", "duration": "2h", "range": EIGHT}, {"most": "small", "range": EIGHT}):
        assert await shown.problem("/available/slots", project="none", **query) == (404, "project")
        assert await shown.problem("/available/slots", clusterid="gaia.none", **query) == (404, "clusterid")


async def test_a_count_may_begin_with_zeros_and_nothing_is_too_long_to_be_refused(shown: Shown) -> None:
    shown.project.grant(0, 8, 4)
    query = {"project": "gaia", "range": EIGHT, "duration": "2h"}
    for cores in ("4", "0" * 30 + "4"):
        assert len((await shown.get("/available/slots", cores=cores, **query))["slots"]) == 7
    for cores in ("0" * 30 + "9" * 30, "9" * 4000, "1000000000001", "²", "0" * 30):
        field = "capacity" if cores.strip("0") == "" else "cores"
        assert await shown.problem("/available/slots", cores=cores, **query) == (400, field)


async def test_a_bad_share_of_a_cluster(shown: Shown) -> None:
    for share in ("0%", "101%", "0", "10001", "x", "1.234%"):
        query = {"clusterid": "gaia.k", "duration": "1h", "share": share}
        assert await shown.problem("/available/slots", **query) == (400, "share")


async def test_the_most_that_fits_a_window(shown: Shown) -> None:
    shown.project.grant(0, 8, 9)
    template(shown.project, "small", cores=2)
    shown.project.book(4, 5, 3)
    found = await shown.get("/available/slots", project="gaia", most="small", range=EIGHT)
    assert found["most"] == {"template": "small", "version": 1, "count": 3}
    first = await shown.get(
        "/available/slots", project="gaia", most="small", range="2086-01-01T00:00Z,2086-01-01T04:00Z"
    )
    assert first["most"]["count"] == 4
