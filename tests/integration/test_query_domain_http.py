"""Reads of templates, shares, accounts, slots, conflicts and the compatibility endpoints: commands in, answers out."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.command.domain import (
    AmendBooking,
    CancelBooking,
    CloseAccount,
    CreateAccount,
    CreateCluster,
    CreateGrant,
    CreateTemplate,
    FailResize,
    LayoutChange,
    RequestResize,
    ResizeCluster,
    SetLimits,
    TemplateCount,
    WithdrawGrant,
)
from services.command.domain.commands import ApplyResize
from services.query.settings import Settings
from shared.capacity import DIMENSIONS, NOTHING, Capacity
from shared.events import Limits
from shared.hours import Period, iso
from tests.support.project import T0, Project
from tests.support.querying import serving, show

DAY = "2030-01-01,2030-01-01"
EIGHT = "2030-01-01T00:00Z,2030-01-01T08:00Z"


class Shown:
    """A project, and the answers about it as it is when they are asked for."""

    def __init__(self, database_url: str, client: httpx.AsyncClient) -> None:
        self.project = Project()
        self._database_url, self.client = database_url, client

    async def ask(self, path: str, **query: Any) -> httpx.Response:
        await show(self._database_url, self.project.history)
        headers = query.pop("headers", {})
        return await self.client.get(path, params=query, headers=headers)

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["position"] == len(self.project.history)
        return dict(answer.json())

    async def table(self, path: str, **query: Any) -> list[dict[str, str]]:
        answer = await self.ask(path, headers={"Accept": "text/csv"}, **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(answer.text)))

    async def problem(self, path: str, **query: Any) -> tuple[int, str]:
        answer = await self.ask(path, **query)
        return answer.status_code, answer.json()["errors"][0]["field"]


@pytest.fixture
async def shown(database_url: str) -> AsyncIterator[Shown]:
    async with serving(Settings(database_url=database_url)) as client:
        yield Shown(database_url, client)


def minima(blocks: list[dict[str, Any]], value: str, dimension: str = "cores") -> list[int]:
    return [block[value]["min"][dimension] for block in blocks]


def at(hour: int) -> str:
    return iso(T0 + hour)


def template(project: Project, name: str, **counts: int) -> None:
    project.do(CreateTemplate(template=name, capacity=Capacity(**counts)))


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
    decade = Period(T0 - 60_000, T0 + 60_000)  # the hour that is now lies in it
    shown.project.do(CreateGrant(grant=uuid4(), period=decade, capacity=Capacity(cores=5, memory=6)))
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
        "/available/slots", project="gaia", most="small", range="2030-01-01T00:00Z,2030-01-01T04:00Z"
    )
    assert first["most"]["count"] == 4


async def test_bookings_show_share_template_state_and_segments(shown: Shown) -> None:
    shown.project.grant(0, 48, 10)
    shown.project.cluster("gaia.k", 0, 24, 5)
    template(shown.project, "small", cores=2)
    shared = shown.project.book(0, 4, pool="gaia.k", share=2500)
    by_template = shown.project.book(2, 10, template=TemplateCount(name="small", count=2))
    shown.project.at(5)
    shown.project.amend(by_template, end=20)
    shown.project.do(AmendBooking(booking=by_template, counts={"cores": 1}))
    (item,) = (await shown.get("/bookings/select", clusterid="gaia.k", range=DAY))["items"]
    assert (item["id"], item["share"], item["template"], item["cores"]) == (str(shared), 2500, None, 0)
    assert (item["state"], item["created"], item["series"], item["segment"]) == ("confirmed", 5, None, 0)
    items = (await shown.get("/bookings/select", project="gaia", range=DAY))["items"]
    assert [(one["start"], one["end"], one["cores"], one["segment"]) for one in items] == [
        (at(2), at(5), 4, 0),
        (at(5), at(20), 1, 1),
    ]
    assert {(one["id"], one["created"]) for one in items} == {(str(by_template), 6)}
    assert [one["template"] for one in items] == [{"name": "small", "version": 1, "count": 2}, None]
    rows = await shown.table("/bookings/select", project="gaia", range=DAY)
    assert [(row["template"], row["state"]) for row in rows] == [("small@1 x 2", "confirmed"), ("", "confirmed")]
    page = await shown.get("/bookings/select", project="gaia", range=DAY, limit=1)
    rest = await shown.get("/bookings/select", project="gaia", range=DAY, limit=1, after=page["next"])
    assert [one["segment"] for one in page["items"] + rest["items"]] == [0, 1]
    shown.project.at(7)
    shown.project.do(CancelBooking(booking=by_template))
    items = (await shown.get("/bookings/select", project="gaia", range=DAY))["items"]
    assert [(one["start"], one["end"]) for one in items] == [(at(2), at(5)), (at(5), at(7))]


async def test_the_accounts_of_a_project(shown: Shown) -> None:
    shown.project.do(CreateAccount(account="ada", name="Ada", limits=Limits(capacity={"cores": 8})))
    shown.project.do(CreateAccount(account="bob", name="Bob"))
    first = await shown.ask("/accounts", project="gaia")
    assert first.json()["accounts"] == [
        {"account": "ada", "name": "Ada", "limits": {"capacity": {"cores": 8}}, "closed": False, "created": 2},
        {"account": "bob", "name": "Bob", "limits": {}, "closed": False, "created": 3},
    ]
    shown.project.do(SetLimits(account="ada", limits=Limits(ahead_hours=10)))
    shown.project.do(CloseAccount(account="bob"))
    again = await shown.ask("/accounts", project="gaia", headers={"If-None-Match": first.headers["ETag"]})
    assert [(one["limits"], one["closed"]) for one in again.json()["accounts"]] == [
        ({"ahead_hours": 10}, False),
        ({}, True),
    ]
    assert [row["closed"] for row in await shown.table("/accounts", project="gaia")] == ["false", "true"]


async def test_usage_is_resource_hours_and_a_share_counts_what_it_is_of_the_size(shown: Shown) -> None:
    shown.project.grant(0, 48, 30)
    shown.project.cluster("gaia.k", 0, 48, 9)
    shown.project.book(4, 30, 2, account="ada")
    shown.project.book(0, 10, 1, account="bob")
    shown.project.book(0, 4, pool="gaia.k", share=2000, account="ada")
    shown.project.do(ResizeCluster(cluster="gaia.k", start=T0 + 2, end=T0 + 3, capacity=Capacity(cores=16)))
    query = {"range": "2030-01-01,2030-01-02", "dimensions": "cores"}
    days = await shown.get("/accounts/ada/usage", project="gaia", **query)
    assert [block["used"] for block in days["blocks"]] == [{"cores": 20 * 2 + 2 + 2 + 4 + 2}, {"cores": 6 * 2}]
    assert [block["hours"] for block in days["blocks"]] == [24, 24]
    everywhere = await shown.get("/accounts/ada/usage", **query)
    assert everywhere["blocks"] == days["blocks"]
    assert [row["used_cores"] for row in await shown.table("/accounts/ada/usage", **query)] == ["50", "12"]
    clipped = await shown.get("/accounts/ada/usage", range="2030-01-01T03:00Z,2030-01-01T06:00Z", grain="hour")
    assert [block["used"]["cores"] for block in clipped["blocks"]] == [2, 2, 2]
    nobody = await shown.get("/accounts/nobody/usage", **query)
    assert [block["used"] for block in nobody["blocks"]] == [{"cores": 0}] * 2
    assert await shown.problem("/accounts/ada/usage", project="none", **query) == (404, "project")


@pytest.fixture
async def overcommitted(shown: Shown) -> Shown:
    """Four cores in hours 100 to 110, of which a cluster has two: claims of two, two and one by bookings."""
    shown.project = Project(beyond_hours=48)
    shown.project.grant(0, 200, 4)
    shown.project.cluster("gaia.k", 100, 110, 2)
    shown.project.book(100, 104, 2, account="first")
    shown.project.book(102, 106, 2, account="second")
    shown.project.book(103, 106, 1, account="third")
    return shown


async def test_conflicts_are_runs_of_equal_deficit_with_their_claims(overcommitted: Shown) -> None:
    found = await overcommitted.get("/conflicts/select", project="gaia", range="2030-01-01,2030-01-31")
    assert [(one["start"], one["end"], one["dimension"], one["deficit"]) for one in found["conflicts"]] == [
        (at(102), at(103), "cores", 2),
        (at(103), at(104), "cores", 3),
        (at(104), at(106), "cores", 1),
    ]
    assert [one["deadline"] for one in found["conflicts"]] == [at(102 - 48), at(103 - 48), at(104 - 48)]
    assert found["conflicts_total"] == 3
    claims = found["conflicts"][1]["claims"]
    assert [(one.get("cluster") or one["account"], one["amount"], one["state"]) for one in claims] == [
        ("gaia.k", 2, "confirmed"),
        ("first", 2, "confirmed"),
        ("second", 2, "tentative"),
        ("third", 1, "tentative"),
    ]
    assert [one["position"] for one in claims] == [3, 4, 5, 6]
    assert (claims[1]["start"], claims[1]["end"]) == (at(100), at(104))
    UUID(claims[1]["booking"])
    rows = await overcommitted.table("/conflicts/select", project="gaia", range="2030-01-01,2030-01-31")
    assert [(row["pool"], row["deficit"], row["claims_total"]) for row in rows] == [
        ("gaia", "2", "3"),
        ("gaia", "3", "4"),
        ("gaia", "1", "3"),
    ]
    inside = await overcommitted.get("/conflicts/select", clusterid="gaia.k", range="2030-01-01,2030-01-31")
    assert inside["conflicts"] == []


async def test_the_deadline_of_a_conflict_is_that_of_its_first_hour_also_before_the_range(shown: Shown) -> None:
    shown.project = Project(beyond_hours=48)
    shown.project.grant(0, 4000, 4)
    shown.project.book(100, 3200, 3, account="first")
    shown.project.book(100, 3200, 3, account="second")
    query = {"project": "gaia"}
    (found,) = (await shown.get("/conflicts/select", range=f"{at(3000)},{at(3600)}", **query))["conflicts"]
    assert (found["start"], found["end"], found["deadline"]) == (at(3000), at(3200), at(100 - 48))
    whole = await shown.get("/conflicts/select", range=f"{at(0)},{at(3600)}", **query)
    assert whole["conflicts"] == [found | {"start": at(100)}]
    after = await shown.get("/conflicts/select", range=f"{at(3200)},{at(3600)}", **query)
    assert after["conflicts"] == []


async def test_conflicts_in_a_cluster_are_the_projects_too_and_go_when_they_are_resolved(overcommitted: Shown) -> None:
    booking = overcommitted.project.book(105, 107, 5, pool="gaia.k")
    query = {"project": "gaia", "range": "2030-01-05,2030-01-05"}
    first = await overcommitted.ask("/conflicts/select", **query)
    assert [(one["pool"], one["deficit"]) for one in first.json()["conflicts"]] == [
        ("gaia", 2),
        ("gaia", 3),
        ("gaia", 1),
        ("gaia.k", 3),
    ]
    overcommitted.project.do(CancelBooking(booking=booking))
    overcommitted.project.grant(100, 110, 3)
    again = await overcommitted.ask("/conflicts/select", headers={"If-None-Match": first.headers["ETag"]}, **query)
    assert (again.status_code, again.json()["conflicts"]) == (200, [])
    items = (await overcommitted.get("/bookings/select", **query))["items"]
    assert [item["state"] for item in items] == ["confirmed"] * 3


async def test_a_share_is_a_claim_of_what_it_is_of_the_size(shown: Shown) -> None:
    shown.project = Project(beyond_hours=10)
    shown.project.grant(0, 200, 10)
    shown.project.cluster("gaia.k", 100, 110, 9)
    shown.project.book(100, 104, pool="gaia.k", share=5000)
    shown.project.book(100, 104, 6, pool="gaia.k")
    found = await shown.get("/conflicts/select", clusterid="gaia.k", range="2030-01-01,2030-01-31")
    (conflict,) = found["conflicts"]
    assert conflict["deficit"] == 2
    assert [(one["amount"], one["state"]) for one in conflict["claims"]] == [(5, "confirmed"), (6, "tentative")]


async def test_a_nova_quota_as_the_notes_list_it(shown: Shown) -> None:
    quota = uuid4()
    capacity = Capacity(servers=4, memory=4096, cores=8)
    shown.project.do(CreateGrant(grant=quota, period=Period(T0, T0 + 48), capacity=capacity, source="nova"))
    shown.project.book(0, 5, 3)
    found = await shown.get(f"/novaquota/{quota}")
    assert {name: found[name] for name in ("startdate", "enddate", "servers", "memory", "cores", "source")} == {
        "startdate": at(0),
        "enddate": at(48),
        "servers": 4,
        "memory": 4096,
        "cores": 8,
        "source": "nova",
    }
    assert found["project"] == "gaia"
    query = {"project": "gaia", "range": "2030-01-01,2030-01-02", "grain": "daily"}
    allocated = await shown.get("/novaquota/allocated", **query)
    assert allocated["rows"] == [
        {"date": "2030-01-01", "servers": 4, "memory": 4096, "cores": 8},
        {"date": "2030-01-02", "servers": 4, "memory": 4096, "cores": 8},
    ]
    available = await shown.get("/novaquota/available", **query)
    assert [row["cores"] for row in available["rows"]] == [5, 8]
    answer = await shown.ask("/novaquota/available", headers={"Accept": "text/csv"}, **query)
    assert answer.text.splitlines() == ["date,servers,memory,cores", "2030-01-01,4,4096,5", "2030-01-02,4,4096,8"]
    by_hours = await shown.get("/novaquota/available", **query | {"grain": "24h"})
    assert by_hours["rows"][1]["date"] == at(24)
    shown.project.at(6)
    shown.project.do(WithdrawGrant(grant=quota))
    assert (await shown.get(f"/novaquota/{quota}"))["enddate"] == at(6)
    for other in (uuid4(), "x"):
        assert await shown.problem(f"/novaquota/{other}") == (404, "id")
        assert await shown.problem(f"/novaquota/{other}", headers={"If-None-Match": "*"}) == (404, "id")
    assert (await shown.ask(f"/novaquota/{quota}", headers={"If-None-Match": "*"})).status_code == 304
    assert await shown.problem("/novaquota/allocated", range=DAY) == (400, "project")


async def test_a_magnum_cluster_and_its_resizes(shown: Shown) -> None:
    shown.project.grant(0, 48, 40)
    template(shown.project, "master", cores=2)
    template(shown.project, "worker", cores=4)
    shown.project.do(CreateGrant(grant=uuid4(), period=Period(T0, T0 + 48), capacity=Capacity(servers=20)))
    layout = LayoutChange(masterflavor="master", mastercount=1, workerflavor="worker", workercount=2)
    shown.project.do(
        CreateCluster(cluster="gaia.k", parent="gaia", kind="magnum", period=Period(T0, T0 + 48), layout=layout)
    )
    found = await shown.get("/magcluster/gaia.k")
    assert (found["masterflavor"], found["mastercount"], found["workerflavor"], found["workercount"]) == (
        "master",
        1,
        "worker",
        2,
    )
    assert (found["parent"], found["startdate"], found["enddate"], found["state"]) == (
        "gaia",
        at(0),
        at(48),
        "confirmed",
    )
    applied, failed = uuid4(), uuid4()
    more = ResizeCluster(cluster="gaia.k", start=T0 + 24, layout=LayoutChange(workercount=3))
    shown.project.do(RequestResize(request=applied, resize=more))
    shown.project.do(RequestResize(request=failed, resize=more))
    requested = (await shown.get("/magcluster/gaia.k/resizes"))["resizes"]
    assert [(one["request"], one["state"], one["workercount"]) for one in requested] == [
        (str(applied), "requested", 3),
        (str(failed), "requested", 3),
    ]
    shown.project.do(ApplyResize(cluster="gaia.k", request=applied))
    shown.project.do(FailResize(cluster="gaia.k", request=failed, error="no host"))
    shown.project.do(ResizeCluster(cluster="gaia.k", start=T0 + 36, end=T0 + 40, capacity=NOTHING))
    resizes = (await shown.get("/magcluster/gaia.k/resizes"))["resizes"]
    assert [(one["state"], one["error"], one["startdate"], one["cores"]) for one in resizes] == [
        ("applied", None, at(24), 14),
        ("failed", "no host", at(24), 14),
        ("applied", None, at(36), 0),
    ]
    assert [(one["position"], one["decided"]) for one in resizes] == [(7, 9), (8, 10), (11, 11)]
    assert len(await shown.table("/magcluster/gaia.k/resizes")) == 3
    assert (await shown.get("/magcluster/gaia.k"))["workercount"] == 3
    for query in ({"clusterid": "gaia.k"}, {"project": "gaia", "range": "2030-01-01,2030-01-02"}):
        sizes = await shown.get("/magcluster/sizes", grain="12h", **query)
        assert [(row["servers"], row["cores"]) for row in sizes["rows"]] == [(3, 10), (3, 10), (4, 14), (0, 0)]
    days = await shown.table("/magcluster/sizes", clusterid="gaia.k")
    assert [row["date"] for row in days] == ["2030-01-01", "2030-01-02"]
    assert await shown.problem("/magcluster/gaia.none") == (404, "id")
    assert await shown.problem("/magcluster/gaia.none/resizes") == (404, "id")
    assert await shown.problem("/magcluster/sizes", project="none", range=DAY) == (404, "project")


async def test_a_name_that_is_given_again_shows_who_has_it_now_and_its_hours_are_all_there(shown: Shown) -> None:
    project = shown.project
    project.grant(0, 100, 10)
    project.cluster("gaia.k", 0, 4, 3)
    project.at(4)
    project.do(
        CreateCluster(
            cluster="gaia.k", parent="gaia", kind="other", period=Period(T0 + 6, T0 + 8), capacity=Capacity(cores=5)
        )
    )
    [_, pool] = (await shown.get("/pools", project="gaia"))["pools"]
    assert (pool["id"], pool["kind"], pool["start"], pool["end"]) == ("gaia.k", "other", at(6), at(8))
    blocks = (await shown.get("/available/select", clusterid="gaia.k", range=EIGHT, grain="hour"))["blocks"]
    assert minima(blocks, "granted") == [3, 3, 3, 3, 0, 0, 5, 5]
    blocks = (await shown.get("/available/select", project="gaia", range=EIGHT, grain="hour"))["blocks"]
    assert minima(blocks, "available") == [7, 7, 7, 7, 10, 10, 5, 5]
    sizes = await shown.get("/clusters/gaia.k/sizes", grain="hour")
    assert sizes["range"] == {"start": at(6), "end": at(8)}, "its period is the range where none is given"
