"""What is over and in no state any more: a booking, a grant or a series as its own events tell it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from uuid import UUID

import msgspec

from services.command.domain.blocks import Booking
from services.command.domain.commands import AmendSeries, CancelSeries, Command
from services.command.domain.evolve import evolve
from services.command.domain.state import Grant, Pool, ProjectState
from shared.capacity import NOTHING
from shared.events import (
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    Event,
    GrantCreated,
    GrantWithdrawn,
    SeriesCreated,
)
from shared.timeline import Timeline

OfBooking = BookingCreated | BookingAmended | BookingCancelled | BookingConfirmed | BookingContested | BookingLapsed
OfGrant = GrantCreated | GrantWithdrawn
OF_GRANTS = (GrantCreated, GrantWithdrawn)
TOLD = OfBooking | OfGrant  # the events that tell what became of a booking or a grant


class Ended(msgspec.Struct):
    """What was found of the ids that a command names and its state does not hold. `asked` are these ids: those of which
    nothing was found do not exist.

    For a series stands a booking that takes nothing: it says who may ask for the series. Its occurrences are over."""

    asked: set[UUID] = set()
    bookings: dict[UUID, Booking] = {}
    grants: dict[UUID, Grant] = {}
    series: dict[UUID, Booking] = {}

    def still_going(self, floor: int) -> set[UUID]:
        """What was not over when it was looked up. A state that does not hold it was behind then."""
        found: list[tuple[UUID, Booking | Grant]] = [*self.bookings.items(), *self.grants.items()]
        return {key for key, one in found if not one.gone and one.end > floor}


def ended_of(asked: Iterable[UUID], project: str, events: Iterable[tuple[int, Event]]) -> Ended:
    """What the events tell of these ids. `events` are all those about them, each with its version, in order."""
    found, state = Ended(set(asked)), ProjectState()
    for version, event in events:
        if isinstance(event, SeriesCreated):
            found.series[event.series] = Booking(event.pool, event.account, 0, 0, 0, NOTHING, gone=True)
        elif isinstance(event, TOLD) and _subject(event) in found.asked:
            pool = project if isinstance(event, OF_GRANTS) else event.pool
            if pool not in state.pools:
                state.pools[pool] = Pool(None, None, Timeline(), Timeline())
            state.version = version - 1
            evolve(state, event)
    found.bookings, found.grants = dict(state.bookings), dict(state.grants)
    return found


def _subject(event: OfBooking | OfGrant) -> UUID:
    return event.grant if isinstance(event, OF_GRANTS) else event.booking


def standing(state: ProjectState, ended: Ended | None, command: Command) -> ProjectState:
    """The state, in which what was found stands again. Only to decide on: events change the state itself."""
    if ended is None or not (ended.bookings or ended.grants or ended.series):
        return state
    going = ended.still_going(state.floor)
    there = {**ended.series, **ended.bookings} if isinstance(command, AmendSeries | CancelSeries) else ended.bookings
    bookings = state.bookings.fork()
    for key in [one for one in there if one not in bookings and one not in going]:
        bookings.add(key, there[key])
    return msgspec.structs.replace(
        state,
        bookings=bookings,
        grants=ChainMap({}, state.grants, {key: one for key, one in ended.grants.items() if key not in going}),
        series=ChainMap({}, state.series, dict.fromkeys(ended.series, 1)),
    )
