"""Bookings: of counts, of a template or of a share. They are created, amended and cancelled."""

from __future__ import annotations

from uuid import UUID

import msgspec
import numpy as np

from services.command.domain.accounts import check_account
from services.command.domain.capacity_check import (
    check_capacity,
    check_shares,
    known_pool,
    remaining_period,
    require_non_zero,
    taken_by_shares,
)
from services.command.domain.clusters import create_cluster
from services.command.domain.commands import (
    AmendBooking,
    CancelBooking,
    Context,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    TemplateCount,
)
from services.command.domain.copies import fork
from services.command.domain.event_fields import meta_of, times_of
from services.command.domain.evolve import evolve
from services.command.domain.state import Booking, Pool, ProjectState
from services.command.domain.templates import resolve
from shared.capacity import NOTHING, WHOLE, Capacity, Vector
from shared.errors import InvalidField, NoLongerHeld, OutsidePeriod, PastIsImmutable, UnknownId
from shared.events import BookingAmended, BookingCancelled, BookingCreated, Event, FromTemplate
from shared.hours import Period, checked_period, instant_of, iso, next_hour


def create_booking(
    state: ProjectState, project: str, command: CreateBooking, context: Context, series: UUID | None = None
) -> list[Event]:
    pool = known_pool(state, command.pool, "clusterid" if "." in command.pool else "project")
    capacity, template = _counts(state, command.capacity, command.template)
    period = command.period
    if command.share:
        asked = _asked_share(pool, command.pool, period, command.share)
    else:
        require_non_zero(capacity)
        asked = capacity.vector()
    if state.accounts:
        start, end = period
        check_account(
            state, Booking(command.pool, command.account, start, start, end, capacity, command.share), context
        )
    tentative = check_capacity(pool, command.pool, period, asked, context, "the booking")
    if command.share and pool.beyond_hours is not None:  # by rounding it may take nothing of a short hour
        short = (pool.free.read(*period) - asked < 0) & (pool.size.read(*period) > 0)
        tentative = tentative or bool(short.any())
    return [
        BookingCreated(
            booking=command.booking,
            pool=command.pool,
            account=command.account,
            capacity=capacity,
            share=command.share,
            template=template,
            tentative=tentative,
            series=series,
            **times_of(period),
            **meta_of(context, project),
        )
    ]


def create_exclusive(state: ProjectState, project: str, command: CreateExclusive, context: Context) -> list[Event]:
    """A new cluster, and a booking of 100% of it: both events, or a refusal of both."""
    cluster = CreateCluster(
        cluster=command.cluster,
        parent=command.parent,
        kind="exclusive",
        period=command.period,
        capacity=command.capacity,
    )
    events = create_cluster(state, project, cluster, context)
    after = fork(state)
    for event in events:
        evolve(after, event)
    booking = CreateBooking(
        booking=command.booking, pool=command.cluster, account=command.account, period=command.period, share=WHOLE
    )
    return events + create_booking(after, project, booking, context)


def amend_booking(state: ProjectState, project: str, command: AmendBooking, context: Context) -> list[Event]:
    """Replaces the hours of the booking that have not begun by what is asked for. No event if it is so already."""
    booking = _booking(state, command.booking)
    if booking.gone:
        raise NoLongerHeld(f"the booking {command.booking} was cancelled or has lapsed; book again")
    capacity, share, template = amount_of(state, booking, command)
    if (capacity, share) == (booking.capacity, booking.share) and _is_period(booking, command):
        return []
    rest = remaining_period(booking.start, booking.end, context, f"booking {command.booking}")
    if rest is None:
        raise PastIsImmutable(f"the booking {command.booking} ends at {iso(booking.end)}, with the hour that has begun")
    period = _amended_period(booking, command, context)
    if (period, capacity, share) == (rest, booking.capacity, booking.share):
        return []
    pool = state.pools[booking.pool]
    began = booking.began if booking.began < rest.start else period.start
    held = Booking(booking.pool, booking.account, began, period.start, period.end, capacity, share)
    given_up = msgspec.structs.replace(booking, start=rest.start)
    if state.accounts:
        check_account(state, held, context, released=given_up)
    asked = _difference(pool, held, given_up, period)  # other hours only get something back
    check_capacity(pool, booking.pool, period, asked, context, "the amended booking")
    after = pool.free.read(*period) - asked
    takes = capacity.vector() > 0 if not share else pool.size.read(*period) > 0
    return [
        BookingAmended(
            booking=command.booking,
            pool=booking.pool,
            account=booking.account,
            from_start=instant_of(rest.start),
            from_end=instant_of(rest.end),
            from_capacity=booking.capacity,
            from_share=booking.share,
            capacity=capacity,
            share=share,
            template=template,
            tentative=bool(((after < 0) & takes).any()),
            **times_of(period),
            **meta_of(context, project),
        )
    ]


