"""Nova's quotas and flavors: nothing is promised that is not granted, and what cannot be mapped is said."""

import json
from typing import Any

import pytest

from services.cli.openstack.desired import DesiredCluster, DesiredGrants, DesiredTemplate, template_name, unique_name
from shared.capacity import Capacity
from shared.events import Layout
from shared.hours import Period
from tests.support.openstack import (
    HEAD,
    NODE,
    OLD_QUOTA,
    OWNER,
    cluster,
    clusters_in,
    desired,
    flavor,
    hour,
    mapped,
    quota,
    why,
)


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
