"""Commands over HTTP: templates, shares, accounts, amendments, recurring bookings, dry runs, OpenStack's endpoints."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from litestar.testing import AsyncTestClient

from services.command.app import create_app
from services.command.handler.handler import CommandHandler
from services.command.scheduler import Scheduler
from services.command.settings import Settings
from shared.events import BookingLapsed, decode_event
from shared.identity.principals import LEDGER
from shared.ids import new_id
from shared.tasks import end_tasks
from tests.support.backends import as_role

MONTH = {"startdate": "2086-01-01", "enddate": "2086-01-31"}
DAY = {"startdate": "2086-01-02", "enddate": "2086-01-02"}


class Hourbook:
    """The project `gaia` with 10 cores and 40 GiB of memory in January 2030."""

    def __init__(self, client: AsyncTestClient[Any]) -> None:
        self.client = client

    async def ask(self, path: str, expected: int = 201, method: str = "POST", **body: Any) -> Any:
        """The decoded body of an answer that must have the status `status`. `key` is the Idempotency-Key."""
        headers = {"Idempotency-Key": key} if (key := body.pop("key", None)) else {}
        answer = await self.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def book(self, expected: int = 201, path: str = "/bookings/create", **body: Any) -> Any:
        asked = {"account": "ada", **DAY, **body}
        if "clusterid" not in asked:
            asked["project"] = "gaia"
        return await self.ask(path, expected, **asked)


@pytest.fixture
async def gaia(database_url: str) -> AsyncIterator[Hourbook]:
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "command")))) as client:
        gaia = Hourbook(client)
        await gaia.ask("/projects/create", id="gaia", name="Gaia")
        await gaia.ask("/resources/create", project="gaia", cores=10, memory=40_960, **MONTH)
        yield gaia


async def test_a_booking_by_template_stores_counts_name_and_version(gaia: Hourbook) -> None:
    small = {"project": "gaia", "name": "small", "cores": 2, "memory": 4096}
    assert (await gaia.ask("/templates/create", **small))["decided"][0]["version"] == 1
    assert (await gaia.ask("/templates/create", 200, **small))["decided"] == []
    booked = (await gaia.book(template="small", count=3))["decided"][0]
    assert booked["capacity"] == {"cores": 6, "memory": 12_288}
    assert booked["template"] == {"name": "small", "version": 1, "count": 3}
    assert (await gaia.ask("/templates/create", **small | {"cores": 3}))["decided"][0]["version"] == 2
    assert (await gaia.book(template="small"))["decided"][0]["capacity"]["cores"] == 3
    assert (await gaia.book(400, template="small", cores=1))["errors"][0]["field"] == "template"
    assert (await gaia.book(400, template="large"))["errors"][0]["field"] == "template"
    assert (await gaia.book(400, count=2, cores=1))["errors"][0]["field"] == "count"


@pytest.mark.parametrize(("share", "points"), [("20%", 2000), ("12.5%", 1250), ("0.01%", 1), (300, 300)])
async def test_a_share_is_percent_or_basis_points(gaia: Hourbook, share: Any, points: int) -> None:
    await gaia.ask("/clusters/create", parent="gaia", name="spark", cores=10, **MONTH)
    booked = (await gaia.book(clusterid="gaia.spark", share=share))["decided"][0]
    assert (booked["share"], booked.get("capacity")) == (points, None)


@pytest.mark.parametrize("share", ["20", "0%", "101%", "1.234%", 0, 10_001, -5, "half", "20 %"])
async def test_what_is_no_share_is_refused_with_its_field(gaia: Hourbook, share: Any) -> None:
    await gaia.ask("/clusters/create", parent="gaia", name="spark", cores=10, **MONTH)
    assert (await gaia.book(400, clusterid="gaia.spark", share=share))["errors"][0]["field"] == "share"


async def test_all_of_a_new_cluster_in_one_append(gaia: Hourbook) -> None:
    answer = await gaia.book(share="100%", cores=8, name="mine", key="k")
    assert [event["type"] for event in answer["decided"]] == ["ClusterCreated", "BookingCreated"]
    assert answer["id"] == answer["decided"][1]["booking"]
    assert answer["decided"][1]["pool"] == "gaia.mine"
    assert (await gaia.book(200, share="100%", cores=8, name="mine", key="k"))["id"] == answer["id"]
    assert (await gaia.book(409, share="100%", cores=3))["code"] == "capacity_exceeded"
    assert (await gaia.book(400, share="50%", cores=1))["errors"][0]["field"] == "share"
    await gaia.ask(f"/bookings/{answer['id']}/cancel")


async def test_amend_moves_what_has_not_begun(gaia: Hourbook) -> None:
    booking = (await gaia.book(cores=4))["id"]
    (amended,) = (await gaia.ask(f"/bookings/{booking}/amend", enddate="2086-01-05", cores=6))["decided"]
    assert (amended["type"], amended["end"], amended["capacity"]) == (
        "BookingAmended",
        "2086-01-06T00:00:00Z",
        {"cores": 6},
    )
    assert (await gaia.ask(f"/bookings/{booking}/amend", 200, cores=6))["decided"] == []
    assert (await gaia.ask(f"/bookings/{booking}/amend", 409, cores=11))["code"] == "capacity_exceeded"
    assert (await gaia.ask(f"/bookings/{booking}/amend", 409, enddate="2086-02-05"))["code"] == "capacity_exceeded"


async def test_a_dry_run_answers_what_would_happen_and_appends_nothing(gaia: Hourbook) -> None:
    dry = "/bookings/create?dry_run=true"
    fits = await gaia.book(200, dry, cores=4)
    assert (fits["accepted"], fits["problem"], fits["decided"][0]["type"]) == (True, None, "BookingCreated")
    await gaia.book(cores=7)
    refused = await gaia.book(200, dry, cores=4)
    assert (refused["accepted"], refused["decided"], refused["version"]) == (False, [], 3)
    assert refused["problem"]["code"] == "capacity_exceeded"
    assert refused["problem"]["shortages"][0]["available"] == 3
    assert refused["nearest"] == {"start": "2086-01-01T00:00:00Z", "end": "2086-01-02T00:00:00Z"}
    never = await gaia.book(200, dry, cores=11)
    assert (never["accepted"], never["nearest"]) == (False, None)
    project = await gaia.ask("/projects/create?dry_run=true", 200, id="new", name="New")
    assert project["accepted"]
    assert (await gaia.ask("/resources/create", 404, project="new", cores=1, **MONTH))["code"] == "unknown_id"
    assert (await gaia.book(400, "/bookings/create?dry_run=maybe", cores=1))["errors"][0]["field"] == "dry_run"
    assert (await gaia.book(400, "/bookings/create?dryrun=1", cores=1))["errors"][0]["field"] == "dryrun"
    assert (await gaia.ask(f"/bookings/{new_id()}/cancel?dry_run=true", 404))["code"] == "unknown_id"


async def test_the_nearest_period_is_one_that_would_be_accepted(gaia: Hourbook) -> None:
    await gaia.ask("/accounts/create", project="gaia", account="ada", limits={"duration_hours": 5})
    refused = await gaia.book(200, "/bookings/create?dry_run=true", cores=1)
    assert (refused["problem"]["code"], refused["nearest"]) == ("account_limit_exceeded", None)


@pytest.mark.parametrize("name", ["evil\n", "evil\r\n", "a b", "a\x00"])
async def test_an_id_ends_where_it_ends(gaia: Hourbook, name: str) -> None:
    assert (await gaia.ask("/projects/create", 400, id=name, name="Evil"))["errors"][0]["field"] == "id"
    template = {"project": "gaia", "name": name, "cores": 1}
    assert (await gaia.ask("/templates/create", 400, **template))["errors"][0]["field"] == "name"
    assert (await gaia.book(400, clusterid=f"gaia.{name}", cores=1))["errors"][0]["field"] == "clusterid"


async def test_a_path_that_no_cluster_can_have_is_not_found(gaia: Hourbook) -> None:
    for path in ("/clusters/a%00b/resize", "/magcluster/a%0Ab/resize"):
        assert (await gaia.ask(path, 404))["code"] == "unknown_id"


async def test_pools_lie_eight_levels_deep_at_most(gaia: Hourbook) -> None:
    parent = "gaia"
    for _ in range(7):
        parent = (await gaia.ask("/clusters/create", parent=parent, name="c", cores=1, **MONTH))["id"]
    refused = await gaia.ask("/clusters/create", 400, parent=parent, name="c", cores=1, **MONTH)
    assert refused["errors"][0]["field"] == "parent"


async def test_accounts_and_their_limits(gaia: Hourbook) -> None:
    limits = {"capacity": {"cores": 5}, "duration_hours": 48}
    assert (await gaia.ask("/accounts/create", project="gaia", account="ada", limits=limits))["id"] == "ada"
    assert (await gaia.book(404, account="grace", cores=1))["errors"][0]["field"] == "account"
    refusal = await gaia.book(409, cores=6)
    assert (refusal["code"], refusal["limit"], refusal["asked"], refusal["allowed"], refusal["dimension"]) == (
        "account_limit_exceeded",
        "capacity",
        6,
        5,
        "cores",
    )
    await gaia.ask("/accounts/ada/limits", project="gaia", limits={})
    booking = (await gaia.book(cores=6))["id"]
    await gaia.ask("/accounts/ada/close", project="gaia")
    assert "closed" in (await gaia.book(409, cores=1))["detail"]
    await gaia.ask(f"/bookings/{booking}/cancel")
    assert (await gaia.ask("/accounts/bob/close", 404, project="gaia"))["errors"][0]["field"] == "account"
    wrong = await gaia.ask("/accounts/create", 400, project="gaia", account="x", limits={"capacity": {"gpus": 1}})
    assert wrong["errors"][0]["field"] == "limits.capacity"


async def test_a_recurring_booking_tells_what_became_of_each_occurrence(gaia: Hourbook) -> None:
    hours = {"startdate": "2086-01-07T09:00:00+01:00", "enddate": "2086-01-07T12:00:00+01:00", "tz": "Europe/Berlin"}
    rule = {"rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=3", "cores": 8, **hours}
    await gaia.book(cores=5, startdate="2086-01-14", enddate="2086-01-14")
    refusal = await gaia.book(409, **rule)
    assert (refusal["code"], refusal["occurrence"]["number"]) == ("capacity_exceeded", 2)
    answer = await gaia.book(skip=True, key="weekly", **rule)
    outcomes = [(one["start"], one["booking"] is None, one["refused"] is None) for one in answer["occurrences"]]
    assert outcomes == [
        ("2086-01-07T08:00:00Z", False, True),
        ("2086-01-14T08:00:00Z", True, False),
        ("2086-01-21T08:00:00Z", False, True),
    ]
    assert (await gaia.book(200, skip=True, key="weekly", **rule))["occurrences"] == answer["occurrences"]
    await gaia.ask(f"/bookings/{answer['occurrences'][2]['booking']}/cancel")
    assert (await gaia.book(400, **rule | {"rrule": "FREQ=SOMETIMES"}))["errors"][0]["field"] == "rrule"
    assert (await gaia.book(400, cores=1, skip=True))["errors"][0]["field"] == "skip"


async def test_three_days_of_cairo_are_booked_whole_also_the_one_without_a_midnight(gaia: Hourbook) -> None:
    days = {"startdate": "2086-04-25", "enddate": "2086-04-25", "tz": "Africa/Cairo"}
    await gaia.ask("/resources/create", project="gaia", cores=100, startdate="2086-04-01", enddate="2086-05-31")
    answer = await gaia.book(rrule="FREQ=DAILY;COUNT=3", cores=100, **days)
    assert [(one["start"], one["end"]) for one in answer["occurrences"]] == [
        ("2086-04-24T22:00:00Z", "2086-04-25T22:00:00Z"),
        ("2086-04-25T22:00:00Z", "2086-04-26T21:00:00Z"),
        ("2086-04-26T21:00:00Z", "2086-04-27T21:00:00Z"),
    ]
    assert (await gaia.book(400, rrule="FREQ=HOURLY;COUNT=3", cores=1, **days))["errors"][0]["field"] == "rrule"


async def test_a_series_is_amended_and_cancelled_by_the_paths_that_its_answer_names(gaia: Hourbook) -> None:
    answer = await gaia.book(rrule="FREQ=DAILY;COUNT=4", cores=2)
    series = answer["series"]
    assert series["id"] == answer["id"] == answer["occurrences"][0]["booking"]
    tried = await gaia.ask(series["amend"] + "?dry_run=true", 200, cores=3)
    assert (tried["accepted"], len(tried["decided"])) == (True, 4)
    amended = await gaia.ask(series["amend"], cores=3)
    assert [event["type"] for event in amended["decided"]] == ["BookingAmended"] * 4
    assert (await gaia.ask(series["amend"], 200, cores=3))["decided"] == []
    assert "occurrence" in await gaia.ask(series["amend"], 409, cores=100_000)
    assert (await gaia.ask(series["amend"], 400, startdate="2086-01-09"))["errors"][0]["field"] == "startdate"
    assert (await gaia.ask(series["cancel"], 400, **{"from": "soon"}))["errors"][0]["field"] == "from"

    third = {"from": answer["occurrences"][2]["start"], "reason": "enough"}
    rest = await gaia.ask(series["cancel"], key="rest", **third)
    assert (rest["id"], len(rest["decided"])) == (series["id"], 2)
    assert {event["reason"] for event in rest["decided"]} == {"enough"}
    again = await gaia.ask(series["cancel"], 200, key="rest", **third)
    assert (again["id"], again["position"], again["decided"]) == (rest["id"], rest["position"], rest["decided"])
    assert len((await gaia.ask(series["cancel"]))["decided"]) == 2
    assert (await gaia.ask(series["cancel"], 200))["decided"] == []
    single = (await gaia.book(cores=1))["id"]
    assert (await gaia.ask(f"/bookings/series/{single}/cancel", 404))["errors"][0]["field"] == "id"


async def test_an_occurrence_is_found_by_a_process_that_has_not_made_it(gaia: Hourbook, database_url: str) -> None:
    answer = await gaia.book(rrule="FREQ=DAILY;COUNT=4", cores=1)
    last = answer["occurrences"][3]["booking"]
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "command")))) as other:
        assert (await other.post(f"/bookings/{last}/cancel")).status_code == 201
        assert (await other.post(f"/bookings/{new_id()}/cancel")).status_code == 404


async def test_a_nova_quota_is_a_grant(gaia: Hourbook) -> None:
    quota = await gaia.ask("/novaquota/create", project="gaia", servers=5, cores=5, **MONTH)
    assert quota["decided"][0]["source"] == "nova"
    await gaia.book(cores=15)
    assert (await gaia.ask(f"/novaquota/{quota['id']}", 409, "DELETE"))["code"] == "capacity_exceeded"
    other = await gaia.ask("/novaquota/create", project="gaia", cores=5, **MONTH)
    assert (await gaia.ask(f"/novaquota/{other['id']}", 200, "DELETE"))["decided"][0]["type"] == "GrantWithdrawn"


async def test_a_magnum_cluster_is_masters_and_workers_and_its_resizes_a_series(gaia: Hourbook) -> None:
    await gaia.ask("/resources/create", project="gaia", servers=20, **MONTH)
    for name, cores in (("m1", 2), ("w1", 1)):
        await gaia.ask("/templates/create", project="gaia", name=name, cores=cores, memory=1024)
    layout = {"masterflavor": "m1", "mastercount": 1, "workerflavor": "w1", "workercount": 4}
    cluster = await gaia.ask("/magcluster/create", parent="gaia", name="k8s", **layout, **MONTH)
    decided = cluster["decided"][0]
    assert (decided["kind"], decided["capacity"]) == ("magnum", {"servers": 5, "cores": 6, "memory": 5120})
    sizes = {
        "mastersize": {"servers": 1, "cores": 2, "memory": 1024},
        "workersize": {"servers": 1, "cores": 1, "memory": 1024},
    }
    assert decided["layout"] == layout | sizes
    wish = await gaia.ask("/magcluster/gaia.k8s/resize", workercount=6, status="requested")
    assert wish["decided"][0]["capacity"]["cores"] == 8
    applied = await gaia.ask(f"/magcluster/gaia.k8s/resizes/{wish['id']}/apply")
    assert (applied["decided"][0]["type"], applied["decided"][0]["request"]) == ("ClusterResized", wish["id"])
    assert (await gaia.ask(f"/magcluster/gaia.k8s/resizes/{wish['id']}/apply", 200))["decided"] == []
    failed = await gaia.ask(f"/magcluster/gaia.k8s/resizes/{wish['id']}/fail", 409, error="no valid host")
    assert failed["code"] == "no_longer_held"
    wish = await gaia.ask("/magcluster/gaia.k8s/resize", workercount=90, status="requested")
    assert (await gaia.ask(f"/magcluster/gaia.k8s/resizes/{wish['id']}/apply", 409))["code"] == "capacity_exceeded"
    failed = await gaia.ask(f"/magcluster/gaia.k8s/resizes/{wish['id']}/fail", error="no valid host")
    assert failed["decided"][0]["error"] == "no valid host"
    assert (await gaia.ask("/magcluster/gaia.k8s/resize", workercount=2))["decided"][0]["capacity"]["cores"] == 4
    assert (await gaia.ask("/magcluster/gaia.k8s/resize", 400, workerflavor="w9"))["errors"][0][
        "field"
    ] == "workerflavor"


async def test_a_cluster_of_any_kind_is_made_of_nodes(gaia: Hourbook) -> None:
    await gaia.ask("/templates/create", project="gaia", name="driver", cores=2, memory=1024)
    layout = {
        "masters": {"count": 1, "template": "driver"},
        "workers": {"count": 2, "cores": 2, "max": 5},
        "groups": [{"name": "gpu", "count": 1, "cores": 1, "datadisc": 0}],
    }
    spark = {"parent": "gaia", "name": "spark", "kind": "spark", "layout": layout, **MONTH}
    refused = await gaia.ask("/clusters/create", 400, **spark, cores=8)
    assert [error["field"] for error in refused["errors"]] == ["cores"]
    assert "7" in refused["detail"]
    two = {"masters": {"count": 1, "template": "driver", "cores": 1}}
    refused = await gaia.ask("/clusters/create", 400, **spark | {"layout": two})
    assert [error["field"] for error in refused["errors"]] == ["layout.masters.template"]
    refused = await gaia.ask("/clusters/create", 400, **spark | {"layout": {"masters": {"count": -1, "cores": 1}}})
    assert [error["field"] for error in refused["errors"]] == ["layout"]
    assert "masters.count" in refused["detail"]
    (decided,) = (await gaia.ask("/clusters/create", **spark, cores=7))["decided"]
    assert (decided["kind"], decided["capacity"]) == ("spark", {"cores": 7, "memory": 1024})
    (decided,) = (await gaia.ask("/clusters/gaia.spark/resize", layout={"workers": {"count": 3}}))["decided"]
    assert decided["capacity"] == {"cores": 9, "memory": 1024}
    assert decided["layout"]["groups"] == [{"name": "gpu", "role": "worker", "count": 1, "size": {"cores": 1}}]
    assert (await gaia.ask("/clusters/gaia.spark/resize", 200, layout={}))["decided"] == []


async def test_the_policy_is_checked_and_the_operations_are_described(gaia: Hourbook) -> None:
    body = {"id": "far", "name": "Far"}
    assert (await gaia.ask("/projects/create", 400, **body, overcommit={"beyond_hours": 0}))["code"] == "invalid_field"
    await gaia.ask("/projects/create", **body, overcommit={"beyond_hours": 336})
    document = (await gaia.client.get("/schema/openapi.json")).json()
    parameters = document["paths"]["/bookings/create"]["post"]["parameters"]
    assert {"dry_run", "Idempotency-Key", "X-Hourbook-Actor"} <= {parameter["name"] for parameter in parameters}


async def test_the_clock_settles_what_has_come_near_once_with_two_replicas(database_url: str) -> None:
    async with AsyncTestClient(create_app(Settings(database_url=as_role(database_url, "command")))) as client:
        far = Hourbook(client)
        await far.ask("/projects/create", id="gaia", name="Gaia", overcommit={"beyond_hours": 24})
        await far.ask("/resources/create", project="gaia", cores=10, **MONTH)
        await far.book(cores=8)
        late = (await far.book(cores=3))["decided"][0]
        assert late["tentative"]
    start = datetime(2086, 1, 2, tzinfo=UTC)
    for hours_before, lapsed in ((25, 0), (24, 0), (23, 1)):
        now = start - timedelta(hours=hours_before)
        async with running_schedulers(database_url, now) as clocks:
            for clock in clocks:
                await clock.tick()
        connection = await asyncpg.connect(database_url)
        stored = await connection.fetch("SELECT data FROM event WHERE type = 'BookingLapsed'")
        await connection.close()
        assert len(stored) == lapsed
    event = decode_event(stored[0]["data"])
    assert isinstance(event, BookingLapsed)
    assert (str(event.booking), event.actor) == (late["booking"], LEDGER)


@contextlib.asynccontextmanager
async def running_schedulers(database_url: str, now: datetime) -> AsyncIterator[list[Scheduler]]:
    """The schedulers of two replicas, at the same moment."""
    handlers = [CommandHandler(as_role(database_url, "command")) for _ in range(2)]
    tasks = [asyncio.create_task(handler.run()) for handler in handlers]
    yield [Scheduler(database_url, handler, lambda: now, new_id) for handler in handlers]
    await end_tasks(*tasks)


async def test_the_settings_bound_a_project_whatever_way_it_grows(database_url: str) -> None:
    settings = Settings(database_url=as_role(database_url, "command"), pools_max=1, grants_max=1, series_hours_max=100)
    async with AsyncTestClient(create_app(settings)) as client:
        gaia = Hourbook(client)
        await gaia.ask("/projects/create", id="gaia", name="Gaia")
        await gaia.ask("/resources/create", project="gaia", servers=4, cores=10, **MONTH)
        await gaia.ask("/templates/create", project="gaia", name="t", cores=1)
        layout = {"masterflavor": "t", "mastercount": 1, "workerflavor": "t", "workercount": 1}
        pools = {"limit": "pools", "asked": 2, "allowed": 1, "setting": "HOURBOOK_POOLS_MAX"}
        grants = {"limit": "grants", "asked": 2, "allowed": 1, "setting": "HOURBOOK_GRANTS_MAX"}
        for path, body, said in (
            ("/clusters/create", {"parent": "gaia", "cores": 1}, pools),
            ("/magcluster/create", {"parent": "gaia", **layout}, pools),
            ("/bookings/create", {"project": "gaia", "account": "ada", "share": "100%", "cores": 1}, pools),
            ("/resources/create", {"project": "gaia", "cores": 1}, grants),
            ("/novaquota/create", {"project": "gaia", "cores": 1}, grants),
        ):
            problem = await gaia.ask(path, 409, **body, **MONTH)
            assert problem["code"] == "project_limit_exceeded"
            assert {name: problem[name] for name in said} == said
            dry = await gaia.ask(f"{path}?dry_run=true", 200, **body, **MONTH)
            assert dry["problem"] == problem
        daily = {"cores": 1, "rrule": "FREQ=DAILY;COUNT=5"}
        refused = await gaia.book(400, **daily)
        assert refused["errors"][0]["field"] == "rrule"
        assert "120 hours together" in refused["detail"]
        assert (await gaia.book(200, "/bookings/create?dry_run=true", **daily))["problem"] == refused
        await gaia.book(**daily | {"rrule": "FREQ=DAILY;COUNT=4"})
