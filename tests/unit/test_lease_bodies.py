"""What Blazar tells of a lease: a body that lies or is too large is refused, and costs little."""

from typing import Any

import pytest

from services.command.routes.leases import BlazarLease, LeaseContext, changed_lease
from shared.capacity import Capacity
from shared.errors import InvalidField

WHO = LeaseContext(project_id="5e3b7a0c")
HOST = {"resource_type": "physical:host", "allocations": [{"vcpus": 8, "memory_mb": 1}, {"vcpus": 9, "memory_mb": 0}]}


def lease(*reservations: dict[str, Any]) -> BlazarLease:
    return BlazarLease(start_date="2086-01-01T10:00", end_date="2086-01-01T12:00", reservations=list(reservations))


def test_a_changed_number_of_hosts_counts_the_largest_of_them() -> None:
    changed = changed_lease(WHO, lease(HOST), lease({"max": 3}))
    assert changed.amount.capacity == Capacity(servers=3, cores=27, memory=3)


def test_hosts_are_multiplied_for_one_reservation_and_up_to_a_bound() -> None:
    with pytest.raises(InvalidField, match="one lease for each reservation"):
        changed_lease(WHO, lease(*[HOST] * 20_000), lease({"max": 100_000}))
    with pytest.raises(InvalidField, match="999999999999 hosts are more than 100000"):
        changed_lease(WHO, lease(HOST), lease({"max": "999999999999"}))


def test_an_id_that_is_no_text_is_no_id() -> None:
    one = {"id": [], "resource_type": "virtual:instance", "amount": 1, "vcpus": 4, "memory_mb": 1}
    assert changed_lease(WHO, lease(one), lease({"id": {}, "amount": 2})).amount.capacity.cores == 8
