"""Accounts that a project lists, and the check of their limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.command.domain.commands import (
    AddAccountMember,
    CloseAccount,
    Context,
    CreateAccount,
    RemoveAccountMember,
    SetLimits,
)
from services.command.domain.event_fields import meta_of
from services.command.domain.state import Account, Booking, ProjectState
from shared.capacity import DIMENSIONS, Vector, reserved_more
from shared.errors import AccountLimitExceeded, AlreadyExists, InvalidField, Refused, UnknownId
from shared.events import (
    AccountClosed,
    AccountCreated,
    AccountLimitsSet,
    AccountMemberAdded,
    AccountMemberRemoved,
    Event,
    Limits,
)
from shared.hours import Period, hour_of, iso, months_of

HOURS_MAX = 876_600


def create_account(state: ProjectState, project: str, command: CreateAccount, context: Context) -> list[Event]:
    _check_limits(command.limits)
    if (name := state.listed(command.account)) is not None:
        closed = "" if state.accounts[name].open else ", and is closed"
        raise AlreadyExists(f"account: {name!r} exists already{closed}", id=name)
    meta = meta_of(context, project)
    return [AccountCreated(account=command.account, name=command.name, limits=command.limits, **meta)]


def set_limits(state: ProjectState, project: str, command: SetLimits, context: Context) -> list[Event]:
    _check_limits(command.limits)
    name = _listed(state, command.account)
    if state.accounts[name].limits == command.limits:
        return []
    return [AccountLimitsSet(account=name, limits=command.limits, **meta_of(context, project))]


def close_account(state: ProjectState, project: str, command: CloseAccount, context: Context) -> list[Event]:
    name = _listed(state, command.account)
    if not state.accounts[name].open:
        return []
    return [AccountClosed(account=name, **meta_of(context, project))]


def add_member(state: ProjectState, project: str, command: AddAccountMember, context: Context) -> list[Event]:
    name = _listed(state, command.account)
    if command.member in state.members.get(name, ()):
        return []
    return [AccountMemberAdded(account=name, member=command.member, **meta_of(context, project))]


def remove_member(state: ProjectState, project: str, command: RemoveAccountMember, context: Context) -> list[Event]:
    name = _listed(state, command.account)
    if command.member not in state.members.get(name, ()):
        return []
    return [AccountMemberRemoved(account=name, member=command.member, **meta_of(context, project))]


def check_account(state: ProjectState, booking: Booking, context: Context, released: Booking | None = None) -> None:
    """Checks that the account may have `booking`, in exchange for `released`. A project that lists no account checks
    nothing. Raises Refused, AccountLimitExceeded, or UnknownId for an account that the project does not list."""
    if not state.accounts or (released is not None and _no_more(booking, released)):
        return
    account = state.accounts[_listed(state, booking.account)]
    if not account.open:
        raise Refused(f"account: {booking.account!r} is closed; it books nothing more", account=booking.account)
    limits = account.limits
    ahead, hours = booking.start - hour_of(context.at), booking.end - booking.began
    if limits.ahead_hours is not None and ahead > limits.ahead_hours:
        raise _exceeded(booking, "ahead_hours", ahead, limits.ahead_hours, f"starts {ahead} hours ahead")
    if limits.duration_hours is not None and hours > limits.duration_hours:
        raise _exceeded(booking, "duration_hours", hours, limits.duration_hours, f"is {hours} hours long")
    if limits.capacity or limits.monthly_hours:
        _check_hours(state, account, booking, released)


def _no_more(booking: Booking, released: Booking) -> bool:
    """Whether `booking` takes no more than `released` in any hour. Such a booking is never refused."""
    fewer = all(new <= old for new, old in zip(booking.capacity.counts(), released.capacity.counts(), strict=True))
    return booking.start >= released.start and booking.end <= released.end and fewer and booking.share <= released.share


def _check_hours(state: ProjectState, account: Account, booking: Booking, released: Booking | None) -> None:
    """Checks the limits of what the account holds in any hour and uses in a month: what it has already, plus what the
    booking adds to it."""
    limits, own = account.limits, Period(booking.start, booking.end)
    months = months_of(own) if limits.monthly_hours else [own]
    low, high = own
    if released is not None:
        low = max(min(low, released.start), months[0].start)
        high = min(max(high, released.end), months[-1].end)
    gained = _gained(state, account, booking, released, Period(low, high))
    if limits.capacity:
        held = account.held.read(*own) + gained[own.start - low : own.end - low]
        _check_held(booking, limits.capacity, own, held)
    if limits.monthly_hours:
        used = np.add.reduceat(account.held.read(months[0].start, months[-1].end), _offsets(months, months[0].start))
        used += np.add.reduceat(gained, _offsets(months, low))
        _check_months(booking, limits.monthly_hours, months, used)


def _offsets(months: list[Period], first: int) -> list[int]:
    return [max(0, month.start - first) for month in months]


def _check_held(booking: Booking, limits: dict[str, int], period: Period, held: Vector) -> None:
    highest = held.max(axis=0).tolist()
    for dimension, limit in limits.items():
        column = DIMENSIONS.index(dimension)
        if (most := highest[column]) > limit:
            hour = period.start + int(held[:, column].argmax())
            said = f"would have the account hold {most} {dimension} at {iso(hour)}"
            raise _exceeded(booking, "capacity", most, limit, said, dimension=dimension, at=iso(hour))


def _check_months(booking: Booking, limits: dict[str, int], months: list[Period], used: Vector) -> None:
    for month, totals in zip(months, used.tolist(), strict=True):
        for dimension, limit in limits.items():
            if (total := totals[DIMENSIONS.index(dimension)]) > limit:
                said = f"would have the account use {total} {dimension}-hours in {iso(month.start)[:7]}"
                at = iso(month.start)[:7]
                raise _exceeded(booking, "monthly_hours", total, limit, said, dimension=dimension, at=at)


def _exceeded(booking: Booking, limit: str, asked: int, allowed: int, said: str, **facts: Any) -> AccountLimitExceeded:
    return AccountLimitExceeded(
        f"the booking {said}; the limit {limit} of {booking.account!r} is {allowed}",
        account=booking.account,
        limit=limit,
        asked=asked,
        allowed=allowed,
        **facts,
    )


def _gained(
    state: ProjectState, account: Account, booking: Booking, released: Booking | None, period: Period
) -> Vector:
    """What the account would hold more, by the hour of the period, shape (hours, 6). A share counts as its part of the
    size planned now, rounded up."""
    if released is None and not booking.share:
        return np.broadcast_to(booking.capacity.vector(), (period.hours, len(DIMENSIONS)))
    gained = np.zeros((period.hours, len(DIMENSIONS)), dtype=np.int64)
    change = np.zeros((period.hours, 1), dtype=np.int64)
    for one, sign in ((booking, 1), (released, -1)):
        if one is not None and (low := max(one.start, period.start)) < (high := min(one.end, period.end)):
            hours = slice(low - period.start, high - period.start)
            gained[hours] += sign * one.capacity.vector()
            change[hours] += sign * one.share
    if not change.any():
        return gained
    size, shares = state.pools[booking.pool].size.read(*period), np.zeros_like(change)
    if booking.pool in account.shares:
        shares = account.shares[booking.pool].read(*period)
    return gained + reserved_more(size, shares, change)


def _listed(state: ProjectState, account: str) -> str:
    name = state.listed(account)
    if name is None:
        raise UnknownId("account", "account in this project", account)
    return name


def _check_limits(limits: Limits) -> None:
    for field, given in (("capacity", limits.capacity), ("monthly_hours", limits.monthly_hours)):
        for dimension in given or ():
            if dimension not in DIMENSIONS:
                raise InvalidField(f"limits.{field}", f"{dimension!r} is none of {', '.join(DIMENSIONS)}")
    for field, hours in (("ahead_hours", limits.ahead_hours), ("duration_hours", limits.duration_hours)):
        if hours is not None and hours > HOURS_MAX:
            raise InvalidField(f"limits.{field}", f"{hours} hours are more than a century; leave it out for no limit")
