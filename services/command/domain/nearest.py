"""The nearest period in which a refused command would fit: of the same length, with enough in every hour."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.command.domain.bookings import amount_of
from services.command.domain.bounds import DEFAULT, Bounds
from services.command.domain.capacity_check import horizon_of
from services.command.domain.commands import (
    AmendBooking,
    Command,
    Context,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
)
from services.command.domain.decide import decide
from services.command.domain.layouts import lay_out
from services.command.domain.state import Booking, Pool, ProjectState
from services.command.domain.templates import resolve
from shared.capacity import DIMENSIONS, WHOLE, Capacity, Vector, reserved, reserved_more
from shared.errors import HourbookError
from shared.hours import PERIOD_HOURS_MAX, Period, next_hour
from shared.slots import nearest_start


class _Wanted(NamedTuple):
    """What a command asks of a pool, and the booking that it would give back for it."""

    pool: str
    period: Period
    capacity: Capacity
    share: int = 0
    given_up: Booking | None = None


def nearest(
    state: ProjectState, project: str, command: Command, context: Context, bounds: Bounds = DEFAULT
) -> Period | None:
    """The period that is nearest to the one asked for: not before the next whole hour, and within ten years. None if
    there is none, or if the command has no period that can be moved."""
    try:
        wanted = _wanted(state, command, context)
    except HourbookError:
        return None
    pool = None if wanted is None else state.pools.get(wanted.pool)
    if wanted is None or pool is None:
        return None
    first = max(next_hour(context.at), wanted.period.start - PERIOD_HOURS_MAX)
    horizon = horizon_of(pool, context.at)
    last = pool.free.end if horizon is None else max(pool.free.end, horizon, wanted.period.start)
    last = max(first, min(last, wanted.period.start + PERIOD_HOURS_MAX))
    fits = _fits(pool, wanted, Period(first, last + wanted.period.hours), context.at)
    start = nearest_start(fits, first, wanted.period.start, wanted.period.hours, first)
    if start is None:
        return None
    period = Period(start, start + wanted.period.hours)
    moved = {"start": period.start, "end": period.end} if isinstance(command, AmendBooking) else {"period": period}
    there = msgspec.structs.replace(command, **moved)
    return period if _accepted(state, project, there, context, bounds) else None


def _accepted(state: ProjectState, project: str, command: Command, context: Context, bounds: Bounds) -> bool:
    """Whether the command would be accepted. It may be refused for another reason, such as a limit of the account."""
    try:
        decide(state, project, command, context, bounds)
    except HourbookError:
        return False
    return True


def _wanted(state: ProjectState, command: Command, context: Context) -> _Wanted | None:
    match command:
        case CreateBooking():
            capacity = resolve(state, command.template)[0] if command.template else command.capacity
            return _Wanted(command.pool, command.period, capacity, command.share)
        case CreateCluster():
            capacity = lay_out(state, command.layout, None)[0] if command.layout else command.capacity
            return _Wanted(command.parent, command.period, capacity)
        case CreateExclusive():
            return _Wanted(command.parent, command.period, command.capacity)
        case AmendBooking():
            return _amended(state, command, context)
        case _:
            return None


def _amended(state: ProjectState, command: AmendBooking, context: Context) -> _Wanted | None:
    booking = state.bookings.get(command.booking)
    if booking is None or booking.began < next_hour(context.at) or booking.end <= booking.start:
        return None
    start = booking.start if command.start is None else command.start
    period = Period(start, booking.end if command.end is None else command.end)
    if period.end <= period.start:
        return None
    capacity, share, _ = amount_of(state, booking, command)
    return _Wanted(booking.pool, period, capacity, share, booking)


def _fits(pool: Pool, wanted: _Wanted, hours: Period, at: datetime) -> npt.NDArray[np.bool_]:
    """Whether each of the hours has enough, or may be over-committed."""
    free, size, shares = pool.free.read(*hours), pool.size.read(*hours), pool.shares.read(*hours)
    if (old := wanted.given_up) is not None:
        free, shares = _without(old, hours, free, size, shares)
    asked: Vector = wanted.capacity.vector()
    if wanted.share:
        asked = reserved_more(size, shares, wanted.share)
    fits = np.ones(hours.hours, dtype=np.bool_)
    for dimension in np.flatnonzero((asked > 0).reshape(-1, len(DIMENSIONS)).any(axis=0)):
        fits &= (asked[..., dimension] <= free[:, dimension]) | (asked[..., dimension] <= 0)
    if (horizon := horizon_of(pool, at)) is not None:
        fits[max(0, horizon - hours.start) :] = True
    if wanted.share:
        fits &= shares[:, 0] + wanted.share <= WHOLE
        if pool.period is not None:
            inside = np.arange(hours.start, hours.end)
            fits &= (inside >= pool.period.start) & (inside < pool.period.end)
    return fits


def _without(old: Booking, hours: Period, free: Vector, size: Vector, shares: Vector) -> tuple[Vector, Vector]:
    """What is free and what is booked as shares if the booking is given up."""
    free, shares = free.copy(), shares.copy()
    low, high = max(old.start, hours.start), min(old.end, hours.end)
    if low < high:
        mine = slice(low - hours.start, high - hours.start)
        before = reserved(size[mine], shares[mine])
        shares[mine] -= old.share
        free[mine] += old.capacity.vector() + before - reserved(size[mine], shares[mine])
    return free, shares
