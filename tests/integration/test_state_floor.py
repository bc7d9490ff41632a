"""What a state does not hold: bookings that are over, and hours long past. Answers are those of the whole history."""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.command.domain import (
    AmendBooking,
    AmendSeries,
    CancelBooking,
    CancelSeries,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    CreateSeries,
    ProjectState,
    WithdrawGrant,
    decide,
    evolve,
)
from services.command.domain.access import authorise
from services.command.domain.commands import Context
from services.command.domain.copies import freeze
from services.command.domain.pruning import prune
from services.command.handler.aside import Aside
from services.command.handler.handler import CommandHandler
from services.command.handler.lookup import ProjectLookup
from services.command.handler.queue import Submitted
from services.command.handler.snapshots import PiecesLost, encode_state, load_snapshot, read_manifest, save_snapshot
from services.command.handler.states import Loading, States
from shared.capacity import Capacity
from shared.errors import CapacityExceeded, HourbookError
from shared.event_store import EventStore
from shared.events import decode_events
from shared.hours import Period, hour_of, instant_of
from shared.identity.principals import Principal, person, trusted
from shared.identity.roles import NOBODY
from tests.bench.history import T0, History
from tests.support.backends import as_role, connected
from tests.support.handling import handling
from tests.support.project import frozen
from tests.support.waiting import until

NOW = hour_of(datetime.now(UTC))
LONG_AGO = NOW - 300 * 24
ADA = trusted("ada")
EVENTS_MAX = 1_000_000


running = functools.partial(handling, patience_s=60.0)


async def send(
    handler: CommandHandler,
    command: Command,
    who: Principal = ADA,
    at: datetime | None = None,
    *,
    dry_run: bool = False,
) -> Any:
    """The number of events that the command made, or its refusal."""
    context = Context(command=id_of(command), principal=who, at=at or datetime.now(UTC))
    try:
        result = await handler.submit("gaia", command, context, dry_run=dry_run)
    except HourbookError as refusal:
        return refusal
    return result.refusal or len(result.decided)


def id_of(command: Command) -> UUID:
    """The id of a new thing is that of its command."""
    match command:
        case CreateBooking():
            return command.booking
        case CreateGrant():
            return command.grant
        case CreateSeries():
            return command.booking.booking
        case _:
            return uuid4()


def booked(start: int, hours: int = 2, cores: int = 1) -> CreateBooking:
    return CreateBooking(
        booking=uuid4(), pool="gaia", account="ada", period=Period(start, start + hours), capacity=Capacity(cores=cores)
    )


def granted(start: int, end: int) -> CreateGrant:
    return CreateGrant(grant=uuid4(), period=Period(start, end), capacity=Capacity(cores=10))


async def whole(database_url: str) -> ProjectState:
    """The state that holds the whole history."""
    state = ProjectState()
    async with connected(database_url) as connection:
        stored, _ = await EventStore(connection).stream_data_after("gaia", 0, EVENTS_MAX)
    for event in decode_events(stored):
        evolve(state, event)
    return state


def answer_of(state: ProjectState, command: Command, who: Principal = ADA) -> Any:
    """As `send`, on a state."""
    context = Context(command=id_of(command), principal=who, at=datetime.now(UTC))
    try:
        authorise(state, "gaia", command, who, NOBODY)
        return len(decide(state, "gaia", command, context))
    except HourbookError as refusal:
        return refusal


def same(one: Any, other: Any) -> bool:
    if isinstance(one, HourbookError):
        return type(one) is type(other) and (one.detail, one.facts) == (other.detail, other.facts)
    return bool(one == other)


