"""Blazar's leases: nothing is granted that no reservation holds, and what cannot be mapped is said."""

import json
from typing import Any

import pytest

from services.cli.openstack.desired import DesiredGrants, DesiredTemplate, EndedSource
from shared.capacity import Capacity
from shared.hours import Period
from tests.support.openstack import NODE, desired, hosts, hour, instances, lease, mapped, why

SPRING = Period(hour("2026-04-01T08:00Z"), hour("2026-04-15T20:00Z"))


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
