"""Magnum's clusters and resizes: masters and workers of flavors, and what cannot be mapped is said."""

import json
from typing import Any

import pytest

from services.cli.openstack.desired import DeletedCluster, DesiredCluster, ResizeRequest, unique_name
from shared.events import Layout
from tests.support.openstack import HEAD, NODE, cluster, cluster_template, clusters_in, desired, hour, mapped, why

LAYOUT = Layout(masterflavor="c2.head", mastercount=1, workerflavor="c2.node", workercount=4)
NAME = "night-sky-d41c7e0a"


def test_a_cluster_is_masters_and_workers_of_the_flavors_in_its_template() -> None:
    made = DesiredCluster(NAME, LAYOUT, hour("2026-02-20T09:00Z"), None, "applied", "CREATE_COMPLETE")
    flavors = {"flavors": [NODE, HEAD]}
    assert clusters_in(cluster(), cluster_template(), flavors) == [made]
    assert clusters_in({"clusters": [cluster()]}, {"clustertemplates": [cluster_template()]}, flavors) == [made]


def test_a_cluster_that_says_its_flavors_needs_no_template() -> None:
    document = cluster(flavor_id="c2.node", master_flavor_id="c2.head")
    (made,) = clusters_in(document, known={"c2.node": "c2.node", "c2.head": "c2.head"})
    assert isinstance(made, DesiredCluster)
    assert made.layout == LAYOUT


def test_bays_and_baymodels_are_clusters_of_long_ago() -> None:
    bay = {
        "status": "CREATE_COMPLETE",
        "uuid": "d41c7e0a-5b7f-4b0a-8f4e-61f0c9a2b3d4",
        "master_count": 1,
        "node_count": 4,
        "baymodel_id": "k8s-1.30",
        "bay_create_timeout": 60,
        "name": "Night_Sky",
        "links": [],
    }
    (made,) = clusters_in({"bays": [bay]}, {"baymodels": [cluster_template()]}, {"flavors": [NODE, HEAD]})
    assert isinstance(made, DesiredCluster)
    assert (made.name, made.layout, made.start) == (NAME, LAYOUT, None)


def test_flavors_may_be_said_beside_a_cluster_and_else_the_default_is_noted() -> None:
    known = {"c2.node": "c2.node", "c2.head": "c2.head", "m1.small": "m1.small"}
    (made,) = clusters_in(cluster(), flavor="c2.node", master_flavor="c2.head", known=known)
    assert isinstance(made, DesiredCluster)
    assert made.layout == LAYOUT
    (made,) = clusters_in(cluster(flavor_id="11", master_flavor_id="12"), known={"11": "c2.node", "12": "c2.head"})
    assert isinstance(made, DesiredCluster)
    assert made.layout == LAYOUT
    no_master = json.dumps(cluster_template(master_flavor_id=None))
    result = mapped("magnum", json.dumps(cluster()), no_master, known=known)
    assert isinstance(result.desired[0], DesiredCluster)
    assert result.desired[0].layout.masterflavor == "m1.small"
    assert "masters have no flavor: m1.small is taken, Magnum's default" in result.notes[-1].how


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"status": "CREATE_FAILED", "status_reason": "no valid host"}, "CREATE_FAILED (no valid host)"),
        ({"status": "DELETE_IN_PROGRESS"}, "is deleting it"),
        ({"status": "DELETE_FAILED"}, "does not say what is left"),
        ({"status": "DELETE_COMPLETE"}, "does not exist any more"),
        ({"node_count": 0, "master_count": 0}, "no nodes"),
        ({"node_count": 2_000_000}, "more than"),
        ({"node_count": -1}, "`$.node_count`"),
        ({"uuid": "short"}, "not a UUID"),
        ({"created_at": "yesterday"}, "not a date"),
        ({"cluster_template_id": "other"}, "cluster template 'other' is in none of the files"),
        ({"flavor_id": "c9.none"}, "its flavor 'c9.none' is not a template of sky"),
    ],
)
def test_a_cluster_that_claims_nothing_is_told(members: dict[str, Any], says: str) -> None:
    assert says in why("magnum", cluster(**members), cluster_template(), {"flavors": [NODE, HEAD]})


