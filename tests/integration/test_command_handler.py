"""The command handler on a real PostgreSQL: group commit, writers in two processes, repeats, lost connections."""

import asyncio
import contextlib
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec
import numpy as np
import pytest

from services.command.domain import (
    CancelBooking,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    CreateSeries,
    ProjectState,
    copies,
    evolve,
)
from services.command.domain.bounds import Bounds
from services.command.domain.commands import Context
from services.command.domain.copies import Freezing, freeze
from services.command.handler.errors import KeyReused, QueueFull, StoreUnavailable
from services.command.handler.handler import CommandHandler
from services.command.handler.results import CommandResult
from services.command.handler.snapshots import Snapshot, decode_state, encode_state
from shared.capacity import Capacity
from shared.errors import CapacityExceeded, HourbookError, ProjectLimitExceeded
from shared.event_store import EventStore, Pending
from shared.events import BookingCreated, decode_event, encode_event
from shared.hours import Period, hour_of, instant_of
from shared.identity.principals import trusted
from tests.support.backends import connected
from tests.support.handling import handling
from tests.support.histories import history
from tests.support.project import Project

T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))
DAY = Period(T0, T0 + 24)


async def send(
    handler: CommandHandler,
    command: Command,
    request_id: UUID | None = None,
    request_hash: bytes = b"",
    *,
    project: str = "gaia",
    dry_run: bool = False,
) -> CommandResult:
    context = Context(command=uuid4(), principal=trusted("ada"), at=datetime.now(UTC))
    return await handler.submit(project, command, context, request_id, request_hash, dry_run=dry_run)


def booking(cores: int = 1) -> CreateBooking:
    return CreateBooking(booking=uuid4(), pool="gaia", account="ada", period=DAY, capacity=Capacity(cores=cores))


async def project_of(handler: CommandHandler, cores: int) -> None:
    await send(handler, CreateProject(project="gaia", name="Gaia"))
    await send(handler, CreateGrant(grant=uuid4(), period=DAY, capacity=Capacity(cores=cores)))


async def test_two_processes_accept_exactly_what_fits(database_url: str) -> None:
    async with handling(database_url) as one, handling(database_url) as other:
        await project_of(one, 10)
        outcomes = await asyncio.gather(
            *(send(one if n % 2 else other, booking()) for n in range(200)), return_exceptions=True
        )
    accepted = [outcome for outcome in outcomes if isinstance(outcome, CommandResult)]
    assert len(accepted) == 10
    assert all(isinstance(outcome, CommandResult | CapacityExceeded) for outcome in outcomes)
    assert sorted(answer.position for answer in accepted) == list(range(3, 13))


async def test_a_refusal_is_never_made_on_a_stale_state(database_url: str) -> None:
    async with handling(database_url) as one, handling(database_url) as other:
        await project_of(one, 1)
        with pytest.raises(CapacityExceeded):
            await send(other, booking(cores=2))
        await send(one, CreateGrant(grant=uuid4(), period=DAY, capacity=Capacity(cores=1)))
        assert (await send(other, booking(cores=2))).version == 4


async def test_a_repeated_request_gets_the_first_answer_and_another_body_is_refused(database_url: str) -> None:
    async with handling(database_url) as one, handling(database_url) as other:
        await project_of(one, 10)
        key = uuid4()
        first = await send(one, booking(10), key, b"a")
        for handler in (one, other):
            again = await send(handler, booking(10), key, b"a")
            assert (again.position, again.decided, again.repeated) == (first.position, first.decided, True)
            with pytest.raises(KeyReused):
                await send(handler, booking(1), key, b"b")
        same = await asyncio.gather(*(send((one, other)[n % 2], booking(0 + 1), key, b"a") for n in range(20)))
        assert {answer.position for answer in same} == {first.position}


async def test_a_full_queue_refuses_at_once(database_url: str) -> None:
    async with handling(database_url, queue_max=5) as handler:
        outcomes = await asyncio.gather(*(send(handler, booking()) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, QueueFull) for outcome in outcomes) == 15


async def test_nothing_acknowledged_is_lost_or_doubled_when_connections_die(database_url: str) -> None:
    done = asyncio.Event()

    async def kill() -> None:
        connection = await asyncpg.connect(database_url)
        while not done.is_set():
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.25)
        await connection.close()

    async with handling(database_url) as one, handling(database_url) as other:
        await project_of(one, 10_000)
        killing = asyncio.create_task(kill())
        answers: list[CommandResult] = []

        async def client(handler: CommandHandler) -> None:
            answers.extend([await send(handler, booking()) for _ in range(60)])

        async with asyncio.timeout(90):
            await asyncio.gather(*(client((one, other)[n % 2]) for n in range(8)))
        done.set()
        await killing
    connection = await asyncpg.connect(database_url)
    events = [decode_event(event.data) for event in await EventStore(connection).after(2, 10_000)]
    await connection.close()
    ids = [event.booking for event in events if isinstance(event, BookingCreated)]
    assert len(ids) == len(set(ids)) == len(answers) == 480
    assert sorted(answer.position for answer in answers) == list(range(3, 483))


