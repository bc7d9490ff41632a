"""A state that forgets what is over decides as one that holds the whole history: the same events, the same refusals."""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AskLease,
    Command,
    CreateBooking,
    CreateGrant,
    CreateProject,
    LeaseAmount,
    LeaseUse,
    ProjectState,
    SettleConflicts,
    decide,
    evolve,
    nearest,
)
from services.command.domain.access import authorise
from services.command.domain.bounds import Bounds
from services.command.domain.commands import Context, CreateAccount
from services.command.domain.copies import freeze
from services.command.domain.ended import Ended, ended_of, standing
from services.command.domain.floor import floor_of, lower_floor
from services.command.domain.pruning import install, pack, prune
from services.command.domain.reach import looks_back_to, not_held
from services.command.domain.replay import Replay
from services.command.handler.replaying import began_of
from services.command.handler.snapshots import decode_state, encode_state
from shared.capacity import Capacity
from shared.errors import HourbookError, ProjectLimitExceeded
from shared.events import Event, Limits, Overcommit, encode_event
from shared.hours import EARLIEST, Period, instant_of
from shared.identity.principals import Principal, person, trusted
from shared.identity.roles import NOBODY
from tests.support.histories import T0, random_command

STEPS = 400
ONE = Capacity(servers=1, cores=1)
ENOUGH = Capacity(servers=9, cores=30, memory=20, datadisc=5)
BOUNDS = Bounds(bookings=25, grants=12, series_hours=40, tentative=3, tentative_hours=400)


def loaded(history: list[Event], floor: int) -> ProjectState:
    """The state as it is loaded from the store."""
    replay, stored = Replay(ProjectState(floor=floor)), [encode_event(event) for event in history]
    if replay.take(stored):
        replay.learn(began_of(stored))
        replay.take(stored)
    replay.finish()
    return replay.state


class Both:
    """One history in two states: `whole` holds all of it, `small` forgets. `small` is packed, saved and loaded again
    every now and then."""

    def __init__(self, seed: int, beyond_hours: int | None) -> None:
        self.chance, self.ids = random.Random(seed), random.Random(-seed - 1)
        self.whole, self.small = ProjectState(), ProjectState()
        self.history: list[Event] = []
        self.now = T0
        self.looked_up = self.lowered = self.forgotten = 0
        policy = Overcommit(beyond_hours=beyond_hours) if beyond_hours else "never"
        self.do(CreateProject(project="gaia", name="Gaia", overcommit=policy), trusted("ada"))

    def step(self) -> None:
        if self.chance.random() < 0.2:
            self.now += self.chance.choice([1, 5, 24, 24 * 3, 24 * 10])
            self.do(SettleConflicts())
        if self.chance.random() < 0.05:
            period = Period(self.now, self.now + 24 * 90)
            self.do(CreateGrant(grant=UUID(int=self.ids.getrandbits(128)), period=period, capacity=ENOUGH))
        if self.chance.random() < 0.05:
            self.do(self.lease())
        then = self.now - self.chance.choice([0, 0, 0, 0, 24 * 40, 24 * 100])  # somebody records the past
        command = random_command(self.chance, self.ids, self.whole, "gaia", max(T0, then))
        if command is not None:
            self.do(command)
        if self.chance.random() < 0.2:
            self.forget()

    def lease(self) -> Command:
        """Blazar asks for a lease, which may have begun long ago."""
        known = [*self.whole.bookings, None]
        uses = []
        for _ in range(3):
            start = self.now - self.chance.choice([0, 24, 24 * 50]) + self.chance.randrange(20)
            period, amount = Period(start, start + self.chance.choice([10, 24 * 60])), LeaseAmount(capacity=ONE)
            uses.append(
                LeaseUse(
                    openstack_project=self.chance.choice("ab"),
                    period=period,
                    amount=amount,
                    booking=self.chance.choice(known),
                )
            )
        return AskLease(
            pool="gaia",
            openstack_project="a",
            period=uses[0].period,
            amount=LeaseAmount(capacity=ONE),
            booking=UUID(int=self.ids.getrandbits(128)),
            booked=self.chance.choice([None, uses[0].booking]),
            books=self.chance.random() < 0.5,
            others=tuple(uses[1:]),
        )

    def do(self, command: Command, principal: Principal | None = None) -> None:
        principal = principal or self.chance.choice([*[trusted("ada")] * 4, person("egi", "ada", (), "oidc")])
        context = Context(
            command=UUID(int=self.ids.getrandbits(128), version=4), principal=principal, at=instant_of(self.now)
        )
        ended = self.aside(command, context)
        seen = standing(self.small, ended, command)
        expected, got = outcome(self.whole, command, context), outcome(seen, command, context)
        assert got == expected, (command, got, expected)
        if expected[0] == "events":
            for event in expected[1]:
                evolve(self.whole, event)
                evolve(self.small, event)
            self.history += expected[1]

    def aside(self, command: Command, context: Context) -> Ended | None:
        """What the handler does for a command that needs more than the state holds."""
        ended = None
        if unknown := not_held(self.small, command):
            self.looked_up += 1
            ended = ended_of(unknown, "gaia", enumerate(self.history, 1))
        if looks_back_to(command, context) < self.small.floor:
            self.lowered += 1
            floor = lower_floor(looks_back_to(command, context), context.at)
            self.small = loaded(self.history, floor)
            prune(self.small, floor)
        return ended

    def forget(self) -> None:
        floor, held = max(self.small.floor, floor_of(instant_of(self.now))), len(self.small.bookings)
        match self.chance.randrange(3):
            case 0:
                prune(self.small, floor)
            case 1:
                packed = pack(freeze(self.small), floor)
                install(self.small, packed, floor)
            case 2:
                prune(self.small, floor)
                self.small = decode_state(encode_state(freeze(self.small)), self.small.version)
        self.forgotten += held - len(self.small.bookings)