async def test_what_is_over_is_answered_as_the_whole_history_answers(database_url: str) -> None:
    ended, cut, cancelled = booked(LONG_AGO), booked(LONG_AGO, 24), booked(NOW + 5000)
    old_grant, grant = granted(LONG_AGO, LONG_AGO + 90), granted(LONG_AGO, NOW + 9000)
    periods = tuple(Period(LONG_AGO + day * 24, LONG_AGO + day * 24 + 2) for day in range(4))
    series = CreateSeries(booking=booked(LONG_AGO), periods=periods, rrule="FREQ=DAILY", timezone="UTC")
    third = UUID(int=series.booking.booking.int + 2)
    then = instant_of(LONG_AGO + 10)
    async with running(database_url) as one:
        for command in (CreateProject(project="gaia", name="Gaia"), grant, old_grant, ended, cut, cancelled, series):
            assert isinstance(await send(one, command), int), command
        assert await send(one, AmendBooking(booking=cut.booking, end=LONG_AGO + 20), at=then) == 1
        assert await send(one, CancelBooking(booking=cancelled.booking)) == 1
    commands: list[Command] = []
    for booking in (ended.booking, cut.booking, cancelled.booking, third, uuid4(), grant.grant):
        commands += [
            CancelBooking(booking=booking),
            AmendBooking(booking=booking),
            AmendBooking(booking=booking, counts={"cores": 3}),
            AmendBooking(booking=booking, counts={"cores": 0}),
            AmendBooking(booking=booking, start=LONG_AGO, end=LONG_AGO + 20),
        ]
    commands += [WithdrawGrant(grant=one) for one in (old_grant.grant, uuid4(), ended.booking)]
    for key in (series.booking.booking, third, ended.booking, uuid4()):
        commands += [CancelSeries(series=key), AmendSeries(series=key, counts={"cores": 2})]
    state = await whole(database_url)
    stranger = person("egi", "eve", (), "oidc")
    async with running(database_url) as one, running(database_url) as other:
        for number, asked in enumerate(commands):
            handler, who = (one, other)[number % 2], ADA if number % 3 else stranger
            got = await send(handler, asked, who)
            assert same(got, answer_of(state, asked, who)), (asked, got)
            assert same(await send(handler, asked, dry_run=True), answer_of(state, asked)), asked
    async with connected(database_url) as connection:
        states = States(1 << 30)
        await states.load(EventStore(connection), "gaia")
    for booking in (ended.booking, cut.booking, third):
        assert booking not in states["gaia"].bookings
    assert series.booking.booking not in states["gaia"].series


async def test_the_past_is_recorded_and_refused_as_with_the_whole_history(database_url: str) -> None:
    async with running(database_url) as one:
        for command in (
            CreateProject(project="gaia", name="Gaia"),
            granted(LONG_AGO, NOW + 500),
            booked(LONG_AGO, 50, 7),
        ):
            assert isinstance(await send(one, command), int), command
    async with running(database_url) as one, running(database_url) as other:
        await send(other, booked(NOW + 1))
        too_much = booked(LONG_AGO + 20, 2, 4)
        answers = await asyncio.gather(send(one, too_much), send(other, booked(NOW + 3)), send(one, booked(NOW + 4)))
        assert same(answers[0], answer_of(await whole(database_url), too_much))
        assert isinstance(answers[0], CapacityExceeded)
        assert list(answers[1:]) == [1, 1]
        cluster = CreateCluster(
            cluster="gaia.c",
            parent="gaia",
            kind="x",
            period=Period(LONG_AGO + 49, NOW + 30),
            capacity=Capacity(cores=3),
        )
        assert await send(other, cluster) == 1
        assert await send(one, booked(LONG_AGO + 49, 1, 1)) != 1
        assert await send(one, booked(LONG_AGO + 50, 1, 7)) == 1
        assert isinstance(await send(other, booked(LONG_AGO + 50, 1, 1)), CapacityExceeded)
        assert isinstance(await send(one, booked(LONG_AGO + 60), person("egi", "eve", (), "oidc")), HourbookError)


class CountedLookup(ProjectLookup):
    """Counts the projects that are loaded with a lower floor."""

    loads = 0

    async def loaded(self, project: str, floor: int) -> Loading:
        self.loads += 1
        return await super().loaded(project, floor)


async def test_many_who_record_the_past_make_one_load_and_who_is_denied_makes_none(database_url: str) -> None:
    async with running(database_url) as handler:
        await send(handler, CreateProject(project="gaia", name="Gaia"))
        await send(handler, granted(LONG_AGO, NOW + 500))
    states, again = States(1 << 30), list[Submitted]()
    async with connected(database_url) as connection:
        store = EventStore(connection)
        await states.load(store, "gaia")
        lookup = CountedLookup(as_role(database_url, "command"), 60.0)
        aside = Aside(lookup, NOBODY, again.append, 60.0)
        asked = [submitted(booked(LONG_AGO + hour), ADA) for hour in range(20)]
        denied = submitted(booked(LONG_AGO), person("egi", "eve", (), "oidc"))
        today = submitted(booked(NOW + 1), ADA)
        assert aside.step(states, [*asked, denied, today], sent=False) == [denied, today]
        assert aside.step(states, asked, sent=True) == []  # their batch is tried again
        await until(lambda: len(again) >= 20)
        assert sorted(map(id, again)) == sorted(map(id, asked))
        aside.take_loaded(states)
        assert "gaia" not in states  # it goes on from what was loaded
        await states.load(store, "gaia")
        assert aside.step(states, again, sent=False) == again
        assert lookup.loads == 1
        assert not states.may_rise("gaia")
        assert aside.step(states, [submitted(booked(LONG_AGO - 900 * 24), ADA)], sent=False) == []
        await until(lambda: len(again) == 21)
        aside.take_loaded(states, uuid4())  # of a store that another primary took over
        assert "gaia" in states
        assert aside.step(states, again[20:], sent=False) == []
        aside.stop()


