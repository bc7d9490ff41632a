"""The name of a cluster that has ended may be used again: the pool gets a new period, and its past stays."""

from typing import Any
from uuid import uuid4

import pytest

from services.command.domain import (
    ApplyResize,
    CancelBooking,
    CreateCluster,
    CreateExclusive,
    RequestResize,
    ResizeCluster,
)
from services.command.handler.snapshots import decode_state, encode_state
from shared.capacity import NOTHING, WHOLE
from shared.errors import AlreadyExists, NoLongerHeld, OutsidePeriod
from shared.events import BookingCreated, ClusterCreated, ClusterResizeFailed, Event, Overcommit
from shared.hours import Period, instant_of
from tests.support.project import T0, Project, cores, frozen


@pytest.fixture
def gaia() -> Project:
    """10 cores in 100 hours. The cluster `k` has 6 of them in the first 20 hours, and `k.s` 2 of those in the first
    15."""
    gaia = Project()
    gaia.grant(0, 100, 10)
    gaia.cluster("gaia.k", 0, 20, 6)
    gaia.cluster("gaia.k.s", 0, 15, 2, parent="gaia.k")
    return gaia


def again(gaia: Project, start: int, end: int, count: int = 4, name: str = "gaia.k", **asked: Any) -> list[Event]:
    period = Period(T0 + start, T0 + end)
    asked = {"kind": "other", "capacity": cores(count)} | asked
    return gaia.do(CreateCluster(cluster=name, parent=name.rpartition(".")[0], period=period, **asked))


def test_the_next_cluster_of_the_name_has_its_own_period_and_the_hours_add_up(gaia: Project) -> None:
    gaia.book(3, 5, 1, pool="gaia.k")
    gaia.at(20)
    [created] = again(gaia, 30, 40, overcommit=Overcommit(beyond_hours=5))
    assert isinstance(created, ClusterCreated)
    pool = gaia.state.pools["gaia.k"]
    assert pool.period == (T0 + 30, T0 + 40)
    assert (pool.born, pool.beyond_hours) == (gaia.state.version, 5)
    assert list(pool.size.read(T0 + 18, T0 + 42)[:, 1]) == [6, 6] + [0] * 10 + [4] * 10 + [0, 0]
    assert gaia.free(2, 6, "gaia.k") == [4, 3, 3, 4], "its past is as it was"
    assert gaia.free(14, 16) + gaia.free(29, 31) + gaia.free(39, 41) == [4, 4, 10, 6, 6, 10]
    gaia.book(30, 40, 3, pool="gaia.k")
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(5)))
    with pytest.raises(OutsidePeriod):
        gaia.do(ResizeCluster(cluster="gaia.k", capacity=cores(7), start=T0 + 25))
    kept = decode_state(encode_state(gaia.state), gaia.state.version)
    assert frozen(kept) == frozen(gaia.state)
    assert kept.pools["gaia.k"].born == pool.born


def test_a_cluster_that_has_not_ended_keeps_its_name_and_the_refusal_says_until_when(gaia: Project) -> None:
    gaia.at(10)
    with pytest.raises(AlreadyExists, match="exists until 2086-01-01T20:00:00Z; resize it to nothing") as refusal:
        again(gaia, 30, 40)
    assert refusal.value.facts["until"] == "2086-01-01T20:00:00Z"
    gaia.at(25)
    with pytest.raises(AlreadyExists, match="was another cluster until 2086-01-01T20:00:00Z; choose a startdate"):
        again(gaia, 19, 40)
    assert again(gaia, 20, 22), "hours gone by may be recorded"


def test_a_cluster_resized_to_nothing_has_ended_with_the_hour_that_has_begun(gaia: Project) -> None:
    gaia.now = instant_of(T0 + 9).replace(minute=30)
    gaia.do(ResizeCluster(cluster="gaia.k.s", capacity=NOTHING))
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=NOTHING))
    gaia.now = instant_of(T0 + 9).replace(minute=40)
    assert again(gaia, 10, 18)
    assert gaia.free(8, 20) == [4, 4] + [6] * 8 + [10, 10]


def test_what_was_planned_and_never_came_keeps_no_name(gaia: Project) -> None:
    gaia.cluster("gaia.later", 50, 60, 1)
    gaia.do(ResizeCluster(cluster="gaia.later", capacity=NOTHING))
    assert again(gaia, 5, 9, 1, name="gaia.later")
    with pytest.raises(AlreadyExists, match="exists until"):
        again(gaia, 50, 60, 1, name="gaia.later")


def test_the_name_is_taken_as_long_as_something_is_booked_in_it(gaia: Project) -> None:
    share = gaia.book(0, 20, pool="gaia.k", share=1000)
    gaia.at(5)
    gaia.do(ResizeCluster(cluster="gaia.k.s", capacity=NOTHING))
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=NOTHING))
    with pytest.raises(AlreadyExists, match="has ended, but is booked until 2086-01-01T20:00:00Z; cancel that"):
        again(gaia, 10, 18)
    gaia.do(CancelBooking(booking=share))
    again(gaia, 10, 18)
    gaia.book(10, 18, pool="gaia.k", share=WHOLE)


def test_what_is_in_a_cluster_ends_with_it_and_its_name_is_free_in_the_next(gaia: Project) -> None:
    gaia.at(5)
    gaia.do(ResizeCluster(cluster="gaia.k.s", capacity=NOTHING))
    gaia.do(ResizeCluster(cluster="gaia.k", capacity=NOTHING))
    again(gaia, 7, 20)
    with pytest.raises(OutsidePeriod):
        gaia.do(ResizeCluster(cluster="gaia.k.s", capacity=cores(1), end=T0 + 15))
    with pytest.raises(OutsidePeriod):
        gaia.book(8, 10, pool="gaia.k.s", share=100)
    again(gaia, 8, 19, 2, name="gaia.k.s")
    gaia.book(8, 10, pool="gaia.k.s", share=100)
    assert gaia.free(4, 10, "gaia.k") == [4, 0, 0, 4, 2, 2]


def test_a_resize_that_was_requested_of_the_cluster_before_is_none_of_the_next(gaia: Project) -> None:
    wishes = {}
    for name in ("gaia.k", "gaia.k.s"):
        wishes[name] = uuid4()
        gaia.do(RequestResize(request=wishes[name], resize=ResizeCluster(cluster=name, capacity=cores(1))))
    gaia.at(20)
    created, *failed = again(gaia, 20, 40)
    assert isinstance(created, ClusterCreated)
    assert {(one.cluster, one.request) for one in failed if isinstance(one, ClusterResizeFailed)} == set(wishes.items())
    with pytest.raises(NoLongerHeld, match="has failed"):
        gaia.do(ApplyResize(cluster="gaia.k", request=wishes["gaia.k"]))


def test_a_cluster_of_ones_own_may_have_the_name_of_an_earlier_one(gaia: Project) -> None:
    gaia.at(20)
    period = Period(T0 + 20, T0 + 30)
    events = gaia.do(
        CreateExclusive(
            booking=uuid4(), cluster="gaia.k", parent="gaia", account="ada", period=period, capacity=cores(3)
        )
    )
    assert [type(event) for event in events] == [ClusterCreated, BookingCreated]
    assert gaia.free(19, 21, "gaia.k") == [6, 0]
