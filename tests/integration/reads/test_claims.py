"""Bookings, accounts, usage and conflicts over HTTP."""

from uuid import UUID

import pytest

from services.command.domain import (
    AmendBooking,
    CancelBooking,
    CloseAccount,
    CreateAccount,
    ResizeCluster,
    SetLimits,
    TemplateCount,
)
from shared.capacity import Capacity
from shared.events import Limits
from tests.support.project import T0, Project
from tests.support.shown import DAY, Shown, at, template


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
    query = {"range": "2086-01-01,2086-01-02", "dimensions": "cores"}
    days = await shown.get("/accounts/ada/usage", project="gaia", **query)
    assert [block["used"] for block in days["blocks"]] == [{"cores": 20 * 2 + 2 + 2 + 4 + 2}, {"cores": 6 * 2}]
    assert [block["hours"] for block in days["blocks"]] == [24, 24]
    everywhere = await shown.get("/accounts/ada/usage", **query)
    assert everywhere["blocks"] == days["blocks"]
    assert [row["used_cores"] for row in await shown.table("/accounts/ada/usage", **query)] == ["50", "12"]
    clipped = await shown.get("/accounts/ada/usage", range="2086-01-01T03:00Z,2086-01-01T06:00Z", grain="hour")
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
    found = await overcommitted.get("/conflicts/select", project="gaia", range="2086-01-01,2086-01-31")
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
    rows = await overcommitted.table("/conflicts/select", project="gaia", range="2086-01-01,2086-01-31")
    assert [(row["pool"], row["deficit"], row["claims_total"]) for row in rows] == [
        ("gaia", "2", "3"),
        ("gaia", "3", "4"),
        ("gaia", "1", "3"),
    ]
    inside = await overcommitted.get("/conflicts/select", clusterid="gaia.k", range="2086-01-01,2086-01-31")
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
    query = {"project": "gaia", "range": "2086-01-05,2086-01-05"}
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
    found = await shown.get("/conflicts/select", clusterid="gaia.k", range="2086-01-01,2086-01-31")
    (conflict,) = found["conflicts"]
    assert conflict["deficit"] == 2
    assert [(one["amount"], one["state"]) for one in conflict["claims"]] == [(5, "confirmed"), (6, "tentative")]
