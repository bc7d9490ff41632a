"""What an account holds at an instant, by pool, and until when."""

import asyncio
from typing import Any

import httpx

from services.command.domain import CancelBooking, CreateExclusive, ResizeCluster
from services.query.answers.answers import HOURS_AT_ONCE, HOURS_FREE
from services.query.app import create_app
from services.query.settings import Settings
from shared.capacity import Capacity
from shared.hours import Period
from tests.support.backends import as_role
from tests.support.listening import listening
from tests.support.project import T0, Project, cores
from tests.support.seeded import GAIA, Database
from tests.support.shown import Shown, at


async def held(shown: Shown, hour: int, account: str = "ada", **query: Any) -> dict[str, Any]:
    return await shown.get("/entitlements", account=account, at=at(hour), **query)


def figures(answer: dict[str, Any], dimension: str = "cores") -> dict[str, tuple[int, str]]:
    """By pool: the amount, and until when."""
    return {one["pool"]: (one[dimension], one["until"]) for one in answer["entitlements"]}


async def test_it_says_what_an_account_holds_by_pool_and_until_when(shown: Shown) -> None:
    project = shown.project
    project.grant(0, 1000, 20)
    project.cluster("gaia.spark", 0, 100, 10)
    first = project.book(10, 20, 2)
    second = project.book(15, 30, 1)
    project.book(12, 14, 4, "gaia.spark")
    project.book(0, 90, 5, account="eve")
    nothing = await held(shown, 0)
    assert (nothing["account"], nothing["at"]) == ("ada", at(0))
    assert (nothing["entitlements"], nothing["until"]) == ([], at(10))
    assert figures(await held(shown, 12)) == {"gaia": (2, at(15)), "gaia.spark": (4, at(14))}
    later = await held(shown, 15)
    assert figures(later) == {"gaia": (3, at(20))}
    assert later["entitlements"][0] == {
        "pool": "gaia",
        "project": "gaia",
        "servers": 0,
        "cores": 3,
        "memory": 0,
        "tempdisc": 0,
        "userdisc": 0,
        "datadisc": 0,
        "until": at(20),
        "bookings": [
            {"id": str(first), "start": at(10), "end": at(20), "share": 0, "state": "confirmed"},
            {"id": str(second), "start": at(15), "end": at(30), "share": 0, "state": "confirmed"},
        ],
    }
    never = await held(shown, 30)
    assert (never["entitlements"], never["until"]) == ([], None)
    rows = await shown.table("/entitlements", account="ada", at=at(12))
    assert [(row["pool"], row["cores"], row["until"]) for row in rows] == [
        ("gaia", "2", at(15)),
        ("gaia.spark", "4", at(14)),
    ]


async def test_bookings_that_follow_each_other_at_the_same_amounts_are_one_run(shown: Shown) -> None:
    project = shown.project
    project.grant(0, 9000, 20)
    for start in range(0, 1200, 24):  # farther than is read at first
        project.book(start, start + 24, 2)
    project.book(1200, 1210, 3)
    project.book(4000, 4010, 3)
    answer = await held(shown, 5)
    assert figures(answer) == {"gaia": (2, at(1200))}
    assert answer["until"] == at(1200)
    assert len(answer["entitlements"][0]["bookings"]) == 1
    assert (await held(shown, 1300))["until"] == at(4000)


async def test_shares_are_added_and_rounded_down_and_follow_the_size(shown: Shown) -> None:
    project = shown.project
    project.grant(0, 1000, 40)
    project.cluster("gaia.spark", 0, 100, 10)
    for share in (1500, 1000):
        project.book(0, 90, pool="gaia.spark", share=share)
    project.do(ResizeCluster(cluster="gaia.spark", capacity=cores(11), start=T0 + 20, end=T0 + 40))  # 2.75: still 2
    project.do(ResizeCluster(cluster="gaia.spark", capacity=cores(20), start=T0 + 40, end=T0 + 60))
    assert figures(await held(shown, 3)) == {"gaia.spark": (2, at(40))}
    assert figures(await held(shown, 45)) == {"gaia.spark": (5, at(60))}
    assert figures(await held(shown, 60)) == {"gaia.spark": (2, at(90))}


