"""What a decision looks at that a state may not have: hours before its floor, and what ended before its floor.

A state has a floor: the hour before which it knows nothing. An everyday command looks at no hour before its project's
floor. One that records the past does, and one may name a booking that is over.
"""

from __future__ import annotations

from uuid import UUID

from services.command.domain.commands import (
    AmendBooking,
    AmendSeries,
    AskLease,
    CancelBooking,
    CancelSeries,
    Command,
    Context,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateSeries,
    EndLease,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.domain.state import ProjectState
from shared.hours import hour_of


def looks_back_to(command: Command, context: Context) -> int:
    """The earliest hour at which the decision looks; of an account's month, some hour of that month."""
    match command:
        case CreateBooking() | CreateExclusive() | CreateCluster() | AskLease():
            first = command.period.start
        case CreateSeries():
            first = min(period.start for period in command.periods)
        case ResizeCluster() if command.start is not None:
            first = command.start
        case _:
            return hour_of(context.at)
    return min(first, hour_of(context.at))


def not_held(state: ProjectState, command: Command) -> list[UUID]:
    """The ids that the command names, of bookings, grants and series that the state does not hold. They are unknown, or
    over."""
    match command:
        case AmendBooking() | CancelBooking():
            return [] if command.booking in state.bookings else [command.booking]
        case WithdrawGrant():
            return [] if command.grant in state.grants else [command.grant]
        case AmendSeries() | CancelSeries():
            return [] if command.series in state.series else [command.series]
        case AskLease():
            uses = [use for use in command.others if use.period.start < command.period.end]
            named = [command.booked, *(use.booking for use in uses if use.period.end > command.period.start)]
        case EndLease():
            named = [command.booked]
        case _:
            return []
    return [booking for booking in named if booking is not None and booking not in state.bookings]