async def test_a_command_whose_lost_append_commits_late_is_answered_by_its_event(database_url: str) -> None:
    """The connection dies while the append is on its way. The server commits it only after the handler has asked for
    the command again, on a new connection."""
    async with handling(database_url) as handler, connected(database_url) as server, connected(database_url) as admin:
        await project_of(handler, 10)
        asked = booking(2)
        context = Context(command=asked.booking, principal=trusted("ada"), at=datetime.now(UTC))
        event = BookingCreated(
            booking=asked.booking,
            pool="gaia",
            account="ada",
            capacity=asked.capacity,
            start=instant_of(DAY.start),
            end=instant_of(DAY.end),
            at=context.at,
            actor="ada",
            command=asked.booking,
            project="gaia",
        )
        stored = Pending("gaia", 3, asked.booking, 0, b"", "BookingCreated", encode_event(event), None)
        async with server.transaction():
            await EventStore(server).append({"gaia": 2}, [stored])
            sent = asyncio.create_task(handler.submit("gaia", asked, context, entity="mine"))
            first = await appending(admin, since=0)
            await admin.execute("SELECT pg_terminate_backend($1)", first)
            await appending(admin, since=first)
        result = await asyncio.wait_for(sent, 20)
        assert (result.entity, result.position, list(result.decided)) == ("mine", 3, [stored.data])
        assert await EventStore(server).head() == 3
        assert (await send(handler, booking(8))).position == 4
        with pytest.raises(CapacityExceeded):
            await send(handler, booking(1))


async def appending(admin: asyncpg.Connection, *, since: int) -> int:
    """Waits until a backend other than `since` waits for a lock in an append. Returns its process id."""
    async with asyncio.timeout(20):
        while True:
            pid: int | None = await admin.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                " AND query LIKE '%append_events%' AND pid <> $1",
                since,
            )
            if pid is not None:
                return pid
            await asyncio.sleep(0.01)


async def test_one_refused_command_leaves_its_batch_alone(database_url: str) -> None:
    async with handling(database_url) as handler:
        await project_of(handler, 5)
        outcomes = await asyncio.gather(*(send(handler, booking(n)) for n in (2, 9, 3)), return_exceptions=True)
    assert [isinstance(outcome, HourbookError) for outcome in outcomes] == [False, True, False]


async def test_a_cold_start_uses_the_snapshot_and_the_tail(database_url: str) -> None:
    async with handling(database_url) as handler:
        await project_of(handler, 3000)
        await asyncio.gather(*(send(handler, booking()) for _ in range(1500)))
    connection = await asyncpg.connect(database_url)
    async with handling(database_url) as handler, asyncio.timeout(30):
        await send(handler, booking())
        while (saved := await connection.fetchrow("SELECT version, position FROM snapshot")) is None:
            await asyncio.sleep(0.01)
    assert tuple(saved) == (1503, 1503)
    async with handling(database_url) as handler:
        await asyncio.gather(*(send(handler, booking()) for _ in range(1499)))
        with pytest.raises(CapacityExceeded):
            await send(handler, booking())
    await connection.execute("UPDATE snapshot SET state = 'unreadable', version = 3002")  # of the last event
    async with handling(database_url) as handler, asyncio.timeout(30):
        with pytest.raises(CapacityExceeded):
            await send(handler, booking())
        while await connection.fetchval("SELECT state = 'unreadable' FROM snapshot"):
            await asyncio.sleep(0.01)
    await connection.close()


async def test_of_many_heavy_commands_one_goes_before_what_is_quick(database_url: str) -> None:
    periods = tuple(Period(T0 + 24 * day, T0 + 24 * day + 1) for day in range(20))
    answered: list[str] = []

    async def ask(name: str, command: Command, *, dry_run: bool) -> None:
        await send(handler, command, dry_run=dry_run)
        answered.append(name)

    async with handling(database_url) as handler:
        await project_of(handler, 10)
        first = msgspec.structs.replace(booking(), period=periods[0])
        series = CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY", timezone="UTC", skip=True)
        heavy = [ask("heavy", series, dry_run=True) for _ in range(20)]
        await asyncio.gather(*heavy, ask("quick", booking(), dry_run=False))
    assert answered.index("quick") <= 1
    assert len(answered) == 21


