"""What OpenStack's documents come to: nothing is promised that is not granted, and what cannot be mapped is said."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cli.openstack.desired import (
    DeletedCluster,
    Desired,
    DesiredCluster,
    DesiredGrants,
    DesiredTemplate,
    EndedSource,
    ResizeRequest,
    template_name,
    unique_name,
)
from services.cli.openstack.document import NotJson, parse
from services.cli.openstack.mapping import SeveralOwners
from shared.capacity import Capacity
from shared.events import Layout
from shared.hours import Period
from tests.support.openstack import (
    HEAD,
    NODE,
    OLD_QUOTA,
    OWNER,
    cluster,
    cluster_template,
    flavor,
    hosts,
    hour,
    instances,
    lease,
    mapped,
    quota,
)

SPRING = Period(hour("2026-04-01T08:00Z"), hour("2026-04-15T20:00Z"))
FLAVORS = json.dumps({"flavors": [NODE, HEAD]})


def desired(service: str, *documents: Any, **options: Any) -> list[Desired]:
    """What they come to, when nothing is left out."""
    result = mapped(service, *(json.dumps(document) for document in documents), **options)
    assert result.unmapped == []
    return result.desired


def why(service: str, *documents: Any, **options: Any) -> str:
    """Why the only thing in them is not mapped."""
    result = mapped(service, *(json.dumps(document) for document in documents), **options)
    assert [one for one in result.desired if not isinstance(one, DesiredTemplate | EndedSource | DeletedCluster)] == []
    assert len(result.unmapped) == 1
    return ": ".join(result.unmapped[0])


# --- Nova ---


@pytest.mark.parametrize("detail", [False, True])
def test_a_quota_is_a_grant_plain_or_in_detail(detail: bool) -> None:
    (grants,) = desired("nova", quota(detail=detail))
    capacity = Capacity(servers=24, cores=64, memory=262_144)
    assert grants == DesiredGrants("nova", f"nova quota of {OWNER}", None, (capacity,))


def test_a_quota_of_an_older_microversion_and_a_users_limits_are_grants_too() -> None:
    capacity = Capacity(servers=8, cores=16, memory=32_768)
    limits = {
        "limits": {
            "rate": [],
            "absolute": {"maxTotalCores": 16, "maxTotalInstances": 8, "maxTotalRAMSize": 32768, "totalCoresUsed": 2},
        }
    }
    for document in (OLD_QUOTA, OLD_QUOTA["quota_set"], limits):
        (grants,) = desired("nova", document)
        assert isinstance(grants, DesiredGrants)
        assert grants.capacities == (capacity,)


def test_a_quotas_period_is_said_beside_it() -> None:
    (grants,) = desired("nova", quota(), start=hour("2026-01-01T00:00Z"), end=hour("2027-01-01T00:00Z"))
    assert isinstance(grants, DesiredGrants)
    assert grants.period == Period(hour("2026-01-01T00:00Z"), hour("2027-01-01T00:00Z"))


def test_what_is_unlimited_is_not_mapped_unless_somebody_says_how_much_there_is() -> None:
    assert "cores is unlimited (-1): give --cores" in why("nova", quota(cores=-1))
    assert "ram is unlimited (-1): give --memory" in why("nova", quota(detail=True, ram=-1))
    (grants,) = desired("nova", quota(cores=-1), amounts={"cores": 400, "tempdisc": 900, "servers": 3})
    assert isinstance(grants, DesiredGrants)
    assert grants.capacities == (Capacity(servers=24, cores=400, memory=262_144, tempdisc=900),)
    assert "instances is missing" in why("nova", {"quota_set": {"cores": 2, "ram": 512}})


def test_a_quota_of_nothing_or_of_no_numbers_is_not_mapped() -> None:
    assert "grants nothing" in why("nova", quota(cores=0, instances=0, ram=0))
    assert "Expected `int`" in why("nova", {"quota_set": {"id": OWNER, "cores": "many", "ram": 1, "instances": 1}})
    assert "more than" in why("nova", quota(ram=10**13))
    assert mapped("nova", '{"quota_set": {"cores": "64", "ram": "10", "instances": "2"}}').unmapped == []


def test_that_a_quota_grants_no_disc_is_noted() -> None:
    assert "--tempdisc" in mapped("nova", json.dumps(quota())).notes[0].how
    assert mapped("nova", json.dumps(quota()), amounts={"userdisc": 5}).notes == []


def test_a_flavor_is_a_template_of_one_server_with_all_its_discs() -> None:
    big = flavor("r3.big", 40, 32, 131_072, 80, **{"OS-FLV-EXT-DATA:ephemeral": 200, "swap": 1025})
    capacity = Capacity(servers=1, cores=32, memory=131_072, tempdisc=80 + 200 + 2)
    assert desired("nova", {"flavors": [big]}) == [DesiredTemplate("r3.big", capacity, "40")]
    assert desired("nova", {"flavor": big}) == [DesiredTemplate("r3.big", capacity, "40")]


def test_flavors_of_all_microversions_are_read() -> None:
    first = {"id": "9", "name": "old", "vcpus": 2, "ram": 2048, "disk": 10, "swap": "", "links": []}
    newest = flavor("new", 10, 2, 2048, 10, swap=0)
    capacity = Capacity(servers=1, cores=2, memory=2048, tempdisc=10)
    assert desired("nova", {"flavors": [first, newest]}) == [
        DesiredTemplate("old", capacity, "9"),
        DesiredTemplate("new", capacity, "10"),
    ]


def test_a_flavors_disc_is_counted_as_asked_or_not_at_all() -> None:
    assert desired("nova", {"flavor": HEAD}, disc=None) == [
        DesiredTemplate("c2.head", Capacity(servers=1, cores=2, memory=4096), "12")
    ]
    assert desired("nova", {"flavor": HEAD}, disc="userdisc") == [
        DesiredTemplate("c2.head", Capacity(servers=1, cores=2, memory=4096, userdisc=10), "12")
    ]


def test_the_short_list_of_flavors_says_too_little() -> None:
    assert "/flavors/detail" in why("nova", {"flavors": [{"id": "1", "name": "a", "links": []}]})


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"ram": -1}, ">= 0"),
        ({"vcpus": None}, "Expected `int`"),
        ({"swap": "lots"}, "swap"),
        ({"name": 7}, "`$.name`"),
        ({"disk": [1]}, "`$.disk`"),
    ],
)
def test_a_malformed_flavor_does_not_take_the_others_with_it(members: dict[str, Any], says: str) -> None:
    result = mapped("nova", json.dumps({"flavors": [{**NODE, "name": "broken", **members}, HEAD, "x"]}))
    assert [one.name for one in result.desired if isinstance(one, DesiredTemplate)] == ["c2.head"]
    assert says in result.unmapped[0].why
    assert len(result.unmapped) == 2


def test_a_name_that_no_template_can_have_is_changed() -> None:
    assert template_name("GPU large / v2 ") == "GPU-large-v2"
    result = mapped("nova", json.dumps({"flavors": [flavor("a b", 1, 1, 1), NODE, NODE]}))
    assert [one.name for one in result.desired if isinstance(one, DesiredTemplate)] == ["a-b", "c2.node"]
    assert result.notes[0].how == "its template has the name 'a-b'"
    assert result.unmapped == []
    (only,) = desired("nova", {"flavor": flavor("雲", 77, 1, 1)})
    assert isinstance(only, DesiredTemplate)
    assert only.name == "flavor-77"


def test_two_spellings_of_one_size_are_one_template_and_clusters_may_name_either() -> None:
    flavors = {"flavors": [flavor("SCS-2V:4:10", 21, 2, 4096, 10), flavor("SCS-2V-4-10", 22, 2, 4096, 10)]}
    capacity = Capacity(servers=1, cores=2, memory=4096, tempdisc=10)
    assert desired("nova", flavors) == [DesiredTemplate("SCS-2V-4-10", capacity, "21, 22")]
    layout = Layout(masterflavor="SCS-2V-4-10", mastercount=1, workerflavor="SCS-2V-4-10", workercount=4)
    for worker, master in (("SCS-2V:4:10", "SCS-2V-4-10"), ("21", "22"), ("22", "SCS-2V:4:10")):
        _, made = desired("magnum", cluster(flavor_id=worker, master_flavor_id=master), flavors)
        assert isinstance(made, DesiredCluster)
        assert made.layout == layout


@pytest.mark.parametrize("backwards", [False, True])
def test_two_spellings_of_two_sizes_are_two_templates_whatever_the_order(backwards: bool) -> None:
    flavors = [flavor("a b", 1, 1, 1), flavor("a-b", 2, 2, 2), flavor("a/b", 3, 3, 3)]
    result = mapped("nova", json.dumps({"flavors": flavors[::-1] if backwards else flavors}))
    named = {one.flavor: one.name for one in result.desired if isinstance(one, DesiredTemplate)}
    assert named == {"1": unique_name("a b"), "2": "a-b", "3": unique_name("a/b")}
    assert len(set(named.values())) == 3
    assert result.unmapped == []
    both = cluster(flavor_id="a b", master_flavor_id="3")
    *_, made = desired("magnum", both, {"flavors": flavors})
    assert isinstance(made, DesiredCluster)
    assert (made.layout.workerflavor, made.layout.masterflavor) == (unique_name("a b"), unique_name("a/b"))
    (alone,) = clusters_in(both, known={unique_name("a b"): unique_name("a b"), "a-b": "a-b", "3": unique_name("a/b")})
    assert alone.layout == made.layout


def test_a_flavor_keeps_the_template_that_it_had() -> None:
    had, newer = flavor("a b", 1, 1, 1), flavor("a-b", 2, 2, 2)
    before = desired("nova", {"flavors": [had]})
    after = desired("nova", {"flavors": [newer, had]}, known={"a-b": "a-b", "1": "a-b"})
    assert before == [DesiredTemplate("a-b", Capacity(servers=1, cores=1, memory=1), "1")]
    assert after == [DesiredTemplate(unique_name("a-b"), Capacity(servers=1, cores=2, memory=2), "2"), *before]
    own = {unique_name("a-b"): unique_name("a-b"), "2": unique_name("a-b")}
    assert desired("nova", {"flavors": [newer]}, known=own) == after[:1]  # the other is gone


def test_two_documents_that_say_otherwise_of_one_flavor_are_told() -> None:
    result = mapped("nova", json.dumps([{"flavor": NODE}, {"flavor": {**NODE, "ram": 1}}]))
    assert [one.name for one in result.desired if isinstance(one, DesiredTemplate)] == ["c2.node"]
    assert "came first" in result.unmapped[0].why


def test_what_no_dimension_counts_is_noted() -> None:
    gpu = flavor("g1", 5, 8, 32_768, extra_specs={"pci_passthrough:alias": "a100:1", "hw:cpu_policy": "dedicated"})
    assert "pci_passthrough:alias" in mapped("nova", json.dumps({"flavor": gpu})).notes[0].how
    disabled = {**NODE, "OS-FLV-DISABLED:disabled": True}
    assert "disabled" in mapped("nova", json.dumps({"flavor": disabled})).notes[0].how


# --- Blazar ---


def test_a_lease_grants_what_its_reservations_of_instances_hold() -> None:
    (grants,) = desired("blazar", {"lease": lease(instances(6), instances(1, vcpus=1, memory_mb=512, disk_gb=0))})
    assert grants == DesiredGrants(
        "blazar:30c6a1f2-77d4-4e0b-9a55-1f2b3c4d5e6f",
        "lease spring run",
        SPRING,
        (Capacity(servers=6, cores=24, memory=49_152, tempdisc=300), Capacity(servers=1, cores=1, memory=512)),
    )


def test_a_list_a_lease_and_a_bare_one_come_to_the_same_and_twice_is_once() -> None:
    one = lease(instances())
    assert len(desired("blazar", {"leases": [one]}, {"lease": one}, one, [one])) == 1
    assert "came first" in mapped("blazar", json.dumps([one, lease(instances(7))])).unmapped[0].why


@pytest.mark.parametrize(
    "text", ["2026-04-01 08:00", "2026-04-01T08:00:00.000000", "2026-04-01T09:00:00+01:00", "2026-04-01T08:00:00Z"]
)
def test_dates_without_an_offset_are_in_utc(text: str) -> None:
    (grants,) = desired("blazar", {"lease": lease(instances(), start_date=text)})
    assert isinstance(grants, DesiredGrants)
    assert grants.period == SPRING


def test_only_the_whole_hours_of_a_lease_are_granted_and_that_is_noted() -> None:
    document = lease(instances(), start_date="2026-04-01 08:30", end_date="2026-04-01 12:45")
    result = mapped("blazar", json.dumps({"lease": document}))
    assert isinstance(result.desired[0], DesiredGrants)
    assert result.desired[0].period == Period(hour("2026-04-01T09:00Z"), hour("2026-04-01T12:00Z"))
    assert "2026-04-01T09:00:00Z .. 2026-04-01T12:00:00Z" in result.notes[0].how


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"end_date": "2026-04-01 08:40"}, "no whole hour"),
        ({"end_date": "2026-04-01 07:00"}, "no whole hour"),
        ({"end_date": "2046-04-01 07:00"}, "ten years"),
        ({"start_date": "1999-01-01 00:00"}, "outside"),
        ({"start_date": "soon"}, "not a date"),
        ({"start_date": "0001-01-01T00:00:00+14:00"}, "not a date"),
        ({"status": "ERROR"}, "its state is ERROR"),
        ({"status": "TERMINATED"}, "its state is TERMINATED"),
        ({"status": "CREATING"}, "not yet"),
        ({"status": "WHATEVER"}, "its state is WHATEVER"),
        ({"id": None}, "`$.id`"),
        ({"reservations": []}, "no reservations"),
        ({"reservations": "none"}, "`$.reservations`"),
    ],
)
def test_a_lease_that_grants_nothing_is_told(members: dict[str, Any], says: str) -> None:
    assert says in why("blazar", {"lease": lease(instances(), **members)})


def test_a_lease_that_is_over_takes_back_what_it_granted() -> None:
    result = mapped("blazar", json.dumps({"lease": lease(instances(), status="TERMINATED")}))
    assert result.desired == [EndedSource("blazar:30c6a1f2-77d4-4e0b-9a55-1f2b3c4d5e6f", "lease spring run")]


@pytest.mark.parametrize(
    ("reservation", "says"),
    [
        (instances(status="error"), "its state is error"),
        (instances(0), "amount is 0"),
        (instances(amount=None), "`$.amount`"),
        (instances(vcpus=None, flavor_id=None), "neither vcpus"),
        (instances(10**12), "is more than"),
        (hosts(), "give --host-memory"),
        (hosts(properties=""), "give --host-cores and --host-memory"),
        (hosts(properties="[["), "give --host-cores and --host-memory"),
        (hosts(0, 4), "no host is guaranteed"),
        ({"id": "f", "resource_type": "virtual:floatingip", "amount": 2}, "does not count 'virtual:floatingip'"),
        ({"id": "f"}, "resource_type"),
    ],
)
def test_a_reservation_that_grants_nothing_does_not_take_the_lease_with_it(
    reservation: dict[str, Any], says: str
) -> None:
    assert says in why("blazar", {"lease": lease(reservation)})
    (grants,) = mapped("blazar", json.dumps({"lease": lease(instances(), reservation)})).desired
    assert isinstance(grants, DesiredGrants)
    assert len(grants.capacities) == 1


def test_of_hosts_the_least_number_is_granted_each_as_big_as_said_or_as_asked_of_it() -> None:
    both = '["and", [">=", "$vcpus", "32"], [">", "$memory_mb", 65535], ["==", "$hypervisor_type", "QEMU"]]'
    (grants,) = desired("blazar", {"lease": lease(hosts(2, 5, both))})
    assert isinstance(grants, DesiredGrants)
    assert grants.capacities == (Capacity(servers=2, cores=64, memory=131_072),)
    (grants,) = desired("blazar", {"lease": lease(hosts(3))}, host=Capacity(memory=1000, tempdisc=7))
    assert isinstance(grants, DesiredGrants)
    assert grants.capacities == (Capacity(servers=3, cores=96, memory=3000, tempdisc=21),)
    (grants,) = desired("blazar", {"lease": lease(hosts("2", "5", both))})  # type: ignore[arg-type]
    assert isinstance(grants, DesiredGrants)
    assert "--host-memory" in why("blazar", {"lease": lease(hosts(1, 1, '["or", [">=", "$vcpus", "8"]]'))})


def test_a_reservation_of_a_flavor_counts_as_its_flavor() -> None:
    kept = json.dumps({**NODE, "OS-FLV-EXT-DATA:ephemeral": 20})
    of_flavor = instances(2, resource_type="flavor:instance", vcpus=8, memory_mb=16384, disk_gb=30)
    (grants,) = desired("blazar", {"lease": lease({**of_flavor, "resource_properties": kept})})
    assert isinstance(grants, DesiredGrants)
    assert grants.capacities == (Capacity(servers=2, cores=16, memory=32_768, tempdisc=100),)
    bare = {"id": "b", "resource_type": "flavor:instance", "amount": 2, "flavor_id": "11"}
    assert "its flavor '11' is not known" in why("blazar", {"lease": lease(bare)})
    template, grants = desired("blazar", {"lease": lease(bare)}, {"flavors": [NODE]})
    assert isinstance(template, DesiredTemplate)
    assert isinstance(grants, DesiredGrants)
    assert grants.capacities == (Capacity(servers=2, cores=16, memory=32_768, tempdisc=60),)


def test_missing_resources_are_noted() -> None:
    assert "missing" in mapped("blazar", json.dumps(lease(instances(missing_resources=True)))).notes[0].how


# --- Magnum ---

LAYOUT = Layout(masterflavor="c2.head", mastercount=1, workerflavor="c2.node", workercount=4)
NAME = "night-sky-d41c7e0a"


def clusters_in(*documents: Any, **options: Any) -> list[Desired]:
    return [one for one in desired("magnum", *documents, **options) if not isinstance(one, DesiredTemplate)]


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


def test_an_ideographic_space_between_the_parts_is_read_and_noted_one_in_a_name_stays() -> None:
    result = mapped(
        "magnum", '\ufeff{"node_count":\u30003,\n"nodegroup":\u00a0"default\u3000worker"}', cluster="sky.k8s"
    )
    assert [note.how[:14] for note in result.notes] == ["line 1: U+3000", "line 2: U+00A0"]
    assert result.unmapped[0].why.endswith("default\u3000worker")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1, column 2"),
        ('{"a": 1,}', "line 1, column"),
        ("<html>", "line 1, column 1"),
        ("[1, 2", "line 1"),
        ('{"a": 1} }', "line 1, column 10"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(NotJson, match=says):
        parse(text, "quota.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "contains nothing"),
        ("[]", "contains nothing"),
        ("3", "3 is not a document"),
        ('"x"', "not a document"),
        ("{}", "members are nothing"),
        ('{"servers": []}', "members are servers"),
        ('{"quota_set": 3}', "members are quota_set"),
        ('{"itemNotFound": {"code": 404, "message": "no such project"}}', "no such project"),
        ('{"error": {"code": 401, "title": "Unauthorized", "message": "log in"}}', "log in"),
        ('{"error_code": 403, "error_message": "not yours"}', "not yours"),
        ('{"errors": [{"status": 404, "detail": "Cluster x could not be found."}]}', "could not be found"),
        ('{"leases": [{}]}', "with `hourbook import blazar`"),
        ('{"quota_set": {"cores": 1}, "x": 2}', "is missing"),
        ('{"flavors": [], "flavors_links": [{"rel": "next", "href": "h"}]}', "more pages"),
    ],
)
def test_what_is_no_document_for_the_importer_is_told(text: str, says: str) -> None:
    result = mapped("nova", text)
    assert result.desired == []
    assert any(says in one.why for one in result.unmapped)


def test_an_empty_list_is_noted() -> None:
    assert "empty" in mapped("blazar", '{"leases": []}').notes[0].how


def test_documents_one_after_the_other_are_all_read() -> None:
    text = json.dumps(quota()) + "\n" + json.dumps({"flavors": [NODE]}) + json.dumps([{"flavor": HEAD}])
    assert [type(one) for one in mapped("nova", text).desired] == [DesiredTemplate, DesiredTemplate, DesiredGrants]


def test_documents_of_several_openstack_projects_need_the_one_that_is_meant() -> None:
    mine, other = lease(instances()), lease(instances(), id="b2", project_id="0f" * 16)
    with pytest.raises(SeveralOwners, match="2 OpenStack projects"):
        mapped("blazar", json.dumps({"leases": [mine, other]}))
    result = mapped("blazar", json.dumps({"leases": [mine, other]}), owner=OWNER)
    assert len(result.desired) == 1
    assert "belongs to the OpenStack project 0f0f" in result.unmapped[0].why


WHOLE_DOCUMENTS = {
    "nova": [quota(), quota(detail=True), {"flavors": [NODE, HEAD]}],
    "blazar": [lease(instances(), hosts()), {"leases": [lease(instances(resource_type="flavor:instance"))]}],
    "magnum": [cluster(), {"clusters": [cluster()]}, cluster_template(), {"node_count": 3, "nodegroup": "x"}],
}
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.sampled_from(["-1", "9" * 400, "2026-01-01", "ACTIVE", "physical:host", '["and"]', "[[", "\u3000"]),
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every member and element, as what holds it and its name or number."""
    if isinstance(document, dict | list):
        names = list(document) if isinstance(document, dict) else list(range(len(document)))
        return [(document, name) for name in names] + [place for name in names for place in places(document[name])]
    return []


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_a_document_holds_is_mapped_or_told(data: st.DataObject) -> None:
    service = data.draw(st.sampled_from(sorted(WHOLE_DOCUMENTS)))
    document = json.loads(json.dumps(data.draw(st.sampled_from(WHOLE_DOCUMENTS[service]))))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, name = data.draw(st.sampled_from(places(document)))
        if data.draw(st.booleans()):
            holder[name] = data.draw(ANYTHING)
        else:
            del holder[name]
        if not places(document):
            break
    result = mapped(
        service,
        json.dumps(document),
        flavor="11",
        master_flavor="c2.head",
        cluster="sky.k8s",
        known={"c2.head": "c2.head"},
    )
    assert result.desired or result.unmapped or result.notes
