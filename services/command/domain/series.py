"""Recurring bookings. Each occurrence is a booking; the series is booked, amended and cancelled as one command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.command.domain.bookings import amend_booking, cancel_booking, create_booking
from services.command.domain.capacity_check import known_pool
from services.command.domain.commands import (
    AmendBooking,
    AmendSeries,
    CancelBooking,
    CancelSeries,
    Context,
    CreateSeries,
)
from services.command.domain.copies import fork
from services.command.domain.event_fields import meta_of, times_of
from services.command.domain.evolve import evolve
from services.command.domain.state import Booking, ProjectState
from shared.errors import PastIsImmutable, Refused, UnknownId
from shared.events import Event, SeriesCreated, Skipped
from shared.hours import Period, iso, next_hour

REFUSED_MAX = 100  # occurrences that a refusal names


class _Occurrence(NamedTuple):
    """A booked occurrence. `number` is its place in the series, from 1; occurrences that were skipped count too."""

    number: int
    id: UUID
    booking: Booking


def create_series(state: ProjectState, project: str, command: CreateSeries, context: Context) -> list[Event]:
    """Books all occurrences; with `skip`, those that are not refused, unless all are. The id of occurrence n is the
    series' id plus n, counted from 0."""
    first = command.booking
    known_pool(state, first.pool, "clusterid" if "." in first.pool else "project")
    after = fork(state)
    booked: list[Event] = []
    skipped: list[Skipped] = []
    refusals = Refusals()
    for number, period in enumerate(command.periods):
        occurrence = msgspec.structs.replace(first, booking=UUID(int=first.booking.int + number), period=period)
        try:
            events = create_booking(after, project, occurrence, context, series=first.booking)
        except Refused as refused:
            refusals.note(refused, number + 1, period)
            skipped.append(Skipped(why=refused.detail, **times_of(period)))
            continue
        for event in events:
            evolve(after, event)
        booked += events
    if not command.skip or not booked:
        refusals.check()
    series = SeriesCreated(
        series=first.booking,
        pool=first.pool,
        account=first.account,
        rrule=command.rrule,
        timezone=command.timezone,
        skipped=tuple(skipped),
        **meta_of(context, project),
    )
    return [series, *booked]


def cancel_series(state: ProjectState, project: str, command: CancelSeries, context: Context) -> list[Event]:
    """Cancels each occurrence that has hours left, as a booking is cancelled. No event if none has."""
    earliest = next_hour(context.at)
    events: list[Event] = []
    for _, key, booking in occurrences(state, command.series, command.since):
        if max(booking.start, earliest) < booking.end:
            events += cancel_booking(state, project, CancelBooking(booking=key), context)
    return events


def amend_series(state: ProjectState, project: str, command: AmendSeries, context: Context) -> list[Event]:
    """Amends every occurrence that has not begun, or none of them. Raises PastIsImmutable if all have begun."""
    earliest = next_hour(context.at)
    coming = [
        one
        for one in occurrences(state, command.series, command.since)
        if earliest <= one.booking.began and one.booking.start < one.booking.end
    ]
    if not coming:
        raise PastIsImmutable(f"series {command.series} has no occurrence that is still to begin, so none can change")
    after = fork(state)
    amended: list[Event] = []
    refusals = Refusals()
    for number, key, booking in coming:
        change = AmendBooking(booking=key, counts=command.counts, share=command.share, template=command.template)
        try:
            events = amend_booking(after, project, change, context)
        except Refused as refused:
            refusals.note(refused, number, Period(booking.start, booking.end))
            continue
        for event in events:
            evolve(after, event)
        amended += events
    refusals.check()
    return amended


def occurrences(state: ProjectState, series: UUID, since: int | None) -> Iterator[_Occurrence]:
    """The occurrences that were booked and begin at `since` or later (None: all), in order. Raises UnknownId."""
    if series not in state.series:
        raise UnknownId("id", "series", str(series))
    for number in range(state.series[series]):
        key = UUID(int=series.int + number)
        booking = state.bookings.get(key)
        if booking is not None and (since is None or booking.began >= since):
            yield _Occurrence(number + 1, key, booking)


class Refusals:
    """The occurrences that are refused. Each is decided as if those before it that are refused were not asked for."""

    def __init__(self) -> None:
        self._first: Refused | None = None
        self._occurrences: list[dict[str, str | int]] = []

    def note(self, refused: Refused, number: int, period: Period) -> None:
        self._first = self._first or refused
        self._occurrences.append({"start": iso(period.start), "end": iso(period.end), "number": number})

    def check(self) -> None:
        """Raises the refusal of the first one, which names the first REFUSED_MAX of them, and how many there are."""
        if self._first is not None:
            self._first.facts |= {
                "occurrence": self._occurrences[0],
                "occurrences": self._occurrences[:REFUSED_MAX],
                "occurrences_total": len(self._occurrences),
            }
            raise self._first
