"""A cluster of any kind is made of nodes, and its size is what they add up to."""

from uuid import uuid4

import msgspec
import pytest

from services.command.domain import (
    CreateCluster,
    CreateGrant,
    CreateTemplate,
    GroupChange,
    LayoutChange,
    RequestResize,
    ResizeCluster,
)
from shared.capacity import NOTHING, Capacity
from shared.errors import InvalidField
from shared.events import ClusterCreated, Layout
from shared.hours import Period
from tests.support.project import T0, Project

DRIVER, EXECUTOR, GPU = Capacity(cores=2, memory=4096), Capacity(cores=4, memory=8192), Capacity(cores=8, datadisc=100)


@pytest.fixture
def gaia() -> Project:
    made = Project()
    large = Capacity(servers=50, cores=500, memory=500_000, datadisc=5000)
    made.do(CreateGrant(grant=uuid4(), period=Period(T0, T0 + 48), capacity=large))
    for name, capacity in (("driver", DRIVER), ("executor", EXECUTOR), ("gpu", GPU)):
        made.do(CreateTemplate(template=name, capacity=capacity))
    return made


def made(gaia: Project, capacity: Capacity = NOTHING, kind: str = "spark", **layout: object) -> ClusterCreated:
    change = LayoutChange(nested=True, **layout)  # type: ignore[arg-type]
    command = CreateCluster(
        cluster="gaia.s", parent="gaia", kind=kind, period=Period(T0, T0 + 48), capacity=capacity, layout=change
    )
    (event,) = gaia.do(command)
    assert isinstance(event, ClusterCreated)
    return event


def resized(gaia: Project, **layout: object) -> Layout:
    change = LayoutChange(nested=True, **layout)  # type: ignore[arg-type]
    (event,) = gaia.do(ResizeCluster(cluster="gaia.s", layout=change))
    assert event.layout is not None
    return event.layout


def test_a_spark_deployment_is_a_master_and_workers_of_templates_or_of_counts(gaia: Project) -> None:
    event = made(gaia, masterflavor="driver", mastercount=1, workersize=EXECUTOR, workercount=3)
    assert event.capacity == Capacity(cores=2 + 12, memory=4096 + 3 * 8192)
    assert (event.kind, event.layout) == (
        "spark",
        Layout(
            masterflavor="driver", mastercount=1, mastersize=DRIVER, workerflavor="", workercount=3, workersize=EXECUTOR
        ),
    )


def test_a_zeppelin_deployment_has_masters_alone(gaia: Project) -> None:
    event = made(gaia, kind="zeppelin", masterflavor="driver", mastercount=2)
    assert event.capacity == Capacity(cores=4, memory=8192)
    assert b'"workerflavor":"","workercount":0' in msgspec.json.encode(event.layout)


def test_groups_count_beside_masters_and_workers(gaia: Project) -> None:
    groups = (GroupChange(name="gpu", count=2, flavor="gpu", min=0, max=4), GroupChange(name="big", count=1, size=GPU))
    event = made(gaia, masterflavor="driver", mastercount=1, groups=groups)
    assert event.capacity == Capacity(cores=2 + 24, memory=4096, datadisc=300)
    assert event.layout is not None
    assert [(group.name, group.role, group.max) for group in event.layout.groups] == [
        ("gpu", "worker", 4),
        ("big", "worker", None),
    ]


def test_an_amount_beside_a_layout_must_be_what_it_adds_up_to(gaia: Project) -> None:
    with pytest.raises(InvalidField, match="cores: 15 contradicts the layout, which adds up to 14") as refused:
        made(gaia, Capacity(cores=15), masterflavor="driver", mastercount=1, workerflavor="executor", workercount=3)
    assert refused.value.facts["errors"][0]["field"] == "cores"
    assert made(gaia, Capacity(cores=14), masterflavor="driver", mastercount=1, workerflavor="executor", workercount=3)


