"""A booking is extended, shortened, moved and resized. Its hours that have begun never change."""

import pytest

from services.command.domain import CancelBooking
from shared.errors import CapacityExceeded, InvalidField, PastIsImmutable
from shared.events import BookingAmended
from tests.support.project import Project, cores


@pytest.fixture
def gaia() -> Project:
    project = Project()
    project.grant(0, 20, 4)
    return project


def test_a_booking_is_extended_shortened_moved_and_resized(gaia: Project) -> None:
    booking = gaia.book(2, 5, 2)
    gaia.amend(booking, end=7)
    assert gaia.free(1, 8) == [4, 2, 2, 2, 2, 2, 4]
    gaia.amend(booking, end=3)
    assert gaia.free(1, 8) == [4, 2, 4, 4, 4, 4, 4]
    gaia.amend(booking, start=4, end=6)
    assert gaia.free(1, 8) == [4, 4, 4, 2, 2, 4, 4]
    gaia.amend(booking, counts={"cores": 3})
    assert gaia.free(1, 8) == [4, 4, 4, 1, 1, 4, 4]


def test_it_may_take_again_what_it_gives_back(gaia: Project) -> None:
    booking = gaia.book(2, 5, 4)
    gaia.amend(booking, start=3, end=6)
    assert gaia.free(2, 7) == [4, 0, 0, 0, 4]


def test_it_is_refused_where_others_are_and_nothing_changes(gaia: Project) -> None:
    booking = gaia.book(2, 5, 2)
    gaia.book(5, 6, 3)
    with pytest.raises(CapacityExceeded) as refusal:
        gaia.amend(booking, end=7)
    shortage = refusal.value.facts["shortages"]
    assert [(s["asked"], s["available"], s["start"][11:13]) for s in shortage] == [(2, 1, "05")]
    assert gaia.free(1, 8) == [4, 2, 2, 2, 1, 4, 4]


def test_the_same_again_is_already_so(gaia: Project) -> None:
    booking = gaia.book(2, 5, 2)
    assert gaia.amend(booking, start=2, end=5, counts={"cores": 2}) == []


def test_a_started_booking_changes_from_the_next_whole_hour(gaia: Project) -> None:
    booking = gaia.book(0, 10, 2)
    gaia.at(3)
    (amended,) = gaia.amend(booking, counts={"cores": 4})
    assert isinstance(amended, BookingAmended)
    assert gaia.free(0, 10) == [2, 2, 2, 0, 0, 0, 0, 0, 0, 0]
    gaia.at(5)
    gaia.amend(booking, end=7, counts={"cores": 1})
    assert gaia.free(0, 10) == [2, 2, 2, 0, 0, 3, 3, 4, 4, 4]
    assert gaia.state.bookings[booking].began == gaia.state.bookings[booking].start - 5
    with pytest.raises(PastIsImmutable, match="startdate"):
        gaia.amend(booking, start=6)
    with pytest.raises(PastIsImmutable, match="enddate"):
        gaia.amend(booking, end=5)
    gaia.do(CancelBooking(booking=booking))
    assert gaia.free(0, 10) == [2, 2, 2, 0, 0, 4, 4, 4, 4, 4]


def test_one_that_has_ended_or_would_begin_in_the_past_is_refused(gaia: Project) -> None:
    over, coming = gaia.book(0, 2, 1), gaia.book(8, 9, 1)
    gaia.at(4)
    with pytest.raises(PastIsImmutable):
        gaia.amend(over, end=9)
    with pytest.raises(PastIsImmutable, match="startdate"):
        gaia.amend(coming, start=3)
    with pytest.raises(InvalidField, match="enddate"):
        gaia.amend(coming, start=12)
    gaia.amend(coming, start=4)
    assert gaia.free(3, 10) == [4, 3, 3, 3, 3, 3, 4]


def test_counts_become_a_share_and_back(gaia: Project) -> None:
    gaia.cluster("gaia.spark", 0, 20, 4)
    booking = gaia.book(2, 4, 1, pool="gaia.spark")
    gaia.amend(booking, share=7500)
    assert gaia.free(1, 5, "gaia.spark") == [4, 1, 1, 4]
    gaia.amend(booking, share=10_000)
    gaia.amend(booking, counts={"cores": 2})
    assert gaia.free(1, 5, "gaia.spark") == [4, 2, 2, 4]
    assert not gaia.state.pools["gaia.spark"].shares.any()


def test_a_dimension_that_is_left_out_stays_as_it_is(gaia: Project) -> None:
    booking = gaia.book(2, 5, 2)
    gaia.amend(booking, counts={"cores": 3})
    assert gaia.state.bookings[booking].capacity == cores(3)
    with pytest.raises(InvalidField, match="capacity"):
        gaia.amend(booking, counts={"cores": 0})