async def test_an_exclusive_booking_holds_its_whole_cluster(shown: Shown) -> None:
    project = shown.project
    project.grant(0, 1000, 40)
    booking = project.context().command
    project.do(
        CreateExclusive(
            booking=booking,
            cluster="gaia.mine",
            parent="gaia",
            account="ada",
            period=Period(T0, T0 + 10),
            capacity=Capacity(cores=8),
        )
    )
    assert figures(await held(shown, 3)) == {"gaia.mine": (8, at(10))}
    project.do(CancelBooking(booking=booking))
    assert (await held(shown, 3))["entitlements"] == []


async def test_a_tentative_booking_holds_nothing_in_a_short_hour(shown: Shown) -> None:
    project = shown.project = Project(beyond_hours=24)
    project.grant(0, 100, 4)
    project.grant(100, 200, 2)
    project.book(90, 120, 2, account="eve")
    project.book(80, 110, 2)  # the hours from 100 on are short
    held_now = await held(shown, 85)
    assert figures(held_now) == {"gaia": (2, at(100))}
    assert held_now["entitlements"][0]["bookings"][0]["state"] == "tentative"
    short = await held(shown, 105)
    assert (short["entitlements"], short["until"]) == ([], None)
    project.grant(100, 200, 2)
    assert figures(await held(shown, 105)) == {"gaia": (2, at(110))}


async def test_what_lies_in_a_tentative_cluster_is_lost_in_its_short_hours(shown: Shown) -> None:
    project = shown.project = Project(beyond_hours=24)
    project.grant(0, 100, 4)
    project.grant(100, 200, 2)
    project.cluster("gaia.spark", 80, 120, 4)
    project.book(80, 110, pool="gaia.spark", share=5000)
    assert figures(await held(shown, 85)) == {"gaia.spark": (2, at(100))}
    assert (await held(shown, 105))["entitlements"] == []


async def test_a_project_narrows_it_and_faults_name_the_field(shown: Shown) -> None:
    shown.project.grant(0, 100, 4)
    shown.project.book(0, 10, 2)
    assert figures(await held(shown, 5, project="gaia")) == {"gaia": (2, at(10))}
    assert (await shown.ask("/entitlements", account="ada", project="nope")).status_code == 404
    assert await shown.problem("/entitlements") == (400, "account")
    assert await shown.problem("/entitlements", account="ada", at="2086-01-01") == (400, "at")
    assert await shown.problem("/entitlements", account="ada", at="2186-01-01T00:00Z") == (400, "at")
    assert (await shown.get("/entitlements", account="ada"))["until"] == at(0)


MANY = """
INSERT INTO live_booking
SELECT 1, gen_random_uuid(), $1, timestamptz '2086-01-01 00:00Z' + n * interval '1 hour',
    timestamptz '2086-01-01 00:00Z' + (n + 1) * interval '1 hour', 0, 1, 0, 0, 0, 0, $2, $2, 0, false, 1, 1, 0
FROM generate_series(0, $3::int - 1) AS n
"""


async def test_an_account_with_many_bookings_waits_for_its_turn_and_no_other_does(
    database: Database, seeded_url: str
) -> None:
    for account, bookings in (("ada", HOURS_FREE + 1), ("eve", 3)):
        await database.execute(MANY, GAIA, account, bookings)
    application = create_app(Settings(database_url=as_role(seeded_url, "query")))
    wide, path = application.state.parts.wide, "/entitlements?at=2086-01-01T00:00Z&account="
    async with listening(application) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        async with wide.admitted(HOURS_AT_ONCE), asyncio.timeout(30):
            asking = asyncio.create_task(client.get(path + "ada"))
            while not wide.waiting:
                await asyncio.sleep(0.005)
            few = await client.get(path + "eve")
            assert not asking.done()
        for answer in (few, await asking):
            assert [one["cores"] for one in answer.json()["entitlements"]] == [1]