@pytest.mark.parametrize(
    ("field", "layout"),
    [
        ("layout.masters.template", {"mastercount": 1}),
        ("layout.masters.count", {"masterflavor": "driver"}),
        ("layout.workers.template", {"workercount": 1, "workerflavor": "none"}),
        ("layout.workers.template", {"workercount": 1, "workersize": NOTHING}),
        ("layout.workers.max", {"workercount": 1, "workersize": DRIVER, "workermin": 3, "workermax": 2}),
        ("layout", {"workercount": 1_000_000, "workersize": Capacity(cores=10**9)}),
        ("layout.groups[0].template", {"groups": (GroupChange(name="a", count=1),)}),
        ("layout.groups[1].name", {"groups": (GroupChange(name="a", count=1, size=GPU),) * 2}),
        ("layout.groups[0].max", {"groups": (GroupChange(name="a", count=1, size=GPU, min=1, max=0),)}),
    ],
)
def test_what_is_wrong_with_a_layout_is_said_of_its_part(gaia: Project, field: str, layout: dict[str, object]) -> None:
    with pytest.raises(InvalidField) as refused:
        made(gaia, **layout)
    assert refused.value.facts["errors"][0]["field"] == field


def test_a_resize_changes_what_it_says_and_keeps_the_rest(gaia: Project) -> None:
    gpu = GroupChange(name="gpu", count=2, flavor="gpu", max=4)
    made(gaia, mastersize=DRIVER, mastercount=1, workerflavor="executor", workercount=3, groups=(gpu,))
    gaia.do(CreateTemplate(template="executor", capacity=Capacity(cores=5)))
    layout = resized(gaia, workercount=4, groups=(GroupChange(name="gpu", count=3),))
    assert (layout.workercount, layout.workersize) == (4, EXECUTOR), "a node keeps its size when its template changes"
    assert [(one.count, one.size, one.flavor, one.max) for one in layout.groups] == [(3, GPU, "gpu", 4)]
    assert gaia.state.pools["gaia.s"].size.read(T0 + 1, T0 + 2)[0, 1] == 2 + 16 + 24
    assert resized(gaia, workerflavor="executor").workersize == Capacity(cores=5), "which is asked for again"
    assert resized(gaia, groups=()).groups == ()
    assert gaia.do(ResizeCluster(cluster="gaia.s", layout=LayoutChange(nested=True))) == [], "nothing has changed"


def test_at_magnums_endpoints_each_node_is_a_server(gaia: Project) -> None:
    flavors = {"masterflavor": "driver", "mastercount": 1, "workerflavor": "executor", "workercount": 2}
    groups = (GroupChange(name="gpu", count=3, flavor="gpu"),)
    command = CreateCluster(
        cluster="gaia.k",
        parent="gaia",
        kind="magnum",
        period=Period(T0, T0 + 48),
        layout=LayoutChange(**flavors, groups=groups),  # type: ignore[arg-type]
    )
    (event,) = gaia.do(command)
    assert isinstance(event, ClusterCreated)
    assert event.capacity.servers == 6
    for missing in flavors:
        change = LayoutChange(**{name: value for name, value in flavors.items() if name != missing})  # type: ignore[arg-type]
        with pytest.raises(InvalidField, match=f"{missing}: required"):
            gaia.do(msgspec.structs.replace(command, cluster="gaia.l", layout=change))


def test_a_layout_of_an_older_release_is_the_same_nodes_and_gets_its_sizes_of_its_flavors(gaia: Project) -> None:
    flavors = {"masterflavor": "driver", "mastercount": 1, "workerflavor": "executor", "workercount": 2}
    gaia.do(
        CreateCluster(
            cluster="gaia.s",
            parent="gaia",
            kind="magnum",
            period=Period(T0, T0 + 48),
            layout=LayoutChange(**flavors),  # type: ignore[arg-type]
        )
    )
    old = Layout(**flavors)  # type: ignore[arg-type]
    gaia.state.pools["gaia.s"].layout = old
    same = ResizeCluster(cluster="gaia.s", layout=LayoutChange(workercount=2))
    assert gaia.do(same) == []
    assert resized(gaia, workercount=3).workersize == Capacity(servers=1, cores=4, memory=8192)
    sized = msgspec.structs.replace(old, workersize=EXECUTOR)
    assert sized.same_nodes(old)
    assert not sized.same_nodes(msgspec.structs.replace(old, workersize=DRIVER))
    assert not sized.same_nodes(msgspec.structs.replace(sized, workercount=9))


def test_a_requested_resize_keeps_the_groups_until_it_is_applied(gaia: Project) -> None:
    made(gaia, masterflavor="driver", mastercount=1)
    change = LayoutChange(nested=True, groups=(GroupChange(name="gpu", count=1, flavor="gpu"),))
    (event,) = gaia.do(RequestResize(request=uuid4(), resize=ResizeCluster(cluster="gaia.s", layout=change)))
    assert event.layout is not None
    assert [group.size for group in event.layout.groups] == [GPU]
    assert gaia.state.pools["gaia.s"].layout != event.layout
