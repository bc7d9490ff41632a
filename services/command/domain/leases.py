"""Leases of OpenStack: an account may have a lease in the hours for which it has booked as much.

All leases of an account share what it has booked. A lease for which a call made a booking uses that booking alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain.blocks import Block, Mask
from services.command.domain.bookings import amend_booking, cancel_booking, create_booking
from services.command.domain.capacity_check import known_pool, shortage
from services.command.domain.commands import (
    AmendBooking,
    AskLease,
    CancelBooking,
    Context,
    CreateBooking,
    EndLease,
    LeaseAmount,
    LeaseUse,
)
from services.command.domain.copies import fork
from services.command.domain.evolve import evolve
from services.command.domain.lease_accounts import accounts_of
from services.command.domain.state import Booking, Pool, ProjectState
from services.command.domain.templates import resolve
from shared.capacity import DIMENSIONS, WHOLE, Capacity, Vector, capacity_of
from shared.errors import PastIsImmutable, Refused
from shared.events import Event
from shared.hours import Period, next_hour

COUNTED = 3  # the first dimensions: servers, cores and memory. Blazar counts discs otherwise than people book them
TOLD_MAX = 3  # shortages in the message that Blazar shows


class LeaseNotBooked(Refused):
    """The account of an OpenStack project has not booked what a lease needs, or its other leases use it. `shortages`
    lists the hours, each with the dimension, the amount asked for and the amount available."""

    code = "lease_not_booked"
    title = "The lease is not booked"


def ask_lease(state: ProjectState, project: str, command: AskLease, context: Context) -> list[Event]:
    """No event if the account has booked enough. With `books`, the booking that is missing. Raises LeaseNotBooked.

    A lease that has a booking of its own keeps it: the booking is changed like the lease."""
    pool = known_pool(state, command.pool, "pool")
    capacity = counted(state, command.amount)
    if not capacity:
        return []
    account = _account(state, command)
    own = None if command.booked is None else state.bookings.get(command.booked)
    if own is not None and own.end > next_hour(context.at):
        if not own.gone:
            return _changed(state, project, command, own, capacity, context)
    elif own is not None and own.end > command.period.start:  # its last hours have begun: they are not asked again
        if own.end >= command.period.end:
            return []
        command = msgspec.structs.replace(command, period=Period(own.end, command.period.end))
    refusal = _missing(state, pool, account, command, capacity)
    if refusal is None:
        return []
    if not command.books:
        raise refusal
    return _booked(state, project, command, account, capacity, context)


def end_lease(state: ProjectState, project: str, command: EndLease, context: Context) -> list[Event]:
    """Cancels the booking that a call made for the lease. No event if there is none, or if it is over."""
    known_pool(state, command.pool, "pool")
    if command.booked not in state.bookings:
        return []
    return _cancelled(state, project, command.booked, context)


def counted(state: ProjectState, amount: LeaseAmount) -> Capacity:
    """The servers, cores and memory of an amount. Raises InvalidField for a flavor that is no template."""
    total = amount.capacity.vector()
    for flavor in amount.flavors:
        total += resolve(state, flavor)[0].vector()
    total[COUNTED:] = 0
    return capacity_of(total)


def _account(state: ProjectState, command: AskLease) -> str:
    accounts = accounts_of(state, command.openstack_project, command.issuers)
    if len(accounts) > 1:
        raise Refused(
            f"the OpenStack project {command.openstack_project!r} is a member of several accounts"
            f" ({', '.join(accounts)}); a manager can leave it in one of them"
        )
    return accounts[0]


def _booked(
    state: ProjectState, project: str, command: AskLease, account: str, capacity: Capacity, context: Context
) -> list[Event]:
    booking = CreateBooking(
        booking=command.booking, pool=command.pool, account=account, period=command.period, capacity=capacity
    )
    return create_booking(state, project, booking, context)


def _changed(
    state: ProjectState, project: str, command: AskLease, own: Booking, capacity: Capacity, context: Context
) -> list[Event]:
    """Changes the booking of the lease. The hour that has begun stays as it is, as in every booking."""
    assert command.booked is not None
    earliest, begun = next_hour(context.at), own.began < next_hour(context.at)
    if command.period.end <= earliest:
        return _cancelled(state, project, command.booked, context)
    if not begun and command.period.start < earliest:  # the lease begins now: a booking cannot be moved there
        events = _cancelled(state, project, command.booked, context)
        after = fork(state)
        for event in events:
            evolve(after, event)
        return events + _booked(after, project, command, own.account, capacity, context)
    counts = dict(zip(DIMENSIONS[:COUNTED], capacity.counts(), strict=False))
    start = None if begun else command.period.start
    change = AmendBooking(booking=command.booked, start=start, end=command.period.end, counts=counts)
    return amend_booking(state, project, change, context)


def _cancelled(state: ProjectState, project: str, booking: UUID | None, context: Context) -> list[Event]:
    assert booking is not None
    try:
        return cancel_booking(state, project, CancelBooking(booking=booking), context)
    except PastIsImmutable:
        return []


def _missing(
    state: ProjectState, pool: Pool, account: str, command: AskLease, capacity: Capacity
) -> LeaseNotBooked | None:
    """Compares the lease with what the account has booked and its other leases leave, in every hour."""
    period, asked = command.period, capacity.vector()
    own = {use.booking for use in command.others} | {command.booked}
    left = _held(state, pool, command.pool, account, period, own)
    for use in command.others:
        _take(state, account, command, use, left)
    left = np.maximum(left, 0)
    short = (asked > left) & (asked > 0)
    if not short.any():
        return None
    facts = shortage(command.pool, period, np.broadcast_to(asked, left.shape), left, short, "the lease").facts
    told = [
        f"{one['asked']} {one['dimension']} from {one['start']} to {one['end']}, and {one['available']} are left"
        for one in facts["shortages"][:TOLD_MAX]
    ]
    if (more := facts["shortages_total"] - len(told)) > 0:
        told.append(f"{more} more such periods")
    return LeaseNotBooked(
        f"the account {account!r} has not booked this lease in {command.pool!r}: it needs {'; '.join(told)}",
        account=account,
        **facts,
    )


def _held(
    state: ProjectState, pool: Pool, pool_id: str, account: str, period: Period, without: set[UUID | None]
) -> Vector:
    """What the bookings of the account hold in each hour, shape (hours, 6); a share is rounded down. Without tentative
    bookings, which may lapse."""
    held = np.zeros((period.hours, 6), dtype=np.int64)
    for booking_id, booking in _booked_by(state, pool_id, account, period):
        if booking_id in without:
            continue
        low, high = max(booking.began, period.start), min(booking.end, period.end)
        if low < high:
            there = held[low - period.start : high - period.start]
            there += booking.capacity.vector()
            if booking.share:
                there += pool.size.read(low, high) * booking.share // WHOLE
    return held


def _booked_by(state: ProjectState, pool_id: str, account: str, period: Period) -> Iterator[tuple[UUID, Booking]]:
    """The bookings of an account in a pool and period, without the tentative ones."""

    def in_block(block: Block) -> Mask | None:
        of_pool = block.of_pool(pool_id)
        if of_pool is None:
            return None
        during = (block.columns["began"] < period.end) & (block.columns["end"] > period.start)
        return of_pool & block.of_accounts([account]) & during & ~block.tentative()

    return state.bookings.select(
        in_block, lambda one: one.pool == pool_id and one.account == account and not one.tentative
    )


def _take(state: ProjectState, account: str, command: AskLease, use: LeaseUse, left: Vector) -> None:
    """Takes what another lease of the account uses, unless that has a booking of its own."""
    own = None if use.booking is None else state.bookings.get(use.booking)
    if own is not None and not own.gone:
        return
    if accounts_of(state, use.openstack_project, command.issuers) != [account]:
        return
    period = command.period
    low, high = max(use.period.start, period.start), min(use.period.end, period.end)
    if low < high:
        left[low - period.start : high - period.start] -= counted(state, use.amount).vector()
