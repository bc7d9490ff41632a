"""Over-commit: tentative bookings are confirmed in order, contested, and lapse when their hours come near."""

from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    CancelBooking,
    CreateCluster,
    CreateGrant,
    ResizeCluster,
    SettleConflicts,
    WithdrawGrant,
)
from shared.errors import CapacityExceeded
from shared.events import (
    BookingConfirmed,
    BookingContested,
    BookingLapsed,
    ClusterConfirmed,
    ClusterCreated,
    ClusterResized,
    Event,
    Overcommit,
)
from shared.hours import Period
from tests.support.project import T0, Project, cores

BEYOND = 100


@pytest.fixture
def gaia() -> Project:
    """A project whose hours from 76 on may be over-committed. It is 24 hours before hour 0."""
    project = Project(beyond_hours=BEYOND)
    project.grant(0, 1000, 10)
    return project


def about(events: list[Event], kind: type[Event]) -> list[UUID]:
    return [event.booking for event in events if isinstance(event, kind)]  # type: ignore[union-attr]


def test_beyond_the_horizon_a_booking_is_tentative_and_before_it_refused(gaia: Project) -> None:
    sure = gaia.book(0, 300, 8)
    late = gaia.book(200, 210, 3)
    assert (gaia.tentative(sure), gaia.tentative(late)) == (False, True)
    assert gaia.free(199, 202) == [2, -1, -1]
    with pytest.raises(CapacityExceeded) as refusal:
        gaia.book(70, 80, 3)
    assert [(s["start"][:13], s["end"][:13]) for s in refusal.value.facts["shortages"]] == [
        ("2086-01-03T22", "2086-01-04T04")
    ]  # hours 70 to 76, those before the horizon
    gaia.book(76, 80, 3)


def test_a_pool_without_a_policy_is_never_promised_twice() -> None:
    project = Project()
    project.grant(0, 1000, 10)
    with pytest.raises(CapacityExceeded):
        project.book(900, 901, 11)


def test_a_cluster_has_its_parents_policy_or_its_own(gaia: Project) -> None:
    period = Period(T0, T0 + 1000)
    gaia.cluster("gaia.a", 0, 1000, 2)
    gaia.do(
        CreateCluster(cluster="gaia.b", parent="gaia", kind="x", period=period, capacity=cores(2), overcommit="never")
    )
    gaia.do(
        CreateCluster(
            cluster="gaia.b.c",
            parent="gaia.b",
            kind="x",
            period=period,
            capacity=cores(1),
            overcommit=Overcommit(beyond_hours=500),
        )
    )
    assert gaia.tentative(gaia.book(200, 201, 3, pool="gaia.a"))
    with pytest.raises(CapacityExceeded):
        gaia.book(200, 201, 3, pool="gaia.b")
    with pytest.raises(CapacityExceeded):
        gaia.book(400, 401, 3, pool="gaia.b.c")
    assert gaia.tentative(gaia.book(600, 601, 3, pool="gaia.b.c"))


def test_capacity_that_comes_back_confirms_in_order(gaia: Project) -> None:
    sure = gaia.book(200, 210, 10)
    first, second, third = (gaia.book(200 + 2 * n, 206, 2 + n) for n in range(3))
    events = gaia.do(CreateGrant(grant=uuid4(), period=Period(T0 + 200, T0 + 204), capacity=cores(9)))
    assert about(events, BookingConfirmed) == []  # hour 205 is as short as it was
    events = gaia.do(CancelBooking(booking=sure))
    assert about(events, BookingConfirmed) == [first, second, third]
    assert gaia.free(200, 206) == [17, 17, 14, 14, 1, 1]


def test_an_older_claim_comes_before_a_smaller_younger_one(gaia: Project) -> None:
    gaia.book(200, 210, 10)
    older, younger = gaia.book(200, 210, 5), gaia.book(200, 210, 1)
    events = gaia.do(CreateGrant(grant=uuid4(), period=Period(T0 + 200, T0 + 210), capacity=cores(4)))
    assert about(events, BookingConfirmed) == []
    events = gaia.do(CreateGrant(grant=uuid4(), period=Period(T0 + 200, T0 + 210), capacity=cores(1)))
    assert about(events, BookingConfirmed) == [older]
    assert (gaia.tentative(older), gaia.tentative(younger)) == (False, True)