def test_the_state_of_a_cluster_says_what_its_counts_are() -> None:
    for status, state in (
        ("CREATE_IN_PROGRESS", "applied"),
        ("UPDATE_COMPLETE", "applied"),
        (None, "applied"),
        ("UPDATE_IN_PROGRESS", "requested"),
        ("UPDATE_FAILED", "failed"),
    ):
        (made,) = clusters_in(cluster(status=status), cluster_template(), {"flavors": [NODE, HEAD]})
        assert isinstance(made, DesiredCluster)
        assert made.state == state
    gone = mapped("magnum", json.dumps(cluster(status="DELETE_COMPLETE"))).desired
    assert gone == [DeletedCluster(NAME)]


def test_a_cluster_without_a_name_has_its_uuids_and_a_long_one_fits() -> None:
    known = {"c2.node": "c2.node", "c2.head": "c2.head"}
    for name, says in ((None, "magnum-d41c7e0a"), ("!!", "magnum-d41c7e0a"), ("x" * 200, f"{'x' * 54}-d41c7e0a")):
        (made,) = clusters_in(cluster(name=name), flavor="c2.node", master_flavor="c2.head", known=known)
        assert isinstance(made, DesiredCluster)
        assert made.name == says
        assert len(made.name) <= 63


def test_a_resize_request_is_for_the_cluster_named_beside_it() -> None:
    request = {"node_count": 9, "nodes_to_remove": ["e1"]}
    assert desired("magnum", request, cluster="sky.k8s") == [ResizeRequest("sky.k8s", None, 9)]
    assert desired("magnum", {**request, "nodegroup": "default-master"}, cluster="sky.k8s") == [
        ResizeRequest("sky.k8s", 9, None)
    ]
    assert "give --cluster" in why("magnum", request)
    other = {**request, "nodegroup": "gpu"}
    assert desired("magnum", other, cluster="sky.k8s") == [ResizeRequest("sky.k8s", None, 9, "gpu")]
    assert desired("magnum", other, cluster="sky.k8s", worker_group="gpu") == [ResizeRequest("sky.k8s", None, 9)]


UUID = cluster()["uuid"]


def group(name: str, nodes: int, **members: Any) -> dict[str, Any]:
    return {
        "uuid": f"0000000{len(name)}-0000-4000-8000-000000000000",
        "name": name,
        "cluster_id": UUID,
        "role": "worker",
        "node_count": nodes,
        "flavor_id": "c2.node",
        "is_default": False,
        "min_node_count": 0,
        "max_node_count": None,
        **members,
    }


def test_node_groups_say_which_nodes_a_cluster_has() -> None:
    groups = [
        group("default-master", 3, role="master", is_default=True, flavor_id="12"),
        group("default-worker", 2, is_default=True, min_node_count=1, max_node_count=5),
        group("a b", 1, role="gpu node"),
        group("a-b", 4, flavor_id=None, max_node_count=0),
        group("gone", 9, status="DELETE_COMPLETE"),
    ]
    documents = {"nodegroups": groups}, cluster(node_count=7, master_count=3), cluster_template()
    (made,) = clusters_in(*documents, {"flavors": [NODE, HEAD]})
    assert isinstance(made, DesiredCluster)
    assert made.has_groups
    layout = made.layout
    assert (layout.masterflavor, layout.mastercount, layout.workerflavor, layout.workercount) == (
        "c2.head",
        3,
        "c2.node",
        2,
    )
    assert (layout.workermin, layout.workermax) == (1, 5)
    assert [(one.name, one.role, one.count, one.flavor, one.min, one.max) for one in layout.groups] == [
        (unique_name("a b"), "gpu-node", 1, "c2.node", 0, None),
        (unique_name("a-b"), "worker", 4, "c2.node", 0, None),
    ]
    (alone,) = clusters_in({"nodegroups": groups[:3]}, cluster(), {"flavors": [NODE, HEAD]})
    assert isinstance(alone, DesiredCluster), "with the flavors of its groups it needs no cluster template"


def test_a_node_group_that_is_not_valid_or_of_no_cluster_is_told() -> None:
    assert "does not name its cluster" in why("magnum", {"nodegroups": [group("gpu", 2, cluster_id=None)]})
    documents = {"nodegroups": [group("gpu", 2, node_count="x")]}, cluster(), cluster_template()
    result = mapped("magnum", *map(json.dumps, (*documents, {"flavors": [NODE, HEAD]})))
    assert [one.what for one in result.unmapped] == ["node group gpu"]
    (made,) = [one for one in result.desired if isinstance(one, DesiredCluster)]
    assert not made.has_groups, "the groups of its cluster are not known"
    many = {"nodegroups": [group(f"g{number}", 1) for number in range(51)]}
    assert "more than 50 node groups" in why("magnum", many, cluster(), cluster_template(), {"flavors": [NODE, HEAD]})


# --- documents ---