def outcome(state: ProjectState, command: Command, context: Context) -> tuple[str, Any]:
    """The events of a decision; or what its refusal says, and where the command would fit."""
    try:
        authorise(state, "gaia", command, context.principal, NOBODY)
        return "events", decide(state, "gaia", command, context, BOUNDS)
    except HourbookError as refusal:
        near = nearest(state, "gaia", command, context, BOUNDS)
        return "refusal", (type(refusal), refusal.detail, refusal.facts, near)


@pytest.mark.parametrize("beyond_hours", [None, 30])
def test_a_state_that_forgets_decides_as_the_whole_history(beyond_hours: int | None) -> None:
    for seed in range(3):
        both = Both(seed, beyond_hours)
        for _ in range(STEPS):
            both.step()
        assert both.looked_up > 5
        assert both.lowered > 2
        assert both.forgotten > 5
        assert timedelta(hours=both.now - T0) > timedelta(days=100)


def test_who_goes_back_month_after_month_makes_few_loads() -> None:
    now = instant_of(T0)
    floor, loads = floor_of(now), 0
    while floor > EARLIEST:
        floor = lower_floor(floor - 1, now)
        loads += 1
    assert loads <= 10  # for 86 years


@pytest.mark.parametrize("room", [0, 1])
def test_hours_of_accounts_long_over_do_not_count_whoever_holds_them(room: int) -> None:
    """Of an account that books two hours each day, what a state holds from the floor on counts."""
    whole, fresh, history = ProjectState(), ProjectState(), list[bytes]()
    now, ada = T0 + 365 * 24, trusted("ada")

    def events_of(state: ProjectState, command: Command, hour: int, bounds: Bounds) -> list[Event]:
        return decide(state, "gaia", command, Context(command=uuid4(), principal=ada, at=instant_of(hour)), bounds)

    def do(command: Command, hour: int) -> None:
        for event in events_of(whole, command, hour, Bounds()):
            evolve(whole, event)
            history.append(encode_event(event))

    def booked(day: int) -> CreateBooking:
        period = Period(T0 + day * 24, T0 + day * 24 + 2)
        return CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=period, capacity=Capacity(cores=1))

    do(CreateProject(project="gaia", name="Gaia"), T0)
    do(CreateGrant(grant=uuid4(), period=Period(T0, now + 500), capacity=ENOUGH), T0)
    do(CreateAccount(account="ada", name="Ada", limits=Limits()), T0)
    for day in range(366):
        do(booked(day), T0 + day * 24 - 1)
    fresh.floor = floor_of(instant_of(now))
    replay = Replay(fresh)
    replay.take(history)
    replay.finish()
    bounds = Bounds(account_hours=now + 26 - fresh.floor - 1 + room)
    for state in (whole, fresh):
        with contextlib.nullcontext() if room else pytest.raises(ProjectLimitExceeded, match="ACCOUNT_HOURS"):
            events_of(state, booked(366), now, bounds)