def test_a_shrinking_cluster_gives_back_to_tentative_bookings_of_its_parent(gaia: Project) -> None:
    gaia.cluster("gaia.spark", 0, 1000, 6)
    late = gaia.book(200, 210, 6)
    assert gaia.tentative(late)
    events = gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(4), start=T0 + 150))
    assert about(events, BookingConfirmed) == [late]


def test_an_amendment_that_gives_back_confirms_too(gaia: Project) -> None:
    sure, late = gaia.book(200, 210, 8), gaia.book(205, 210, 4)
    events = gaia.amend(sure, end=205)
    assert about(events, BookingConfirmed) == [late]
    assert not gaia.amend(late, counts={"cores": 5})[0].tentative  # type: ignore[union-attr]
    assert gaia.amend(late, counts={"cores": 11})[0].tentative  # type: ignore[union-attr]
    assert not gaia.amend(late, counts={"cores": 10})[0].tentative  # type: ignore[union-attr]


def test_a_grant_withdrawn_from_under_bookings_contests_the_youngest(gaia: Project) -> None:
    extra = gaia.grant(200, 400, 5)
    old, young = gaia.book(200, 300, 8), gaia.book(200, 300, 7)
    events = gaia.do(WithdrawGrant(grant=extra))
    assert about(events, BookingContested) == [young]
    assert (gaia.tentative(old), gaia.tentative(young)) == (False, True)
    events = gaia.do(CreateGrant(grant=uuid4(), period=Period(T0 + 200, T0 + 400), capacity=cores(5)))
    assert about(events, BookingConfirmed) == [young]


def test_a_grant_is_not_withdrawn_from_under_bookings_that_are_near(gaia: Project) -> None:
    extra = gaia.grant(0, 400, 5)
    gaia.book(0, 300, 12)
    with pytest.raises(CapacityExceeded):
        gaia.do(WithdrawGrant(grant=extra))


def test_a_cluster_may_over_commit_and_is_confirmed(gaia: Project) -> None:
    gaia.book(200, 300, 8)
    (created,) = gaia.do(
        CreateCluster(
            cluster="gaia.spark", parent="gaia", kind="x", period=Period(T0 + 200, T0 + 300), capacity=cores(4)
        )
    )
    assert isinstance(created, ClusterCreated)
    assert created.tentative
    events = gaia.do(CreateGrant(grant=uuid4(), period=Period(T0 + 200, T0 + 300), capacity=cores(2)))
    assert [event.cluster for event in events if isinstance(event, ClusterConfirmed)] == ["gaia.spark"]
    assert gaia.state.pools["gaia.spark"].growth is None


def test_when_the_deadline_passes_the_youngest_tentative_claims_lapse(gaia: Project) -> None:
    sure, first, second = gaia.book(200, 210, 7), gaia.book(195, 202, 4), gaia.book(201, 220, 5)
    gaia.at(200 - BEYOND)
    assert gaia.do(SettleConflicts()) == []  # hour 200 is exactly at the horizon: it may still be short
    gaia.at(201 - BEYOND)
    events = gaia.do(SettleConflicts())  # hour 200 has come near; the second does not touch it
    assert about(events, BookingLapsed) == [first]
    assert gaia.tentative(second)
    gaia.at(202 - BEYOND)
    assert about(gaia.do(SettleConflicts()), BookingLapsed) == [second]
    assert gaia.free(194, 221) == [10] * 6 + [3] * 10 + [10] * 11
    assert gaia.do(SettleConflicts()) == []
    assert not gaia.tentative(sure)


def test_what_lapses_makes_room_for_other_tentative_claims(gaia: Project) -> None:
    gaia.book(200, 210, 8)
    big, small = gaia.book(200, 210, 7), gaia.book(209, 220, 1)
    gaia.at(201 - BEYOND)
    events = gaia.do(SettleConflicts())
    assert about(events, BookingLapsed) == [big]
    assert about(events, BookingConfirmed) == [small]


