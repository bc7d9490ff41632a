"""The compatibility endpoints over HTTP: a quota of Nova, the clusters of Magnum; and a name that is given again."""

from uuid import uuid4

import msgspec

from services.command.domain import (
    CreateCluster,
    CreateGrant,
    FailResize,
    GroupChange,
    LayoutChange,
    RequestResize,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.domain.commands import ApplyResize
from shared.capacity import NOTHING, Capacity
from shared.hours import Period
from tests.support.project import T0
from tests.support.shown import DAY, EIGHT, Shown, at, minima, template


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
    query = {"project": "gaia", "range": "2086-01-01,2086-01-02", "grain": "daily"}
    allocated = await shown.get("/novaquota/allocated", **query)
    assert allocated["rows"] == [
        {"date": "2086-01-01", "servers": 4, "memory": 4096, "cores": 8},
        {"date": "2086-01-02", "servers": 4, "memory": 4096, "cores": 8},
    ]
    available = await shown.get("/novaquota/available", **query)
    assert [row["cores"] for row in available["rows"]] == [5, 8]
    answer = await shown.ask("/novaquota/available", headers={"Accept": "text/csv"}, **query)
    assert answer.text.splitlines() == ["date,servers,memory,cores", "2086-01-01,4,4096,5", "2086-01-02,4,4096,8"]
    by_hours = await shown.get("/novaquota/available", **query | {"grain": "24h"})
    assert by_hours["rows"][1]["date"] == at(24)
    shown.project.at(6)
    shown.project.do(WithdrawGrant(grant=quota))
    assert (await shown.get(f"/novaquota/{quota}"))["enddate"] == at(6)
    for headers in ({}, {"If-None-Match": "*"}):
        assert await shown.problem(f"/novaquota/{uuid4()}", headers=headers) == (404, "id")
        assert (await shown.ask("/novaquota/x", headers=headers)).json()["code"] == "http_404"
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
    for query in ({"clusterid": "gaia.k"}, {"project": "gaia", "range": "2086-01-01,2086-01-02"}):
        sizes = await shown.get("/magcluster/sizes", grain="12h", **query)
        assert [(row["servers"], row["cores"]) for row in sizes["rows"]] == [(3, 10), (3, 10), (4, 14), (0, 0)]
    days = await shown.table("/magcluster/sizes", clusterid="gaia.k")
    assert [row["date"] for row in days] == ["2086-01-01", "2086-01-02"]
    assert await shown.problem("/magcluster/gaia.none") == (404, "id")
    assert await shown.problem("/magcluster/gaia.none/resizes") == (404, "id")
    assert await shown.problem("/magcluster/sizes", project="none", range=DAY) == (404, "project")


async def test_the_nodes_of_a_cluster_of_any_kind(shown: Shown) -> None:
    shown.project.grant(0, 48, 40)
    template(shown.project, "driver", cores=2)
    gpu = GroupChange(name="gpu", role="accelerator", count=1, flavor="driver", max=3)
    layout = LayoutChange(mastercount=1, masterflavor="driver", nested=True)
    period = Period(T0, T0 + 48)
    shown.project.do(CreateCluster(cluster="gaia.z", parent="gaia", kind="zeppelin", period=period, layout=layout))
    only = (await shown.get("/magcluster/gaia.z"))["layout"]
    more = LayoutChange(workercount=2, workersize=Capacity(cores=3), groups=(gpu,), nested=True)
    shown.project.do(ResizeCluster(cluster="gaia.z", layout=more))
    found = await shown.get("/magcluster/gaia.z")
    driver = {"servers": 0, "cores": 2, "memory": 0, "tempdisc": 0, "userdisc": 0, "datadisc": 0}
    masters = {"count": 1, "template": "driver", **driver}
    assert only == {"masters": masters, "workers": None, "groups": []}
    workers = {"count": 2, "template": None, **driver, "cores": 3, "min": None, "max": None}
    groups = [{"name": "gpu", "role": "accelerator", "count": 1, "template": "driver", **driver, "min": None, "max": 3}]
    assert found["layout"] == {"masters": masters, "workers": workers, "groups": groups}
    assert (found["kind"], found["masterflavor"], found["workerflavor"], found["cores"]) == (
        "zeppelin",
        "driver",
        None,
        10,
    )
    [project, pool] = (await shown.get("/pools", project="gaia"))["pools"]
    assert (project["layout"], pool["layout"]) == (None, found["layout"])
    assert [one["layout"] for one in (await shown.get("/magcluster/gaia.z/resizes"))["resizes"]] == [found["layout"]]
    (row,) = await shown.table("/magcluster/gaia.z")
    assert msgspec.json.decode(row["layout"]) == found["layout"]


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
