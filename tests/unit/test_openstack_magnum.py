"""Magnum's clusters and resizes: masters and workers of flavors, and what cannot be mapped is said."""

import json
from typing import Any

import pytest

from services.cli.openstack.desired import DeletedCluster, DesiredCluster, ResizeRequest
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
    assert "--worker-group gpu" in why("magnum", other, cluster="sky.k8s")
    assert desired("magnum", other, cluster="sky.k8s", worker_group="gpu") == [ResizeRequest("sky.k8s", None, 9)]


def test_node_groups_are_told() -> None:
    group = {"uuid": "g", "name": "gpu", "role": "worker", "node_count": 2, "flavor_id": "g1"}
    assert "node group gpu" in why("magnum", {"nodegroups": [group]})


# --- documents ---