def test_a_booking_that_has_begun_keeps_the_hours_before_the_short_one(gaia: Project) -> None:
    gaia.book(200, 210, 8)
    long = gaia.book(50, 300, 2)
    extra = gaia.book(120, 300, 2)  # tentative from hour 200 on
    assert gaia.tentative(extra)
    gaia.amend(long, counts={"cores": 3})
    assert (gaia.tentative(long), gaia.tentative(extra)) == (True, False)  # the amended claim is the younger one now
    gaia.at(201 - BEYOND)
    assert about(gaia.do(SettleConflicts()), BookingLapsed) == [long]
    assert gaia.free(119, 121) == [7, 5]
    assert gaia.free(199, 201) == [5, 0]


def test_a_cluster_that_took_too_much_shrinks_and_its_own_bookings_lapse(gaia: Project) -> None:
    gaia.book(200, 300, 8)
    gaia.cluster("gaia.spark", 200, 300, 4)
    inside = gaia.book(200, 300, 3, pool="gaia.spark")
    other = gaia.book(250, 260, 1, pool="gaia.spark")
    gaia.at(201 - BEYOND)
    events = gaia.do(SettleConflicts())
    resized = [event for event in events if isinstance(event, ClusterResized)]
    assert [(event.capacity, event.lapsed) for event in resized] == [(cores(2), True)]
    assert [event.cluster for event in events if isinstance(event, ClusterConfirmed)] == ["gaia.spark"]
    assert about(events, BookingLapsed) == [inside]
    assert not gaia.tentative(other)
    assert gaia.free(200, 202) == [0, 0]
    assert gaia.free(249, 251, "gaia.spark") == [2, 1]


def test_while_over_committed_what_makes_no_hour_worse_is_accepted(gaia: Project) -> None:
    gaia.book(200, 300, 8)
    late = gaia.book(200, 300, 5)
    gaia.at(250 - BEYOND)  # the scheduler has not run yet: hours 200 to 250 are short and near
    with pytest.raises(CapacityExceeded):
        gaia.book(240, 260, 1)
    gaia.amend(late, counts={"cores": 4})
    assert gaia.free(200, 202) == [-2, -2]
    gaia.do(CancelBooking(booking=late))
    assert gaia.free(200, 202) == [2, 2]


def test_a_cluster_gives_back_what_is_tentative_before_anything_that_is_confirmed(gaia: Project) -> None:
    gaia.cluster("gaia.old", 0, 1000, 5)
    inside = gaia.book(200, 300, 5, pool="gaia.old")
    late = gaia.book(200, 300, 6)
    gaia.do(ResizeCluster(cluster="gaia.old", capacity=cores(7), start=T0 + 200, end=T0 + 300))
    gaia.at(201 - BEYOND)
    events = gaia.do(SettleConflicts())
    assert [event.capacity for event in events if isinstance(event, ClusterResized)] == [cores(5)]
    assert about(events, BookingLapsed) == [late]
    assert gaia.free(200, 201, "gaia.old") == [0]
    assert gaia.state.bookings[inside].end == T0 + 300


def test_when_nothing_is_tentative_the_youngest_cluster_gives_way() -> None:
    project = Project(beyond_hours=BEYOND)
    project.grant(0, 1000, 8)
    extra = project.grant(200, 1000, 4)
    project.cluster("gaia.old", 200, 300, 6)
    project.cluster("gaia.young", 200, 300, 6)
    project.do(WithdrawGrant(grant=extra))
    project.at(201 - BEYOND)
    resized = [event for event in project.do(SettleConflicts()) if isinstance(event, ClusterResized)]
    assert [(event.cluster, event.capacity) for event in resized] == [("gaia.young", cores(2))]


def test_a_growth_that_is_given_back_is_not_tentative_any_more(gaia: Project) -> None:
    gaia.cluster("gaia.spark", 0, 1000, 8)
    far = {"cluster": "gaia.spark", "start": T0 + 200, "end": T0 + 300}
    gaia.do(ResizeCluster(capacity=cores(20), **far))
    events = gaia.do(ResizeCluster(capacity=cores(8), **far))
    assert [event.cluster for event in events if isinstance(event, ClusterConfirmed)] == ["gaia.spark"]


def test_nothing_is_promised_of_a_cluster_outside_its_period(gaia: Project) -> None:
    gaia.cluster("gaia.spark", 0, 150, 8)
    with pytest.raises(CapacityExceeded):
        gaia.book(200, 300, 1, pool="gaia.spark")
