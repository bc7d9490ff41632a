"""Recurring bookings: all or nothing, or what fits."""

from uuid import UUID, uuid4

import pytest

from services.command.domain import CancelBooking, CreateBooking, CreateSeries
from shared.errors import CapacityExceeded
from shared.events import BookingCreated, Event, SeriesCreated
from shared.hours import Period
from tests.project import T0, Project, cores

PERIODS = tuple(Period(T0 + 24 * day, T0 + 24 * day + 4) for day in range(5))


def series(project: Project, count: int, *, skip: bool = False) -> tuple[UUID, list[Event]]:
    booking = CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=PERIODS[0], capacity=cores(count))
    command = CreateSeries(booking=booking, periods=PERIODS, rrule="FREQ=DAILY;COUNT=5", timezone="UTC", skip=skip)
    return booking.booking, project.do(command)


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
    with pytest.raises(CapacityExceeded) as refusal:
        series(gaia, 3)
    assert refusal.value.facts["occurrence"]["number"] == 3
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
