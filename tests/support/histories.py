"""Random histories that the decisions allow."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from uuid import UUID, uuid4

import msgspec

from services.command.domain import (
    AmendBooking,
    AmendSeries,
    ApplyResize,
    CancelBooking,
    CancelSeries,
    CloseAccount,
    Command,
    CreateAccount,
    CreateBooking,
    CreateCluster,
    CreateExclusive,
    CreateGrant,
    CreateProject,
    CreateSeries,
    CreateTemplate,
    FailResize,
    LayoutChange,
    ProjectState,
    RequestResize,
    ResizeCluster,
    SetLimits,
    SettleConflicts,
    TemplateCount,
    WithdrawGrant,
    decide,
    evolve,
)
from services.command.domain.commands import Context
from shared.capacity import DIMENSIONS, NOTHING, Capacity
from shared.errors import HourbookError
from shared.event_store import EventStore, Pending
from shared.events import Event, Limits, Overcommit, encode_event
from shared.hours import Period, hour_of, instant_of

T0 = hour_of(datetime(2030, 1, 1, tzinfo=UTC))


def history(seed: int | random.Random, length: int, projects: int = 2) -> list[Event]:
    """`length` events of random commands of every kind on a few projects, clusters in clusters among them. All projects
    but the first over-commit."""
    return made(seed, length, projects) if isinstance(seed, random.Random) else [*made_once(seed, length, projects)]


@cache
def made_once(seed: int, length: int, projects: int) -> list[Event]:
    return made(random.Random(seed), length, projects)


def made(chance: random.Random, length: int, projects: int) -> list[Event]:
    # Ids of their own source: what is random here may be hypothesis' choice, and that likes to draw a value twice. The
    # store never holds two commands of one id.
    ids = random.Random(chance.getrandbits(64))
    names = [f"project-{number}" for number in range(projects)]
    states = {name: ProjectState() for name in names}
    events: list[Event] = []
    for number, name in enumerate(names):
        policy = Overcommit(beyond_hours=30 * number) if number else "never"
        events += _do(
            chance, ids, states[name], name, CreateProject(project=name, name=name, overcommit=policy), T0 - 10
        )
    now = T0 - 10
    while len(events) < length:
        project = chance.choice(names)
        if chance.random() < 0.02:
            now += 1
            for name in names:
                events += _do(chance, ids, states[name], name, SettleConflicts(), now)
        command = random_command(chance, ids, states[project], project, now)
        if command is not None:
            events += _do(chance, ids, states[project], project, command, now)
    return events[:length]


def _do(
    chance: random.Random, ids: random.Random, state: ProjectState, project: str, command: Command, hour: int
) -> list[Event]:
    context = Context(command=_uuid(ids), actor=chance.choice(["ada", "grace"]), at=instant_of(hour))
    try:
        events = decide(state, project, command, context)
    except HourbookError:
        return []
    for event in events:
        evolve(state, event)
    return events


KINDS = ["resize", "book", "amend", "cancel"] * 2 + [
    "grant",
    "withdraw",
    "cluster",
    "magnum",
    "again",
    "again",
    "request",
    "apply",
    "fail",
    "share",
    "template",
    "use",
    "series",
    "exclusive",
    "account",
    "limits",
    "close",
    "cancel series",
    "amend series",
]


def random_command(
    chance: random.Random, ids: random.Random, state: ProjectState, project: str, now: int
) -> Command | None:
    """A command of any kind on what there is; None where there is nothing for the kind that was drawn. `ids` draws
    those of what it makes."""
    start = max(T0 - 20, now - 30) + chance.randrange(200)
    period = Period(start, start + chance.choice([1, 2, 5, 24, 72, 150]))
    small = Capacity(
        servers=chance.randrange(3), cores=chance.randrange(5), memory=chance.randrange(4), datadisc=chance.randrange(2)
    )
    pools = list(state.pools)
    clusters = [pool for pool in pools if pool != project]
    within = [pool for pool in clusters if (own := state.pools[pool].period) and own.end > now]
    book = CreateBooking(
        booking=_uuid(ids), pool=chance.choice(pools), account=chance.choice("ab"), period=period, capacity=small
    )
    resize = ResizeCluster(
        cluster=chance.choice(within or [""]),
        start=chance.choice([None, start]),
        end=chance.choice([None, start + 30]),
        capacity=chance.choice([NOTHING, small, Capacity(servers=6, cores=9, memory=8, datadisc=3)]),
    )
    share = chance.choice([1, 100, 2000, 3333, 10_000])
    kind = chance.choice(KINDS)
    match kind:
        case "grant":
            large = Capacity(servers=20, cores=chance.randrange(40, 90), memory=30, datadisc=9)
            return CreateGrant(grant=_uuid(ids), period=period, capacity=large, source="nova")
        case "withdraw" if state.grants:
            return WithdrawGrant(grant=chance.choice(list(state.grants)))
        case "cluster" | "magnum" if len(pools) < 40:
            parent = chance.choice(pools)
            policy = chance.choice([None, None, "never", Overcommit(beyond_hours=20)])
            name, made = f"{parent}.c{len(pools)}"[:200], {"capacity": small}
            if kind == "magnum" and state.templates:
                made = {"layout": LayoutChange(masterflavor="t", mastercount=1, workerflavor="t", workercount=2)}
            return CreateCluster(cluster=name, parent=parent, kind=kind, period=period, overcommit=policy, **made)
        case "again" if ended := [pool for pool in clusters if state.pools[pool].held_until() <= now]:
            cluster = chance.choice(ended)
            begin = max(state.pools[cluster].held_until(), start)
            return CreateCluster(
                cluster=cluster,
                parent=cluster.rpartition(".")[0],
                kind=chance.choice(["again", "magnum"]),
                period=Period(begin, begin + period.hours),
                capacity=small,
                overcommit=chance.choice([None, "never", Overcommit(beyond_hours=20)]),
            )
        case "resize" if within:
            return resize
        case "request" if within:
            return RequestResize(request=_uuid(ids), resize=resize)
        case "apply" if state.requests:
            request = chance.choice(list(state.requests))
            return ApplyResize(cluster=state.requests[request].cluster, request=request)
        case "fail" if state.requests:
            request = chance.choice(list(state.requests))
            return FailResize(cluster=state.requests[request].cluster, request=request, error="no host")
        case "book":
            return book
        case "share" if within:
            pool = chance.choice(within)
            own = state.pools[pool].period
            assert own is not None
            return msgspec.structs.replace(book, pool=pool, period=own, capacity=NOTHING, share=share)
        case "use" if state.templates:
            return msgspec.structs.replace(book, capacity=NOTHING, template=TemplateCount(name="t", count=2))
        case "series":
            periods = tuple(Period(start + 30 * number, start + 30 * number + 3) for number in range(4))
            first = msgspec.structs.replace(book, period=periods[0])
            return CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY", timezone="UTC", skip=True)
        case "exclusive" if len(pools) < 40:
            return CreateExclusive(
                booking=_uuid(ids),
                cluster=f"{project}.x{len(pools)}",
                parent=project,
                account="a",
                period=period,
                capacity=small,
            )
        case "amend" if state.bookings:
            booking = chance.choice(list(state.bookings))
            what = chance.choice(
                [
                    {},
                    {"counts": dict(zip(DIMENSIONS, small.counts(), strict=True))},
                    {"share": share},
                    {"template": TemplateCount(name="t")},
                ]
            )
            return AmendBooking(
                booking=booking, start=chance.choice([None, None, start]), end=chance.choice([None, period.end]), **what
            )
        case "cancel" if state.bookings:
            return CancelBooking(booking=chance.choice(list(state.bookings)))
        case "cancel series" if state.series:
            return CancelSeries(series=chance.choice(list(state.series)), since=chance.choice([None, start]))
        case "amend series" if state.series:
            counts = {"cores": chance.randrange(1, 5)}
            return AmendSeries(
                series=chance.choice(list(state.series)), since=chance.choice([None, start]), counts=counts
            )
        case "template":
            return CreateTemplate(template="t", capacity=Capacity(cores=chance.randrange(1, 3), memory=1))
        case "account" if chance.random() < 0.1 and len(state.accounts) < 3:
            return CreateAccount(account="abc"[len(state.accounts)], name="A", limits=Limits(capacity={"cores": 90}))
        case "limits" if state.accounts:
            return SetLimits(account="a", limits=Limits(monthly_hours={"memory": chance.randrange(5000, 20_000)}))
        case "close" if "c" in state.accounts:
            return CloseAccount(account="c")
    return None


def _uuid(ids: random.Random) -> UUID:
    return UUID(int=ids.getrandbits(128), version=4)


async def append_history(store: EventStore, events: list[Event]) -> None:
    """Appends the events, each as a command of its own."""
    versions: dict[str, int] = defaultdict(int)
    expected, pending = {}, []
    for event in events:
        if event.project not in versions:
            record = await store.connection.fetchval("SELECT version FROM stream_head WHERE stream = $1", event.project)
            versions[event.project] = expected[event.project] = record or 0
        versions[event.project] += 1
        pending.append(
            Pending(event.project, versions[event.project], uuid4(), 0, b"", type(event).__name__, encode_event(event))
        )
    assert (await store.append(expected, pending)).outcome == "stored"