def submitted(command: CreateBooking, who: Principal) -> Submitted:
    context = Context(command=command.booking, principal=who, at=datetime.now(UTC))
    return Submitted("gaia", command, context, None, b"", asyncio.get_running_loop().create_future())


async def test_a_snapshot_is_saved_as_the_project_grows_and_writes_only_what_is_new(database_url: str) -> None:
    async with connected(database_url) as connection:
        grown = History(connection, "gaia")
        await grown.begin()
        await grown.grow(5000)
        async with running(database_url) as handler:
            await send(handler, CancelBooking(booking=uuid4()))
            await until(lambda: saved_version(connection, 5002))
            first = await pieces(connection)
            await grown.grow(5000)
            await send(handler, CancelBooking(booking=uuid4()))
            await until(lambda: saved_version(connection, 10_002))
        second = await pieces(connection)
        stored = await load_snapshot(connection, "gaia")
        manifest = read_manifest(await connection.fetchval("SELECT state FROM snapshot"))
        assert len(manifest.blocks) == 2
        assert set(first) & manifest.ids() == {manifest.blocks[1]}
        assert set(second) == manifest.ids()
        assert sum(second.values()) < 10_000 * 40
        assert len(stored.state.bookings) == 10_000
        assert frozen(stored.state) == frozen(await whole(database_url))


async def saved_version(connection: Any, version: int) -> bool:
    return bool(await connection.fetchval("SELECT version = $1 FROM snapshot", version))


async def pieces(connection: Any) -> dict[bytes, int]:
    return dict(await connection.fetch("SELECT id, length(data) FROM snapshot_piece"))


async def test_a_snapshot_of_a_time_when_the_clock_was_wrong_is_not_used(database_url: str) -> None:
    async with connected(database_url) as connection:
        grown = History(connection, "gaia")
        await grown.begin()
        await grown.grow(20)
        state = await whole(database_url)
        prune(state, T0 + 400)
        await save_snapshot(connection, "gaia", encode_state(freeze(state)), state.version, state.version, lost)
        states = States(1 << 30)
        await states.load(EventStore(connection), "gaia")
        assert len(states["gaia"].bookings) == 20


async def test_a_snapshot_is_whole_or_not_used(database_url: str) -> None:
    async with connected(database_url) as connection:
        grown = History(connection, "gaia", clusters=3)
        await grown.begin()
        await grown.grow(300)
    state = await whole(database_url)
    snapshot = encode_state(freeze(state))
    async with connected(as_role(database_url, "command")) as connection, connected(database_url) as admin:
        assert await save_snapshot(connection, "gaia", snapshot, state.version, 9, lost)
        assert dict((await load_snapshot(connection, "gaia")).state.bookings) == dict(state.bookings)
        older = encode_state(freeze(state))
        assert not await save_snapshot(connection, "gaia", older, state.version - 1, 8, lost)
        for event in decide(state, "gaia", booked(T0 + 5), Context(command=uuid4(), principal=ADA, at=instant_of(NOW))):
            evolve(state, event)
        newer = encode_state(freeze(state))
        halved = newer._replace(pieces={key: data for key, data in newer.pieces.items() if key in snapshot.pieces})
        with pytest.raises(PiecesLost):  # it breaks off among its pieces
            await save_snapshot(connection, "gaia", halved, state.version, 10, lost)
        assert (await load_snapshot(connection, "gaia")).mark.version == state.version - 1
        for key, data in snapshot.pieces.items():
            async with admin.transaction():
                await admin.execute("DELETE FROM snapshot_piece WHERE id = $1", key)
                assert (await load_snapshot(admin, "gaia")).state == ProjectState()
                await admin.execute("INSERT INTO snapshot_piece VALUES ('gaia', $1, $2)", key, data[:-9])
                assert (await load_snapshot(admin, "gaia")).state == ProjectState()
                await admin.execute("UPDATE snapshot_piece SET data = $2 WHERE id = $1", key, data)
        assert await save_snapshot(connection, "gaia", newer, state.version, 10, lost)
        assert dict((await load_snapshot(connection, "gaia")).state.bookings) == dict(state.bookings)


def lost(_: bytes) -> bytes:
    raise PiecesLost