async def test_a_project_that_holds_too_much_is_refused_more_and_others_are_forgotten(database_url: str) -> None:
    bounds = Bounds(pools=2, state_bytes=4000)
    async with handling(database_url, bounds=bounds) as handler:
        for name in ("gaia", "euclid", "ska"):
            grant = CreateGrant(grant=uuid4(), period=Period(T0, T0 + 700), capacity=Capacity(cores=9))
            await send(handler, CreateProject(project=name, name=name), project=name)
            await send(handler, grant, project=name)
        assert list(handler.remembered) == ["ska"]
        cluster = CreateCluster(cluster="ska.a", parent="ska", kind="x", period=DAY, capacity=Capacity(cores=1))
        await send(handler, cluster, project="ska")
        another = msgspec.structs.replace(cluster, cluster="ska.b")
        with pytest.raises(ProjectLimitExceeded, match="3 pools"):
            await send(handler, another, project="ska")
        would = await send(handler, another, project="ska", dry_run=True)
        assert isinstance(would.refusal, ProjectLimitExceeded)
        assert would.nearest is None


async def test_a_snapshot_holds_the_moment_at_which_it_was_begun() -> None:
    state = ProjectState()
    for event in history(3, 300, projects=1):
        evolve(state, event)
    frozen, before = freeze(state), encode_state(state)
    for event in history(3, 400, projects=1)[300:]:
        evolve(state, event)
    assert encode_state(frozen) == before != encode_state(state)


async def test_a_state_that_is_frozen_in_turns_is_that_of_the_last_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "AT_ONCE", 2)
    events, state = history(3, 900, projects=1), ProjectState()
    for event in events[:500]:
        evolve(state, event)
    state.touched, turns = set(), 0
    freezing = Freezing(state, state.pools, state.accounts)
    for event in events[500:]:
        frozen = freezing.go_on()
        turns += 1
        if frozen is not None:
            break
        evolve(state, event)
    assert turns > 2
    assert frozen is not None
    at_last = encode_state(state)
    for event in events[499 + turns :]:
        evolve(state, event)
    assert encode_state(frozen) == at_last != encode_state(state)


async def test_a_snapshot_of_another_format_is_not_used() -> None:
    for saved in (b"", b"unreadable", msgspec.msgpack.encode([4, "Gaia", {}, [], [], {}, {}, {}, {}])):
        with pytest.raises(msgspec.DecodeError):
            decode_state(Snapshot(saved, {}), 3)


async def test_a_start_that_takes_longer_than_patience_gets_there_all_the_same(database_url: str) -> None:
    async with handling(database_url) as handler:
        await project_of(handler, 3000)
        await asyncio.gather(*(send(handler, booking()) for _ in range(2000)))
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM snapshot")
    await connection.close()
    async with handling(database_url, patience_s=0.1) as handler, asyncio.timeout(60):
        while True:
            with contextlib.suppress(StoreUnavailable):
                await send(handler, booking())
                break


async def test_a_snapshot_holds_all_that_the_events_made() -> None:
    for seed in range(5):
        state = ProjectState()
        for event in history(seed, 200, projects=1):
            evolve(state, event)
        again = decode_state(encode_state(state), state.version)
        assert (again.version, again.name, again.grants, again.bookings) == (
            state.version,
            state.name,
            state.grants,
            state.bookings,
        )
        for name, pool in state.pools.items():
            assert (again.pools[name].parent, again.pools[name].period) == (pool.parent, pool.period)
            for one, other in ((pool.size, again.pools[name].size), (pool.free, again.pools[name].free)):
                assert (one.base, one.end) == (other.base, other.end)
                assert all(map(np.array_equal, one.runs(), other.runs()))


async def test_nothing_is_decided_after_an_event_that_the_state_cannot_take(database_url: str) -> None:
    async with handling(database_url) as handler:
        await project_of(handler, 10)
    unknown = Project()
    unknown.grant(0, 100, 5)
    unknown.do(CancelBooking(booking=unknown.book(1, 2, 1)))
    connection = await asyncpg.connect(database_url)
    stored = Pending("gaia", 3, uuid4(), 0, b"", "BookingCancelled", encode_event(unknown.history[-1]))
    assert (await EventStore(connection).append({"gaia": 2}, [stored])).outcome == "stored"
    await connection.close()
    async with handling(database_url) as handler:
        for _ in range(3):
            with pytest.raises(KeyError):
                await send(handler, booking())
