"""Recurring bookings: all occurrences or none, or those that fit."""

from uuid import UUID, uuid4

import pytest

from services.command.domain import AmendSeries, CancelBooking, CancelSeries, CreateBooking, CreateSeries
from services.command.handler.snapshots import decode_state, encode_state
from shared.errors import CapacityExceeded, PastIsImmutable, Refused, UnknownId
from shared.events import BookingAmended, BookingCancelled, BookingCreated, Event, SeriesCreated
from shared.hours import Period
from tests.support.project import T0, Project, cores

PERIODS = tuple(Period(T0 + 24 * day, T0 + 24 * day + 4) for day in range(5))


def series(project: Project, count: int, *, skip: bool = False) -> tuple[UUID, list[Event]]:
    booking = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=PERIODS[0], capacity=cores(count))
    command = CreateSeries(booking=booking, periods=PERIODS, rrule="FREQ=DAILY;COUNT=5", timezone="UTC", skip=skip)
    return booking.booking, project.do(command)


def refused_in(refusal: Refused) -> tuple[list[int], int]:
    """The numbers of the occurrences that a refusal names, and how many are refused."""
    return [one["number"] for one in refusal.facts["occurrences"]], refusal.facts["occurrences_total"]


@pytest.fixture
def gaia() -> Project:
    project = Project()
    project.grant(0, 200, 4)
    return project


def test_every_occurrence_is_a_booking_with_the_series_id_and_its_number(gaia: Project) -> None:
    series_id, (first, *booked) = series(gaia, 3)
    assert isinstance(first, SeriesCreated)
    assert [event.booking.int - series_id.int for event in booked if isinstance(event, BookingCreated)] == [*range(5)]
    assert all(event.series == series_id for event in booked if isinstance(event, BookingCreated))
    assert gaia.free(23, 29) == [4, 1, 1, 1, 1, 4]
    gaia.do(CancelBooking(booking=UUID(int=series_id.int + 1)))
    assert gaia.free(23, 29) == [4] * 6


def test_one_that_does_not_fit_refuses_all_of_them(gaia: Project) -> None:
    gaia.book(50, 51, 2)
    gaia.book(98, 99, 2)
    with pytest.raises(CapacityExceeded) as refusal:
        series(gaia, 3)
    assert refusal.value.facts["occurrence"]["number"] == 3
    assert refused_in(refusal.value) == ([3, 5], 2)
    assert gaia.free(0, 5) == [4] * 5


def test_with_skip_what_fits_is_booked_and_the_rest_is_told(gaia: Project) -> None:
    gaia.book(50, 51, 2)
    _, (first, *booked) = series(gaia, 3, skip=True)
    assert isinstance(first, SeriesCreated)
    assert len(booked) == 4
    assert [one.start.day for one in first.skipped] == [3]
    assert "asks 3 cores" in first.skipped[0].why


def test_with_skip_and_nothing_that_fits_it_is_refused(gaia: Project) -> None:
    with pytest.raises(CapacityExceeded):
        series(gaia, 5, skip=True)


def booked_by_day(project: Project) -> list[int]:
    """The capacity booked in the first hour of each of the five days."""
    return [4 - project.free(24 * number, 24 * number + 1)[0] for number in range(5)]


def test_a_series_is_cancelled_by_one_command(gaia: Project) -> None:
    series_id, _ = series(gaia, 3)
    gaia.do(CancelBooking(booking=UUID(int=series_id.int + 1)))
    cancelled = gaia.do(CancelSeries(series=series_id))
    assert [one.booking.int - series_id.int for one in cancelled if isinstance(one, BookingCancelled)] == [0, 2, 3, 4]
    assert len({one.command for one in cancelled}) == 1
    assert booked_by_day(gaia) == [0] * 5
    assert gaia.do(CancelSeries(series=series_id)) == []


def test_from_a_day_on_the_rest_of_a_series_is_cancelled(gaia: Project) -> None:
    series_id, _ = series(gaia, 3)
    gaia.do(CancelSeries(series=series_id, since=T0 + 24 * 3))
    assert booked_by_day(gaia) == [3, 3, 3, 0, 0]
    gaia.do(CancelSeries(series=series_id, since=T0 + 24 * 1 + 1))  # one that began before and continues
    assert booked_by_day(gaia) == [3, 3, 0, 0, 0]


