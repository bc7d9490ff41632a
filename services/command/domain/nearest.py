"""Where a refused command would fit: the nearest period of the same length that has what it asks in every hour."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from services.command.domain.bookings import amount_of
from services.command.domain.commands import (
    AmendBooking,
    Command,
    Context,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
)
from services.command.domain.decide import decide
from services.command.domain.room import horizon_of
from services.command.domain.state import Booking, Pool, ProjectState
from services.command.domain.templates import lay_out, resolve
from shared.capacity import WHOLE, Capacity, Vector, reserved
from shared.errors import HourbookError
from shared.hours import Period, next_hour
from shared.slots import nearest_start


class _Wanted(NamedTuple):
    """What a command asks of a pool, and what it would give back of it meanwhile."""

    pool: str
    period: Period
    capacity: Capacity
    share: int = 0
    given_up: Booking | None = None


def nearest(state: ProjectState, project: str, command: Command, context: Context) -> Period | None:
    """The period nearest to the one asked for, not before the next whole hour; None when there is none, or when the
    command asks for no period that could be moved."""
    try:
        wanted = _wanted(state, command, context)
    except HourbookError:
        return None
    pool = None if wanted is None else state.pools.get(wanted.pool)
    if wanted is None or pool is None:
        return None
    first = next_hour(context.at)
    horizon = horizon_of(pool, context.at)
    last = max(pool.free.end, first) if horizon is None else max(pool.free.end, horizon, wanted.period.start)
    fits = _fits(pool, wanted, Period(first, last + wanted.period.hours), context.at)
    start = nearest_start(fits, first, wanted.period.start, wanted.period.hours, first)
    if start is None:
        return None
    period = Period(start, start + wanted.period.hours)
    return period if _accepted(state, project, command, period, context) else None


def _accepted(state: ProjectState, project: str, command: Command, period: Period, context: Context) -> bool:
    """Whether the command is not refused there for another reason, such as a limit of the account."""
    moved = {"start": period.start, "end": period.end} if isinstance(command, AmendBooking) else {"period": period}
    try:
        decide(state, project, msgspec.structs.replace(command, **moved), context)
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
    """Whether each of the hours has what is wanted, or may be promised more than it has."""
    free, size = pool.free.read(*hours).copy(), pool.size.read(*hours)
    shares = pool.shares.read(*hours).copy()
    if (old := wanted.given_up) is not None:
        low, high = max(old.start, hours.start), min(old.end, hours.end)
        mine = slice(low - hours.start, high - hours.start)
        before = reserved(size[mine], shares[mine])
        shares[mine] -= old.share
        free[mine] += old.capacity.vector() + before - reserved(size[mine], shares[mine])
    asked: Vector = wanted.capacity.vector()[None, :]
    if wanted.share:
        asked = reserved(size, shares + wanted.share) - reserved(size, shares)
    fits: npt.NDArray[np.bool_] = np.asarray(((asked <= free) | (asked <= 0)).all(axis=1))
    if (horizon := horizon_of(pool, at)) is not None:
        fits[max(0, horizon - hours.start) :] = True
    if wanted.share:
        fits &= shares[:, 0] + wanted.share <= WHOLE
        if pool.period is not None:
            inside = np.arange(hours.start, hours.end)
            fits &= (inside >= pool.period.start) & (inside < pool.period.end)
    return fits
