"""A project in memory, driven as the command handler drives it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from services.command.domain import (
    AmendBooking,
    CancelBooking,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    CreateSeries,
    ProjectState,
    SettleConflicts,
    WithdrawGrant,
    decide,
    evolve,
)
from services.command.domain.bounds import Bounds
from services.command.domain.commands import Context
from shared.capacity import Capacity
from shared.events import Event, Overcommit, decode_event, encode_event
from shared.hours import Period, hour_of, instant_of
from shared.identity.principals import trusted

T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
BEFORE = datetime(2085, 12, 31, tzinfo=UTC)


def cores(count: int) -> Capacity:
    return Capacity(cores=count)


class Project:
    """The project `gaia`. Hours are counted from T0; `now` is before it until a test moves it."""

    def __init__(self, beyond_hours: int | None = None) -> None:
        self.state, self.history, self.now, self.bounds = ProjectState(), list[Event](), BEFORE, Bounds()
        policy = Overcommit(beyond_hours=beyond_hours) if beyond_hours else "never"
        self.do(CreateProject(project="gaia", name="Gaia", overcommit=policy))

    def context(self, command: UUID | None = None) -> Context:
        return Context(command=command or uuid4(), principal=trusted("ada"), at=self.now)

    def do(self, command: Command) -> list[Event]:
        """Decides, and folds what was decided as it is stored; the state is never touched by the decision itself."""
        before = frozen(self.state)
        context = self.context(command.booking.booking if isinstance(command, CreateSeries) else None)
        events = decide(self.state, "gaia", command, context, self.bounds)
        assert frozen(self.state) == before, "deciding changed the state"
        for event in events:
            self.state = evolve(self.state, decode_event(encode_event(event)))
        self.history += events
        return events

    def at(self, hour: int) -> None:
        """It is this hour now."""
        self.now = instant_of(T0 + hour)

    def grant(self, start: int, end: int, count: int) -> UUID:
        grant = uuid4()
        self.do(CreateGrant(grant=grant, period=Period(T0 + start, T0 + end), capacity=cores(count)))
        return grant

    def book(self, start: int, end: int, count: int = 0, pool: str = "gaia", **asked: Any) -> UUID:
        booking, period = uuid4(), Period(T0 + start, T0 + end)
        account = asked.pop("account", "ada")
        self.do(
            CreateBooking(booking=booking, pool=pool, account=account, period=period, capacity=cores(count), **asked)
        )
        return booking

    def amend(self, booking: UUID, start: int | None = None, end: int | None = None, **asked: Any) -> list[Event]:
        return self.do(
            AmendBooking(
                booking=booking,
                start=None if start is None else T0 + start,
                end=None if end is None else T0 + end,
                **asked,
            )
        )

    def cluster(self, name: str, start: int, end: int, count: int, parent: str = "gaia") -> None:
        period = Period(T0 + start, T0 + end)
        self.do(CreateCluster(cluster=name, parent=parent, kind="magnum", period=period, capacity=cores(count)))

    def free(self, start: int, end: int, pool: str = "gaia") -> list[int]:
        return list(self.state.pools[pool].free.read(T0 + start, T0 + end)[:, 1])

    def tentative(self, booking: UUID) -> bool:
        return self.state.bookings[booking].tentative


def changed_bookings() -> list[Event]:
    """A history in which bookings change in every way that there is, those that run among them."""
    project = Project(beyond_hours=24)
    project.grant(0, 400, 20)
    second = project.grant(0, 400, 8)
    project.book(50, 60, 1)
    cut, twice, given_up = (project.book(0, end, 1) for end in (30, 40, 60))
    moved, shared = project.book(40, 48, 1), project.book(90, 95, 1)
    project.book(100, 110, 22)
    project.book(100, 105, 7)  # tentative at once
    project.do(WithdrawGrant(grant=second))  # what relied on it is contested
    project.at(5)
    project.do(CancelBooking(booking=cut))
    project.amend(twice, counts={"cores": 2})
    project.amend(twice, end=50)
    project.amend(given_up, end=70)
    project.do(CancelBooking(booking=given_up))  # all but what it held before
    project.amend(moved, start=30, end=44)
    project.amend(shared, counts={"cores": 3})
    project.at(8)
    project.amend(twice, end=45)
    project.grant(0, 103, 8)
    third = project.grant(103, 400, 8)  # all are confirmed
    project.do(WithdrawGrant(grant=third))
    project.book(120, 130, 28)
    project.book(110, 125, 1)
    project.at(101)
    project.do(SettleConflicts())  # and lapse, those that have begun from the first short hour on
    return project.history


def frozen(state: ProjectState) -> Any:
    """What a state holds, in values that can be compared."""
    pools = {
        name: (pool.parent, pool.period, *map(cells, (pool.size, pool.free, pool.shares, pool.growth)), pool.order)
        for name, pool in state.pools.items()
    }
    accounts = {
        name: (account.open, account.limits, cells(account.held), {p: cells(t) for p, t in account.shares.items()})
        for name, account in state.accounts.items()
    }
    return (
        state.version,
        state.name,
        pools,
        accounts,
        dict(state.bookings),
        dict(state.grants),
        dict(state.requests),
        dict(state.resize_outcomes),
        dict(state.tentative),
        dict(state.series),
        {name: list(versions) for name, versions in state.templates.items()},
    )


def cells(timeline: Any) -> Any:
    """What a timeline says; None stays None."""
    if timeline is None:
        return None
    return [part.tolist() for part in timeline.runs()]
