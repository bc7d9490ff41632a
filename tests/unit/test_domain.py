"""Given events, when a command comes, then the domain decides these events or this refusal."""

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.command.domain import CancelBooking, CreateProject, ProjectState, ResizeCluster, WithdrawGrant, evolve
from shared.capacity import NOTHING
from shared.errors import (
    AlreadyExists,
    CapacityExceeded,
    HourbookError,
    InvalidField,
    OutsidePeriod,
    PastIsImmutable,
    UnknownId,
)
from shared.hours import instant_of
from tests.support.project import T0, Project, cores


@pytest.fixture
def gaia() -> Project:
    return Project()


def test_a_project_id_is_taken_once(gaia: Project) -> None:
    with pytest.raises(AlreadyExists):
        gaia.do(CreateProject(project="gaia", name="again"))


def test_a_booking_takes_and_a_cancel_gives_back(gaia: Project) -> None:
    gaia.grant(0, 10, 4)
    booking = gaia.book(2, 5, 3)
    assert gaia.free(0, 7) == [4, 4, 1, 1, 1, 4, 4]
    gaia.do(CancelBooking(booking=booking))
    assert gaia.free(0, 10) == [4] * 10


def test_touching_bookings_do_not_conflict(gaia: Project) -> None:
    gaia.grant(0, 10, 4)
    gaia.book(0, 5, 4)
    gaia.book(5, 10, 4)
    assert gaia.free(0, 10) == [0] * 10


def test_a_refusal_names_hours_dimension_asked_and_available(gaia: Project) -> None:
    gaia.grant(0, 4, 4)
    gaia.book(1, 2, 1)
    with pytest.raises(CapacityExceeded) as refusal:
        gaia.book(0, 6, 4)
    shortages = refusal.value.facts["shortages"]
    assert [(s["start"][11:13], s["end"][11:13], s["asked"], s["available"]) for s in shortages] == [
        ("01", "02", 4, 3),
        ("04", "06", 4, 0),
    ]
    assert gaia.free(0, 6) == [4, 3, 4, 4, 0, 0]


def test_a_started_booking_is_cut_at_the_next_whole_hour(gaia: Project) -> None:
    gaia.grant(0, 10, 4)
    booking = gaia.book(0, 10, 4)
    gaia.now = instant_of(T0 + 3) + timedelta(minutes=20)
    gaia.do(CancelBooking(booking=booking))
    assert gaia.free(0, 10) == [0] * 4 + [4] * 6


def test_a_grant_cannot_be_withdrawn_from_under_bookings(gaia: Project) -> None:
    grant = gaia.grant(0, 10, 4)
    gaia.grant(0, 10, 1)
    gaia.book(9, 10, 2)
    with pytest.raises(CapacityExceeded):
        gaia.do(WithdrawGrant(grant=grant))
    gaia.grant(9, 10, 1)
    gaia.do(WithdrawGrant(grant=grant))
    assert gaia.free(0, 10) == [1] * 9 + [0]


def test_a_cluster_draws_from_its_parent_and_offers_to_its_bookings(gaia: Project) -> None:
    gaia.grant(0, 10, 10)
    gaia.cluster("gaia.spark", 2, 8, 6)
    gaia.cluster("gaia.spark.zeppelin", 3, 4, 5, parent="gaia.spark")
    gaia.book(3, 4, 1, pool="gaia.spark")
    assert gaia.free(0, 10) == [10, 10, 4, 4, 4, 4, 4, 4, 10, 10]
    assert gaia.free(1, 6, "gaia.spark") == [0, 6, 0, 6, 6]
    with pytest.raises(CapacityExceeded):
        gaia.book(1, 3, 1, pool="gaia.spark")


def test_a_resize_is_refused_below_what_is_booked_and_above_what_is_free(gaia: Project) -> None:
    gaia.grant(0, 10, 10)
    gaia.cluster("gaia.spark", 0, 10, 6)
    gaia.book(4, 5, 3, pool="gaia.spark")
    for size in (2, 11):
        with pytest.raises(CapacityExceeded):
            gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(size)))
    gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(3), start=T0 + 2, end=T0 + 6))
    assert gaia.free(0, 8) == [4, 4, 7, 7, 7, 7, 4, 4]
    assert gaia.free(0, 8, "gaia.spark") == [6, 6, 3, 3, 0, 3, 6, 6]
    gaia.do(ResizeCluster(cluster="gaia.spark", capacity=NOTHING, start=T0 + 5))
    assert gaia.free(4, 8) == [7, 10, 10, 10]
    assert gaia.do(ResizeCluster(cluster="gaia.spark", capacity=NOTHING, start=T0 + 5)) == []


