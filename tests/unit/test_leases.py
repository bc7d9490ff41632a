"""Leases of OpenStack: what their account has booked, and what a call books, changes and gives back for them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AddAccountMember,
    AskLease,
    CancelBooking,
    CreateAccount,
    CreateTemplate,
    EndLease,
    LeaseAmount,
    LeaseUse,
    TemplateCount,
)
from services.command.domain.leases import LeaseNotBooked
from shared.capacity import Capacity
from shared.errors import CapacityExceeded, Refused, UnknownId
from shared.hours import Period, hour_of
from tests.support.project import T0, Project, cores

P = "5e3b7a0c"


def period(start: int, end: int) -> Period:
    return Period(T0 + start, T0 + end)


def lease(start: int, end: int, count: int, **more: Any) -> AskLease:
    wanted = {"pool": "gaia", "openstack_project": P, "booking": uuid4(), **more}
    return AskLease(period=period(start, end), amount=LeaseAmount(capacity=cores(count)), **wanted)


def use(start: int, end: int, count: int, booking: UUID | None = None, openstack_project: str = P) -> LeaseUse:
    amount = LeaseAmount(capacity=cores(count))
    return LeaseUse(openstack_project=openstack_project, period=period(start, end), amount=amount, booking=booking)


@pytest.fixture
def gaia() -> Project:
    """100 cores for 1,000 hours. The OpenStack project P belongs to the account `ada`."""
    gaia = Project()
    gaia.grant(0, 1000, 100)
    for account in ("ada", "bob"):
        gaia.do(CreateAccount(account=account, name=account))
    gaia.do(AddAccountMember(account="ada", member=f"group:ours:{P}:member"))
    return gaia


def told(gaia: Project, command: AskLease) -> list[tuple[int, int, int, int]]:
    """The shortages of the refusal: hours from T0, what is asked, what is left."""
    with pytest.raises(LeaseNotBooked) as refusal:
        gaia.do(command)
    hours = [(Period(hour_at(one["start"]), hour_at(one["end"])), one) for one in refusal.value.facts["shortages"]]
    return [(*hour, one["asked"], one["available"]) for hour, one in hours]


def hour_at(text: str) -> int:
    return hour_of(datetime.fromisoformat(text)) - T0


def decided(events: list[Any]) -> list[tuple[str, int, int, int]]:
    return [
        (type(event).__name__, hour_of(event.start) - T0, hour_of(event.end) - T0, event.capacity.cores)
        for event in events
    ]


def test_a_lease_needs_what_it_takes_in_every_hour(gaia: Project) -> None:
    gaia.book(0, 10, 4)
    gaia.book(10, 20, 6)
    gaia.book(0, 20, 50, account="bob")
    assert gaia.do(lease(0, 20, 4)) == []
    assert told(gaia, lease(5, 25, 6)) == [(5, 10, 6, 4), (20, 25, 6, 0)]


def test_what_other_leases_of_the_account_use_is_not_left(gaia: Project) -> None:
    gaia.book(0, 20, 8)
    gaia.do(AddAccountMember(account="ada", member="group:ours:another"))
    others = (use(0, 5, 4), use(3, 8, 2, openstack_project="another"), use(0, 20, 8, openstack_project="bob"))
    assert told(gaia, lease(0, 10, 4, others=others)) == [(3, 5, 4, 2)]
    own = gaia.book(0, 20, 4)
    assert gaia.do(lease(0, 10, 4, others=(use(0, 20, 8, own),))) == []  # it uses its own booking alone
    gaia.do(CancelBooking(booking=own))
    assert told(gaia, lease(0, 10, 1, others=(use(0, 20, 8, own),))) == [(0, 10, 1, 0)]


def test_a_share_counts_rounded_down_and_a_tentative_booking_does_not() -> None:
    gaia = Project(beyond_hours=24)
    gaia.grant(0, 100, 9)
    gaia.cluster("gaia.k", 0, 100, 9)
    gaia.book(0, 100, pool="gaia.k", account=P, share=5000)
    assert gaia.do(lease(0, 100, 4, pool="gaia.k")) == []
    assert told(gaia, lease(0, 100, 5, pool="gaia.k")) == [(0, 100, 5, 4)]
    gaia.book(50, 60, 3, account=P)
    assert told(gaia, lease(50, 60, 3)) == [(50, 60, 3, 0)]


def test_which_account_pays_is_never_guessed(gaia: Project) -> None:
    gaia.book(0, 10, 4, account="bob")
    assert gaia.do(lease(0, 10, 4, openstack_project="bob")) == []  # the account is called so
    assert told(gaia, lease(0, 10, 4)) == [(0, 10, 4, 0)]
    gaia.do(AddAccountMember(account="bob", member=f"group:ours:{P}"))
    with pytest.raises(Refused, match="several accounts \\(ada, bob\\)"):
        gaia.do(lease(0, 10, 4))
    gaia.do(AddAccountMember(account="bob", member="group:other:else"))
    assert told(gaia, lease(0, 10, 4, openstack_project="else", issuers=("ours",))) == [(0, 10, 4, 0)]


def test_flavors_are_templates_and_discs_do_not_count(gaia: Project) -> None:
    gaia.do(CreateTemplate(template="m1", capacity=Capacity(cores=3, tempdisc=50)))
    gaia.book(0, 10, 10)
    amount = LeaseAmount(capacity=Capacity(cores=1, datadisc=9), flavors=(TemplateCount(name="m1", count=3),))
    asked = AskLease(pool="gaia", openstack_project=P, period=period(0, 10), amount=amount, booking=uuid4())
    assert gaia.do(asked) == []
    with pytest.raises(UnknownId):
        gaia.do(lease(0, 10, 1, pool="gaia.no"))


def test_what_is_not_booked_is_booked_if_there_is_capacity(gaia: Project) -> None:
    gaia.book(0, 10, 4)
    assert gaia.do(lease(0, 10, 4, books=True)) == []
    assert decided(gaia.do(lease(0, 11, 4, books=True))) == [("BookingCreated", 0, 11, 4)]
    with pytest.raises(CapacityExceeded):
        gaia.do(lease(0, 10, 93, books=True))


@pytest.mark.parametrize(
    ("now", "changed", "expected"),
    [
        (-5, (10, 20, 4), []),
        (-5, (12, 30, 5), [("BookingAmended", 12, 30, 5)]),
        (-5, (-5, 20, 4), [("BookingAmended", -5, 20, 4)]),
        (15, (10, 30, 4), [("BookingAmended", 15, 30, 4)]),
        (15, (10, 15, 4), [("BookingCancelled", 15, 20, 4)]),
        (15, (10, 20, 2), [("BookingAmended", 15, 20, 2)]),
        (20, (10, 25, 6), [("BookingCreated", 20, 25, 6)]),  # its last hour is over or has begun
        (20, (10, 20, 4), []),
    ],
)
def test_the_booking_of_a_lease_is_changed_with_it(
    now: int, changed: tuple[int, int, int], expected: list[tuple[str, int, int, int]]
) -> None:
    gaia = Project()
    gaia.grant(-100, 1000, 100)
    own = lease(10, 20, 4, books=True)
    gaia.do(own)
    gaia.at(now)
    assert decided(gaia.do(lease(*changed, books=True, booked=own.booking))) == expected


def test_a_lease_that_is_moved_to_begin_at_once_gets_a_new_booking(gaia: Project) -> None:
    own = lease(10, 20, 4, books=True)
    gaia.do(own)
    gaia.now = gaia.now.replace(year=2086, month=1, day=1, hour=5, minute=30)
    moved = gaia.do(lease(5, 20, 4, books=True, booked=own.booking))
    assert decided(moved) == [("BookingCancelled", 10, 20, 4), ("BookingCreated", 5, 20, 4)]


def test_the_end_of_a_lease_gives_back_what_the_call_had_booked_once(gaia: Project) -> None:
    own = lease(10, 20, 4, books=True)
    gaia.do(own)
    gaia.at(15)
    end = EndLease(pool="gaia", openstack_project=P, booked=own.booking)
    assert decided(gaia.do(end)) == [("BookingCancelled", 15, 20, 4)]
    assert gaia.do(end) == []
    gaia.at(30)
    assert gaia.do(end) == []
    assert gaia.do(EndLease(pool="gaia", openstack_project=P)) == []