def amount_of(
    state: ProjectState, booking: Booking, command: AmendBooking
) -> tuple[Capacity, int, FromTemplate | None]:
    """The counts and the share that the booking gets, and the template from which the counts come."""
    if command.share is not None:
        return NOTHING, command.share, None
    if command.counts is not None:
        capacity = msgspec.structs.replace(booking.capacity, **command.counts)
    elif command.template is not None:
        counts, template = resolve(state, command.template)
        return counts, 0, template
    else:
        return booking.capacity, booking.share, None
    require_non_zero(capacity)
    return capacity, 0, None


def cancel_booking(state: ProjectState, project: str, command: CancelBooking, context: Context) -> list[Event]:
    """Gives back the hours that have not begun. No event if it was cancelled, has lapsed, or ends with this hour."""
    booking = _booking(state, command.booking)
    rest = None if booking.gone else remaining_period(booking.start, booking.end, context, f"booking {command.booking}")
    if rest is None:
        return []
    return [
        BookingCancelled(
            booking=command.booking,
            pool=booking.pool,
            capacity=booking.capacity,
            share=booking.share,
            **times_of(rest),
            **meta_of(context, project),
        )
    ]


def _booking(state: ProjectState, booking_id: UUID) -> Booking:
    booking = state.bookings.get(booking_id)
    if booking is None:
        raise UnknownId("id", "booking", str(booking_id))
    return booking


def _counts(
    state: ProjectState, capacity: Capacity, template: TemplateCount | None
) -> tuple[Capacity, FromTemplate | None]:
    return (capacity or NOTHING, None) if template is None else resolve(state, template)


def _asked_share(pool: Pool, pool_id: str, period: Period, share: int) -> Vector:
    """The capacity that the share takes, by the hour. Raises CapacityExceeded beyond 100%, OutsidePeriod."""
    _within(pool, pool_id, period)
    change = np.full((period.hours, 1), share, dtype=np.int64)
    check_shares(pool, pool_id, period, change)
    return taken_by_shares(pool, period, change)


def _within(pool: Pool, pool_id: str, period: Period) -> None:
    """Raises InvalidField for a project, OutsidePeriod for hours in which the cluster does not exist."""
    if pool.period is None:
        raise InvalidField("share", f"{pool_id!r} is a project; a share is of a cluster: give a clusterid")
    if period.start < pool.period.start or period.end > pool.period.end:
        raise OutsidePeriod(
            f"the booking {iso(period.start)} .. {iso(period.end)} reaches outside the cluster's period"
            f" {iso(pool.period.start)} .. {iso(pool.period.end)}"
        )


def _is_period(booking: Booking, command: AmendBooking) -> bool:
    """Whether the booking has the asked start and end already."""
    return command.start in (None, booking.began) and command.end in (None, booking.end)


def _amended_period(booking: Booking, command: AmendBooking, context: Context) -> Period:
    """The hours that the amended booking takes from now on. Raises PastIsImmutable for hours that have begun."""
    earliest = next_hour(context.at)
    begun = booking.began < earliest
    if begun and command.start is not None and command.start != booking.began:
        raise PastIsImmutable(
            f"startdate: the booking began at {iso(booking.began)}; only its end and its capacity can still change"
        )
    if not begun and command.start is not None and command.start < earliest:
        raise PastIsImmutable(f"startdate: the earliest start of an amended booking is {iso(earliest)}")
    start = max(booking.start, earliest) if begun or command.start is None else command.start
    end = booking.end if command.end is None else command.end
    if begun and end <= start:
        raise PastIsImmutable(f"enddate: the earliest end is {iso(start + 1)}; cancel the booking to end it before")
    return checked_period(Period(start, end))


def _difference(pool: Pool, held: Booking, given_up: Booking, period: Period) -> Vector:
    """What `held` takes more than `given_up` in each hour of the period, shape (hours, 6). Negative: it gives back."""
    counts = np.zeros((period.hours, 6), dtype=np.int64) + held.capacity.vector()
    shares = np.full((period.hours, 1), held.share, dtype=np.int64)
    low, high = max(given_up.start, period.start), min(given_up.end, period.end)
    if low < high:
        both = slice(low - period.start, high - period.start)
        counts[both] -= given_up.capacity.vector()
        shares[both] -= given_up.share
    if not held.share and not given_up.share:
        return counts
    if held.share:
        _within(pool, held.pool, period)
        check_shares(pool, held.pool, period, shares)
    return counts + taken_by_shares(pool, period, shares)
