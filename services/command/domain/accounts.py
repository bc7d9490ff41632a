"""Accounts that a project lists, and what they may take of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.command.domain.commands import CloseAccount, Context, CreateAccount, SetLimits
from services.command.domain.room import meta_of
from services.command.domain.state import Account, Booking, ProjectState
from shared.capacity import DIMENSIONS, Vector, reserved
from shared.errors import AccountLimitExceeded, AlreadyExists, InvalidField, Refused, UnknownId
from shared.events import AccountClosed, AccountCreated, AccountLimitsSet, Event, Limits
from shared.hours import Period, hour_of, iso, months_of

HOURS_MAX = 876_600


def create_account(state: ProjectState, project: str, command: CreateAccount, context: Context) -> list[Event]:
    _check_limits(command.limits)
    if (account := state.accounts.get(command.account)) is not None:
        closed = "" if account.open else ", and is closed"
        raise AlreadyExists(f"account: {command.account!r} exists already{closed}", id=command.account)
    meta = meta_of(context, project)
    return [AccountCreated(account=command.account, name=command.name, limits=command.limits, **meta)]


def set_limits(state: ProjectState, project: str, command: SetLimits, context: Context) -> list[Event]:
    _check_limits(command.limits)
    if _account(state, command.account).limits == command.limits:
        return []
    return [AccountLimitsSet(account=command.account, limits=command.limits, **meta_of(context, project))]


def close_account(state: ProjectState, project: str, command: CloseAccount, context: Context) -> list[Event]:
    if not _account(state, command.account).open:
        return []
    return [AccountClosed(account=command.account, **meta_of(context, project))]


def check_account(state: ProjectState, booking: Booking, context: Context, released: Booking | None = None) -> None:
    """Whether the account may hold `booking`, giving back `released`. Raises Refused, or UnknownId for an account that
    the project does not list, if it lists any."""
    if not state.accounts or (released is not None and _no_more(booking, released)):
        return
    account = state.accounts.get(booking.account)
    if account is None:
        raise UnknownId("account", "account in this project", booking.account)
    if not account.open:
        raise Refused(f"account: {booking.account!r} is closed; it books nothing more", account=booking.account)
    limits = account.limits
    ahead, hours = booking.start - hour_of(context.at), booking.end - booking.began
    if limits.ahead_hours is not None and ahead > limits.ahead_hours:
        raise _exceeded(booking, "ahead_hours", ahead, limits.ahead_hours, f"starts {ahead} hours ahead")
    if limits.duration_hours is not None and hours > limits.duration_hours:
        raise _exceeded(booking, "duration_hours", hours, limits.duration_hours, f"is {hours} hours long")
    if limits.capacity:
        period = Period(booking.start, booking.end)
        _check_held(booking, limits.capacity, period, _held_after(state, account, booking, released, period))
    if limits.monthly_hours:
        for month in months_of(Period(booking.start, booking.end)):
            _check_month(booking, limits.monthly_hours, month, _held_after(state, account, booking, released, month))


def _no_more(booking: Booking, released: Booking) -> bool:
    """Whether `booking` takes in no hour more than `released`: what only gives back is never refused."""
    fewer = all(new <= old for new, old in zip(booking.capacity.counts(), released.capacity.counts(), strict=True))
    return booking.start >= released.start and booking.end <= released.end and fewer and booking.share <= released.share


def _check_held(booking: Booking, limits: dict[str, int], period: Period, held: Vector) -> None:
    for dimension, limit in limits.items():
        each = held[:, DIMENSIONS.index(dimension)]
        if (most := int(each.max())) > limit:
            hour = period.start + int(each.argmax())
            said = f"would have the account hold {most} {dimension} at {iso(hour)}"
            raise _exceeded(booking, "capacity", most, limit, said, dimension=dimension, at=iso(hour))


def _check_month(booking: Booking, limits: dict[str, int], month: Period, held: Vector) -> None:
    for dimension, limit in limits.items():
        total = int(held[:, DIMENSIONS.index(dimension)].sum())
        if total > limit:
            said = f"would have the account use {total} {dimension}-hours in {iso(month.start)[:7]}"
            raise _exceeded(booking, "monthly_hours", total, limit, said, dimension=dimension, at=iso(month.start)[:7])


def _exceeded(booking: Booking, limit: str, asked: int, allowed: int, said: str, **facts: Any) -> AccountLimitExceeded:
    return AccountLimitExceeded(
        f"the booking {said}; the limit {limit} of {booking.account!r} is {allowed}",
        account=booking.account, limit=limit, asked=asked, allowed=allowed, **facts,
    )  # fmt: skip


def _held_after(
    state: ProjectState, account: Account, booking: Booking, released: Booking | None, period: Period
) -> Vector:
    """What the account would hold by the hour of the period, shape (hours, 6). A share counts what it is of the size
    now planned, rounded up."""
    start, end = period
    held = account.held.read(start, end).copy()
    shares = {pool: timeline.read(start, end).copy() for pool, timeline in account.shares.items()}
    for one, sign in ((booking, 1), (released, -1)):
        if one is None or (low := max(one.start, start)) >= (high := min(one.end, end)):
            continue
        hours = slice(low - start, high - start)
        if one.share:
            shares.setdefault(one.pool, np.zeros((end - start, 1), dtype=np.int64))[hours] += sign * one.share
        else:
            held[hours] += sign * one.capacity.vector()
    for pool, basis_points in shares.items():
        held += reserved(state.pools[pool].size.read(start, end), basis_points)
    return held


def _account(state: ProjectState, name: str) -> Account:
    account = state.accounts.get(name)
    if account is None:
        raise UnknownId("account", "account in this project", name)
    return account


def _check_limits(limits: Limits) -> None:
    for field, given in (("capacity", limits.capacity), ("monthly_hours", limits.monthly_hours)):
        for dimension in given or ():
            if dimension not in DIMENSIONS:
                raise InvalidField(f"limits.{field}", f"{dimension!r} is none of {', '.join(DIMENSIONS)}")
    for field, hours in (("ahead_hours", limits.ahead_hours), ("duration_hours", limits.duration_hours)):
        if hours is not None and hours > HOURS_MAX:
            raise InvalidField(f"limits.{field}", f"{hours} hours are more than a century; leave it out for no limit")