def test_a_resize_acts_within_the_period_and_not_in_the_past(gaia: Project) -> None:
    gaia.grant(0, 10, 10)
    gaia.cluster("gaia.spark", 0, 10, 6)
    with pytest.raises(OutsidePeriod):
        gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(1), end=T0 + 11))
    gaia.now = instant_of(T0 + 5)
    with pytest.raises(PastIsImmutable):
        gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(1), start=T0 + 4))
    gaia.now = instant_of(T0 + 10)
    with pytest.raises(PastIsImmutable):
        gaia.do(ResizeCluster(cluster="gaia.spark", capacity=cores(1)))


def test_nothing_at_all_is_refused(gaia: Project) -> None:
    for act in (lambda: gaia.grant(0, 1, 0), lambda: gaia.book(0, 1, 0), lambda: gaia.cluster("gaia.x", 0, 1, 0)):
        with pytest.raises(InvalidField, match="every dimension is 0"):
            act()


def test_unknown_ids_are_named(gaia: Project) -> None:
    for command in (
        CancelBooking(booking=uuid4()),
        WithdrawGrant(grant=uuid4()),
        ResizeCluster(cluster="gaia.no", capacity=cores(1)),
    ):
        with pytest.raises(UnknownId):
            gaia.do(command)
    with pytest.raises(UnknownId):
        gaia.book(0, 1, 1, pool="gaia.no")


HOURS = 24
steps = st.lists(
    st.tuples(
        st.sampled_from(["grant", "withdraw", "cluster", "resize", "book", "cancel", "wait"]),
        st.integers(0, HOURS - 1),
        st.integers(1, HOURS),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_hour_of_any_pool_is_ever_negative_and_the_fold_is_what_the_claims_add_up_to(
    history: list[tuple[str, int, int, int, int]],
) -> None:
    gaia = Project()
    for act, start, length, count, pick in history:
        end = min(HOURS, start + length)
        pools = sorted(gaia.state.pools)
        pool = pools[pick % len(pools)]
        try:
            match act:
                case "grant":
                    gaia.grant(start, end, count)
                case "withdraw" if gaia.state.grants:
                    gaia.do(WithdrawGrant(grant=list(gaia.state.grants)[pick % len(gaia.state.grants)]))
                case "cluster":
                    gaia.cluster(f"{pool}.c{pick}", start, end, count, parent=pool)
                case "resize":
                    gaia.do(ResizeCluster(cluster=pool, capacity=cores(count), start=T0 + start, end=T0 + end))
                case "book":
                    gaia.book(start, end, count, pool=pool)
                case "cancel" if gaia.state.bookings:
                    gaia.do(CancelBooking(booking=list(gaia.state.bookings)[pick % len(gaia.state.bookings)]))
                case "wait":
                    gaia.now = max(gaia.now, instant_of(T0 + start // 4))
        except HourbookError:
            pass
        _check(gaia)
    replayed = ProjectState()
    for event in gaia.history:
        evolve(replayed, event)
    for name, pool_state in gaia.state.pools.items():
        assert np.array_equal(pool_state.free.read(T0, T0 + HOURS), replayed.pools[name].free.read(T0, T0 + HOURS))


def _check(gaia: Project) -> None:
    """The invariants, written in a slow and simple way: each hour alone, from the claims and the sizes."""
    for name, pool in gaia.state.pools.items():
        free = pool.free.read(T0, T0 + HOURS)
        assert (free >= 0).all()
        size = pool.size.read(T0, T0 + HOURS).copy()
        if pool.parent is None:
            granted = np.zeros_like(size)
            for grant in gaia.state.grants.values():
                granted[grant.start - T0 : grant.end - T0] += grant.capacity.vector()
            assert np.array_equal(size, granted)
        for booking in gaia.state.bookings.values():
            if booking.pool == name:
                size[booking.start - T0 : booking.end - T0] -= booking.capacity.vector()
        for child in gaia.state.pools.values():
            if child.parent == name:
                size -= child.size.read(T0, T0 + HOURS)
        assert np.array_equal(free, size)
