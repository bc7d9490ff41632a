"""Shares follow the size, rounded up. A pool may have shares and counts; all shares together are at most 100%."""

from uuid import uuid4

import pytest

from services.command.domain import CancelBooking, CreateExclusive, CreateTemplate, ResizeCluster, TemplateCount
from shared.capacity import Capacity
from shared.errors import CapacityExceeded, InvalidField, OutsidePeriod
from shared.events import BookingCreated, ClusterCreated
from shared.hours import Period
from tests.support.project import T0, Project, cores


@pytest.fixture
def spark() -> Project:
    """A cluster of 10 cores in the hours 0 to 10."""
    project = Project()
    project.grant(0, 10, 100)
    project.cluster("gaia.spark", 0, 10, 10)
    return project


def test_a_share_is_rounded_up_once_for_all_shares(spark: Project) -> None:
    spark.book(0, 2, pool="gaia.spark", share=1250)  # 1.25 of 10
    assert spark.free(0, 3, "gaia.spark") == [8, 8, 10]
    spark.book(1, 2, pool="gaia.spark", share=1250)  # together 2.5
    assert spark.free(0, 3, "gaia.spark") == [8, 7, 10]


def test_a_share_follows_the_size(spark: Project) -> None:
    spark.book(0, 10, pool="gaia.spark", share=5000)
    spark.do(ResizeCluster(cluster="gaia.spark", capacity=cores(30), start=T0 + 5))
    assert spark.free(4, 6, "gaia.spark") == [5, 15]
    spark.do(ResizeCluster(cluster="gaia.spark", capacity=cores(1), start=T0 + 8))
    assert spark.free(7, 9, "gaia.spark") == [15, 0]


def test_a_share_takes_from_what_counts_have_left(spark: Project) -> None:
    spark.book(0, 10, 6, pool="gaia.spark")
    with pytest.raises(CapacityExceeded) as refusal:
        spark.book(0, 10, pool="gaia.spark", share=4001)
    assert refusal.value.facts["shortages"][0] | {"start": "", "end": ""} == {
        "start": "",
        "end": "",
        "dimension": "cores",
        "asked": 5,
        "available": 4,
    }
    spark.book(0, 10, pool="gaia.spark", share=4000)
    assert spark.free(0, 2, "gaia.spark") == [0, 0]


def test_all_shares_together_are_at_most_the_whole(spark: Project) -> None:
    first = spark.book(0, 5, pool="gaia.spark", share=6000)
    with pytest.raises(CapacityExceeded) as refusal:
        spark.book(4, 6, pool="gaia.spark", share=4001)
    shortage = refusal.value.facts["shortages"][0]
    assert (shortage["dimension"], shortage["asked"], shortage["available"]) == ("share", 4001, 4000)
    spark.do(CancelBooking(booking=first))
    spark.book(4, 6, pool="gaia.spark", share=10_000)
    assert spark.free(3, 7, "gaia.spark") == [10, 0, 0, 10]


def test_a_cluster_that_shrinks_keeps_room_for_counts_beside_its_shares(spark: Project) -> None:
    spark.book(0, 10, pool="gaia.spark", share=5000)
    spark.book(0, 10, 3, pool="gaia.spark")
    with pytest.raises(CapacityExceeded):
        spark.do(ResizeCluster(cluster="gaia.spark", capacity=cores(5)))  # half of 5 is 3, and 3 are booked
    spark.do(ResizeCluster(cluster="gaia.spark", capacity=cores(6)))
    assert spark.free(0, 2, "gaia.spark") == [0, 0]


def test_a_share_is_of_a_cluster_while_it_is_there(spark: Project) -> None:
    with pytest.raises(InvalidField, match="share"):
        spark.book(0, 2, share=1000)
    with pytest.raises(OutsidePeriod):
        spark.book(9, 11, pool="gaia.spark", share=1000)


def test_an_exclusive_booking_is_a_new_cluster_booked_whole_in_one_append(spark: Project) -> None:
    command = CreateExclusive(
        booking=uuid4(), cluster="gaia.mine", parent="gaia", account="ada", period=Period(T0, T0 + 4), capacity=cores(7)
    )
    created, booked = spark.do(command)
    assert isinstance(created, ClusterCreated)
    assert isinstance(booked, BookingCreated)
    assert (booked.pool, booked.share) == ("gaia.mine", 10_000)
    assert spark.free(0, 5) == [83, 83, 83, 83, 90]
    assert spark.free(0, 5, "gaia.mine") == [0] * 5
    with pytest.raises(CapacityExceeded):
        spark.do(
            CreateExclusive(
                booking=uuid4(),
                cluster="gaia.more",
                parent="gaia",
                account="ada",
                period=Period(T0, T0 + 4),
                capacity=cores(84),
            )
        )
    assert "gaia.more" not in spark.state.pools


def test_a_template_is_immutable_and_a_booking_keeps_what_it_resolved_to(spark: Project) -> None:
    small = TemplateCount(name="small", count=3)
    with pytest.raises(InvalidField, match="no template 'small'"):
        spark.book(0, 2, template=small)
    assert len(spark.do(CreateTemplate(template="small", capacity=Capacity(cores=2)))) == 1
    assert spark.do(CreateTemplate(template="small", capacity=Capacity(cores=2))) == []
    first = spark.book(0, 2, template=small)
    assert spark.free(0, 3) == [84, 84, 90]
    spark.do(CreateTemplate(template="small", capacity=Capacity(cores=5)))
    assert spark.state.bookings[first].capacity == cores(6)
    spark.book(0, 1, template=TemplateCount(name="small", version=1))
    booked = spark.history[-1]
    assert isinstance(booked, BookingCreated)
    assert booked.template is not None
    assert (booked.capacity, booked.template.version, booked.template.count) == (cores(2), 1, 1)
    spark.book(0, 1, template=TemplateCount(name="small"))
    assert spark.free(0, 2) == [77, 84]
    with pytest.raises(InvalidField, match="versions 1 to 2"):
        spark.book(0, 1, template=TemplateCount(name="small", version=3))
    with pytest.raises(InvalidField, match="count"):
        spark.book(0, 1, template=TemplateCount(name="small", count=10**12))