def test_a_cancelled_series_leaves_what_is_over_and_ends_what_runs(gaia: Project) -> None:
    series_id, _ = series(gaia, 3)
    gaia.at(24 + 2)
    cancelled = gaia.do(CancelSeries(series=series_id))
    assert len(cancelled) == 4
    assert gaia.free(24, 28) == [1, 1, 4, 4]
    assert booked_by_day(gaia) == [3, 3, 0, 0, 0]
    assert gaia.do(CancelSeries(series=series_id)) == []


def test_a_series_is_amended_as_a_whole_from_a_day_on_or_not_at_all(gaia: Project) -> None:
    series_id, _ = series(gaia, 2)
    gaia.at(2)
    amended = gaia.do(AmendSeries(series=series_id, counts={"cores": 3}))
    assert all(isinstance(one, BookingAmended) for one in amended)
    assert booked_by_day(gaia) == [2, 3, 3, 3, 3]  # the first has begun
    gaia.do(AmendSeries(series=series_id, counts={"cores": 1}, since=T0 + 24 * 2))
    assert booked_by_day(gaia) == [2, 3, 1, 1, 1]
    gaia.book(24 * 4, 24 * 4 + 1, 2)
    gaia.book(24 * 3, 24 * 3 + 1, 2)
    with pytest.raises(CapacityExceeded) as refusal:
        gaia.do(AmendSeries(series=series_id, counts={"cores": 3}))
    assert refused_in(refusal.value) == ([4, 5], 2)
    assert booked_by_day(gaia) == [2, 3, 1, 3, 3]
    assert gaia.do(AmendSeries(series=series_id, counts={"cores": 1}, since=T0 + 24 * 2)) == []


def test_overlapping_occurrences_are_amended_together(gaia: Project) -> None:
    periods = tuple(Period(T0 + 10 * number, T0 + 10 * number + 15) for number in range(3))
    first = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=periods[0], capacity=cores(1))
    gaia.do(CreateSeries(booking=first, periods=periods, rrule="FREQ=HOURLY", timezone="UTC"))
    gaia.do(AmendSeries(series=first.booking, counts={"cores": 2}))
    assert gaia.free(8, 12) == [2, 2, 0, 0]
    with pytest.raises(CapacityExceeded):
        gaia.do(AmendSeries(series=first.booking, counts={"cores": 3}))
    assert gaia.free(8, 12) == [2, 2, 0, 0]


def test_a_series_with_nothing_to_come_cannot_be_amended(gaia: Project) -> None:
    series_id, _ = series(gaia, 2)
    gaia.at(24 * 4 + 1)
    with pytest.raises(PastIsImmutable, match="still to begin"):
        gaia.do(AmendSeries(series=series_id, counts={"cores": 1}))


def test_what_is_no_series_is_not_found(gaia: Project) -> None:
    booking = gaia.book(0, 4, 1)
    series_id, _ = series(gaia, 1)
    for unknown in (booking, UUID(int=series_id.int + 1), uuid4()):
        with pytest.raises(UnknownId, match="series"):
            gaia.do(CancelSeries(series=unknown))
        with pytest.raises(UnknownId, match="series"):
            gaia.do(AmendSeries(series=unknown, counts={"cores": 1}))


def test_skipped_occurrences_are_no_part_of_what_is_cancelled_and_a_snapshot_knows_the_series(gaia: Project) -> None:
    gaia.book(0, 4, 2)
    gaia.book(50, 51, 2)
    series_id, _ = series(gaia, 3, skip=True)
    gaia.state = decode_state(encode_state(gaia.state), gaia.state.version)
    assert len(gaia.do(CancelSeries(series=series_id))) == 3
    assert booked_by_day(gaia) == [2, 0, 0, 0, 0]


def test_an_occurrence_that_was_amended_while_it_ran_has_begun_when_it_began(gaia: Project) -> None:
    series_id, _ = series(gaia, 1)
    gaia.at(2)
    gaia.amend(series_id, end=6)
    amended = gaia.do(AmendSeries(series=series_id, counts={"cores": 2}))
    assert [one.booking.int - series_id.int for one in amended if isinstance(one, BookingAmended)] == [1, 2, 3, 4]
    cancelled = gaia.do(CancelSeries(series=series_id, since=T0 + 1))
    assert [one.booking.int - series_id.int for one in cancelled if isinstance(one, BookingCancelled)] == [1, 2, 3, 4]
