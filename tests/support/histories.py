"""Random histories that the decisions allow."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from uuid import UUID, uuid4

import msgspec

from services.command.domain import (
    AddAccountMember,
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
    GrantRole,
    GroupChange,
    LayoutChange,
    ProjectState,
    RemoveAccountMember,
    RequestResize,
    ResizeCluster,
    RevokeRole,
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
from shared.events import BookingCreated, Event, Limits, Overcommit, SeriesCreated, TermBegan, encode_event
from shared.hours import Period, hour_of, instant_of
from shared.identity.principals import trusted
from shared.identity.roles import ROLES

MEMBERS = ["egi:ada", "group:egi:team"]
T0 = hour_of(datetime(2086, 1, 1, tzinfo=UTC))


def history(seed: int | random.Random, length: int, projects: int = 2) -> list[Event]:
    """`length` events of random commands of every kind on some projects, with clusters inside clusters. Every project
    but the first may over-commit. One seed always gives the same history."""
    return made(seed, length, projects) if isinstance(seed, random.Random) else [*made_once(seed, length, projects)]


@cache
def made_once(seed: int, length: int, projects: int) -> list[Event]:
    return made(random.Random(seed), length, projects)


def made(chance: random.Random, length: int, projects: int) -> list[Event]:
    # Ids come from a second source: `chance` may be hypothesis, which likes to draw one value twice. The store never
    # holds two commands with one id.
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
        if chance.random() < 0.01:
            events.append(_term(ids, len(events), now))
        if chance.random() < 0.02:
            now += 1
            for name in names:
                events += _do(chance, ids, states[name], name, SettleConflicts(), now)
        command = random_command(chance, ids, states[project], project, now)
        if command is not None:
            events += _do(chance, ids, states[project], project, command, now)
    return events[:length]


def _term(ids: random.Random, timeline: int, hour: int) -> TermBegan:
    at = instant_of(hour)
    return TermBegan(
        at=at, actor="hourbook", command=_uuid(ids), project="_ledger", system="7410000000000000123", timeline=timeline
    )


def _do(
    chance: random.Random, ids: random.Random, state: ProjectState, project: str, command: Command, hour: int
) -> list[Event]:
    context = Context(command=_uuid(ids), principal=trusted(chance.choice(["ada", "grace"])), at=instant_of(hour))
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
    "role",
    "revoke",
    "join",
    "leave",
    "cancel series",
    "amend series",
]


class Draw:
    """The parts of one random command: the project's state, and a kind, a period, a size and so on, drawn for it. `ids`
    draws the ids of new things."""

    def __init__(self, chance: random.Random, ids: random.Random, state: ProjectState, project: str, now: int) -> None:
        self.chance, self.ids, self.state, self.project, self.now = chance, ids, state, project, now
        start = self.start = max(T0 - 20, now - 30) + chance.randrange(200)
        self.period = Period(start, start + chance.choice([1, 2, 5, 24, 72, 150]))
        self.small = small = Capacity(
            servers=chance.randrange(3),
            cores=chance.randrange(5),
            memory=chance.randrange(4),
            datadisc=chance.randrange(2),
        )
        self.pools = list(state.pools)
        self.clusters = [pool for pool in self.pools if pool != project]
        self.within = [pool for pool in self.clusters if (own := state.pools[pool].period) and own.end > now]
        self.book = CreateBooking(
            booking=_uuid(ids),
            pool=chance.choice(self.pools),
            account=chance.choice("ab"),
            period=self.period,
            capacity=small,
        )
        self.resize = ResizeCluster(
            cluster=chance.choice(self.within or [""]),
            start=chance.choice([None, start]),
            end=chance.choice([None, start + 30]),
            capacity=chance.choice([NOTHING, small, Capacity(servers=6, cores=9, memory=8, datadisc=3)]),
        )
        self.share = chance.choice([1, 100, 2000, 3333, 10_000])
        self.kind = chance.choice(KINDS)


def random_command(
    chance: random.Random, ids: random.Random, state: ProjectState, project: str, now: int
) -> Command | None:
    """A command of a random kind on the pools, bookings and so on that the project has. None if it has none that a
    command of this kind could name. `ids` draws the ids of new things."""
    draw = Draw(chance, ids, state, project, now)
    for of_kind in (
        _on_grants,
        _on_clusters,
        _on_requests,
        _new_booking,
        _on_bookings,
        _on_series,
        _on_accounts,
        _on_roles,
    ):
        if (command := of_kind(draw)) is not None:
            return command
    return None


def _on_grants(draw: Draw) -> Command | None:
    chance, state = draw.chance, draw.state
    match draw.kind:
        case "grant":
            large = Capacity(servers=20, cores=chance.randrange(40, 90), memory=30, datadisc=9)
            return CreateGrant(grant=_uuid(draw.ids), period=draw.period, capacity=large, source="nova")
        case "withdraw" if state.grants:
            return WithdrawGrant(grant=chance.choice(list(state.grants)))
        case "template":
            return CreateTemplate(template="t", capacity=Capacity(cores=chance.randrange(1, 3), memory=1))
    return None


def _on_clusters(draw: Draw) -> Command | None:
    chance, state = draw.chance, draw.state
    match draw.kind:
        case "cluster" | "magnum" if len(draw.pools) < 40:
            parent = chance.choice(draw.pools)
            policy = chance.choice([None, None, "never", Overcommit(beyond_hours=20)])
            name, made = f"{parent}.c{len(draw.pools)}"[:200], {"capacity": draw.small}
            if draw.kind == "magnum" and state.templates:
                gpu = GroupChange(name="gpu", count=1, flavor="t", max=9)
                made = {
                    "layout": LayoutChange(
                        masterflavor="t", mastercount=1, workerflavor="t", workercount=1, groups=(gpu,)
                    )
                }
            return CreateCluster(
                cluster=name, parent=parent, kind=draw.kind, period=draw.period, overcommit=policy, **made
            )
        case "again" if ended := [pool for pool in draw.clusters if state.pools[pool].held_until() <= draw.now]:
            cluster = chance.choice(ended)
            begin = max(state.pools[cluster].held_until(), draw.start)
            return CreateCluster(
                cluster=cluster,
                parent=cluster.rpartition(".")[0],
                kind=chance.choice(["again", "magnum"]),
                period=Period(begin, begin + draw.period.hours),
                capacity=draw.small,
                overcommit=chance.choice([None, "never", Overcommit(beyond_hours=20)]),
            )
        case "resize" if draw.within:
            return draw.resize
    return None


def _on_requests(draw: Draw) -> Command | None:
    chance, requests = draw.chance, draw.state.requests
    match draw.kind:
        case "request" if draw.within:
            return RequestResize(request=_uuid(draw.ids), resize=draw.resize)
        case "apply" if requests:
            request = chance.choice(list(requests))
            return ApplyResize(cluster=requests[request].cluster, request=request)
        case "fail" if requests:
            request = chance.choice(list(requests))
            return FailResize(cluster=requests[request].cluster, request=request, error="no host")
    return None


def _new_booking(draw: Draw) -> Command | None:
    match draw.kind:
        case "book":
            return draw.book
        case "share" if draw.within:
            pool = draw.chance.choice(draw.within)
            own = draw.state.pools[pool].period
            assert own is not None
            return msgspec.structs.replace(draw.book, pool=pool, period=own, capacity=NOTHING, share=draw.share)
        case "use" if draw.state.templates:
            return msgspec.structs.replace(draw.book, capacity=NOTHING, template=TemplateCount(name="t", count=2))
        case "exclusive" if len(draw.pools) < 40:
            return CreateExclusive(
                booking=_uuid(draw.ids),
                cluster=f"{draw.project}.x{len(draw.pools)}",
                parent=draw.project,
                account="a",
                period=draw.period,
                capacity=draw.small,
            )
    return None


def _on_bookings(draw: Draw) -> Command | None:
    chance, bookings = draw.chance, draw.state.bookings
    match draw.kind:
        case "amend" if bookings:
            booking = chance.choice(list(bookings))
            counts = dict(zip(DIMENSIONS, draw.small.counts(), strict=True))
            what = chance.choice([{}, {"counts": counts}, {"share": draw.share}, {"template": TemplateCount(name="t")}])
            return AmendBooking(
                booking=booking,
                start=chance.choice([None, None, draw.start]),
                end=chance.choice([None, draw.period.end]),
                **what,
            )
        case "cancel" if bookings:
            return CancelBooking(booking=chance.choice(list(bookings)))
    return None


def _on_series(draw: Draw) -> Command | None:
    chance, series, start = draw.chance, draw.state.series, draw.start
    match draw.kind:
        case "series":
            periods = tuple(Period(start + 30 * number, start + 30 * number + 3) for number in range(4))
            first = msgspec.structs.replace(draw.book, period=periods[0])
            return CreateSeries(booking=first, periods=periods, rrule="FREQ=DAILY", timezone="UTC", skip=True)
        case "cancel series" if series:
            return CancelSeries(series=chance.choice(list(series)), since=chance.choice([None, start]))
        case "amend series" if series:
            counts = {"cores": chance.randrange(1, 5)}
            return AmendSeries(series=chance.choice(list(series)), since=chance.choice([None, start]), counts=counts)
    return None


def _on_accounts(draw: Draw) -> Command | None:
    chance, accounts = draw.chance, draw.state.accounts
    match draw.kind:
        case "account" if chance.random() < 0.1 and len(accounts) < 3:
            return CreateAccount(account="abc"[len(accounts)], name="A", limits=Limits(capacity={"cores": 90}))
        case "limits" if accounts:
            return SetLimits(account="a", limits=Limits(monthly_hours={"memory": chance.randrange(5000, 20_000)}))
        case "close" if "c" in accounts:
            return CloseAccount(account="c")
        case "join" if accounts:
            return AddAccountMember(account=chance.choice(list(accounts)), member=chance.choice(MEMBERS))
        case "leave" if accounts:
            return RemoveAccountMember(account=chance.choice(list(accounts)), member=chance.choice(MEMBERS))
    return None


def _on_roles(draw: Draw) -> Command | None:
    pool, role, member = draw.chance.choice(draw.pools), draw.chance.choice(ROLES), draw.chance.choice(MEMBERS)
    match draw.kind:
        case "role":
            return GrantRole(pool=pool, role=role, member=member)
        case "revoke":
            return RevokeRole(pool=pool, role=role, member=member)
    return None


def _uuid(ids: random.Random) -> UUID:
    return UUID(int=ids.getrandbits(128), version=4)


async def append_history(store: EventStore, events: list[Event]) -> None:
    """Appends the events, each as a command of its own; a series with its occurrences is one command."""
    commands = commands_of(events)
    versions: dict[str, int] = defaultdict(int)
    expected, pending = {}, []
    for event, (command, ordinal) in zip(events, commands, strict=True):
        if event.project not in versions:
            record = await store.connection.fetchval("SELECT version FROM stream_head WHERE stream = $1", event.project)
            versions[event.project] = expected[event.project] = record or 0
        versions[event.project] += 1
        pending.append(
            Pending(
                event.project, versions[event.project], command, ordinal, b"", type(event).__name__, encode_event(event)
            )
        )
    assert (await store.append(expected, pending)).outcome == "stored"


def commands_of(events: list[Event]) -> list[tuple[UUID, int]]:
    """For each event the id of its command, and its number in it. The id of a series is that of its command."""
    found: list[tuple[UUID, int]] = []
    for event in events:
        command, ordinal = found[-1] if found else (None, 0)
        if isinstance(event, SeriesCreated):
            found.append((event.series, 0))
        elif isinstance(event, BookingCreated) and event.series is not None and event.series == command:
            found.append((command, ordinal + 1))
        else:
            found.append((uuid4(), 0))
    return found
