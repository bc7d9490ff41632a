"""Random histories that the decisions allow, and the calendar that the notes' own SQL makes of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from services.command.domain import (
    AmendBooking,
    ApplyResize,
    CancelBooking,
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
from shared.capacity import NOTHING, Capacity
from shared.errors import HourbookError
from shared.event_store import EventStore, Pending
from shared.events import (
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    Limits,
    Overcommit,
    ProjectCreated,
    encode_event,
)
from shared.hours import Period, hour_of, instant_of

T0 = hour_of(datetime(2030, 1, 1, tzinfo=UTC))


def history(seed: int | random.Random, length: int, projects: int = 2) -> list[Event]:
    """`length` events of random commands of every kind on a few projects, clusters in clusters among them. All projects
    but the first over-commit."""
    chance = seed if isinstance(seed, random.Random) else random.Random(seed)
    names = [f"project-{number}" for number in range(projects)]
    states = {name: ProjectState() for name in names}
    events: list[Event] = []
    for number, name in enumerate(names):
        policy = Overcommit(beyond_hours=30 * number) if number else "never"
        events += _do(chance, states[name], name, CreateProject(project=name, name=name, overcommit=policy), T0 - 10)
    now = T0 - 10
    while len(events) < length:
        project = chance.choice(names)
        if chance.random() < 0.02:
            now += 1
            for name in names:
                events += _do(chance, states[name], name, SettleConflicts(), now)
        command = _command(chance, states[project], project, now)
        if command is not None:
            events += _do(chance, states[project], project, command, now)
    return events[:length]


def _do(chance: random.Random, state: ProjectState, project: str, command: Command, hour: int) -> list[Event]:
    context = Context(command=_uuid(chance), actor=chance.choice(["ada", "grace"]), at=instant_of(hour))
    try:
        events = decide(state, project, command, context)
    except HourbookError:
        return []
    for event in events:
        evolve(state, event)
    return events


KINDS = ["resize", "book", "amend", "cancel"] * 2 + [
    "grant", "withdraw", "cluster", "magnum", "request", "apply", "fail", "share", "template", "use", "series",
    "exclusive", "account", "limits", "close",
]  # fmt: skip


def _command(chance: random.Random, state: ProjectState, project: str, now: int) -> Command | None:
    start = max(T0 - 20, now - 30) + chance.randrange(200)
    period = Period(start, start + chance.choice([1, 2, 5, 24, 72, 150]))
    small = Capacity(
        servers=chance.randrange(3), cores=chance.randrange(5), memory=chance.randrange(4), datadisc=chance.randrange(2)
    )
    pools = list(state.pools)
    clusters = [pool for pool in pools if pool != project]
    within = [pool for pool in clusters if (own := state.pools[pool].period) and own.end > now]
    book = CreateBooking(
        booking=_uuid(chance), pool=chance.choice(pools), account=chance.choice("ab"), period=period, capacity=small
    )
    resize = ResizeCluster(
        cluster=chance.choice(within or [""]),
        start=chance.choice([None, start]), end=chance.choice([None, start + 30]),
        capacity=chance.choice([NOTHING, small, Capacity(servers=6, cores=9, memory=8, datadisc=3)]),
    )  # fmt: skip
    share = chance.choice([1, 100, 2000, 3333, 10_000])
    kind = chance.choice(KINDS)
    match kind:
        case "grant":
            large = Capacity(servers=20, cores=chance.randrange(40, 90), memory=30, datadisc=9)
            return CreateGrant(grant=_uuid(chance), period=period, capacity=large, source="nova")
        case "withdraw" if state.grants:
            return WithdrawGrant(grant=chance.choice(list(state.grants)))
        case "cluster" | "magnum" if len(pools) < 40:
            parent = chance.choice(pools)
            policy = chance.choice([None, None, "never", Overcommit(beyond_hours=20)])
            name, made = f"{parent}.c{len(pools)}"[:200], {"capacity": small}
            if kind == "magnum" and state.templates:
                made = {"layout": LayoutChange(masterflavor="t", mastercount=1, workerflavor="t", workercount=2)}
            return CreateCluster(cluster=name, parent=parent, kind=kind, period=period, overcommit=policy, **made)
        case "resize" if within:
            return resize
        case "request" if within:
            return RequestResize(request=_uuid(chance), resize=resize)
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
                booking=_uuid(chance), cluster=f"{project}.x{len(pools)}", parent=project, account="a", period=period,
                capacity=small,
            )  # fmt: skip
        case "amend" if state.bookings:
            booking = chance.choice(list(state.bookings))
            what = chance.choice([{}, {"capacity": small}, {"share": share}, {"template": TemplateCount(name="t")}])
            return AmendBooking(
                booking=booking, start=chance.choice([None, None, start]), end=chance.choice([None, period.end]), **what
            )
        case "cancel" if state.bookings:
            return CancelBooking(booking=chance.choice(list(state.bookings)))
        case "template":
            return CreateTemplate(template="t", capacity=Capacity(cores=chance.randrange(1, 3), memory=1))
        case "account" if chance.random() < 0.1 and len(state.accounts) < 3:
            return CreateAccount(account="abc"[len(state.accounts)], name="A", limits=Limits(capacity={"cores": 90}))
        case "limits" if state.accounts:
            return SetLimits(account="a", limits=Limits(monthly_hours={"memory": chance.randrange(5000, 20_000)}))
        case "close" if "c" in state.accounts:
            return CloseAccount(account="c")
    return None


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


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


Line = tuple[str, str, datetime, datetime, int, int, int, int, int, int, int]


def timeline(events: list[Event]) -> Iterator[Line]:
    """The notes' table: what is granted (+) and booked (-) from a start to an end, and shared out, in basis points. A
    size, hour by hour."""
    sizes: dict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    parents: dict[str, str] = {}
    for event in events:
        match event:
            case GrantCreated():
                yield _line(event.project, "granted", event.start, event.end, event.capacity)
            case GrantWithdrawn():
                yield _line(event.project, "granted", event.start, event.end, event.capacity, sign=-1)
            case BookingCreated():
                yield _line(event.pool, "booked", event.start, event.end, event.capacity, event.share)
            case BookingCancelled() | BookingLapsed():
                yield _line(event.pool, "booked", event.start, event.end, event.capacity, event.share, sign=-1)
            case BookingAmended():
                yield _line(
                    event.pool, "booked", event.from_start, event.from_end, event.from_capacity, event.from_share,
                    sign=-1,
                )  # fmt: skip
                yield _line(event.pool, "booked", event.start, event.end, event.capacity, event.share)
            case ClusterCreated() | ClusterResized():
                if isinstance(event, ClusterCreated):
                    parents[event.cluster] = event.parent
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    sizes[event.cluster][hour] = event.capacity.counts()
    for cluster, hours in sizes.items():
        for hour, counts in hours.items():
            for pool, kind in ((cluster, "granted"), (parents[cluster], "booked")):
                a, b, c, d, e, f = counts
                yield (pool, kind, instant_of(hour), instant_of(hour + 1), a, b, c, d, e, f, 0)


def _line(
    pool: str, kind: str, start: datetime, end: datetime, capacity: Capacity, share: int = 0, sign: int = 1
) -> Line:
    a, b, c, d, e, f = (sign * count for count in capacity.counts())
    return (pool, kind, start, end, a, b, c, d, e, f, sign * share)


MAKE_TIMELINE = """
CREATE TEMPORARY TABLE timeline (
    pool text, kind text, startdate timestamptz, enddate timestamptz,
    servers bigint, cores bigint, memory bigint, tempdisc bigint, userdisc bigint, datadisc bigint, shares bigint
)
"""

# The notes' query, by the hour instead of the day, and with the half-open end. What shares reserve is rounded up by
# exact arithmetic.
SUMS = """
SELECT timeline.pool, hours.hour,
    coalesce(sum(servers) FILTER (WHERE kind = 'granted'), 0) AS granted_servers,
    coalesce(sum(cores) FILTER (WHERE kind = 'granted'), 0) AS granted_cores,
    coalesce(sum(memory) FILTER (WHERE kind = 'granted'), 0) AS granted_memory,
    coalesce(sum(tempdisc) FILTER (WHERE kind = 'granted'), 0) AS granted_tempdisc,
    coalesce(sum(userdisc) FILTER (WHERE kind = 'granted'), 0) AS granted_userdisc,
    coalesce(sum(datadisc) FILTER (WHERE kind = 'granted'), 0) AS granted_datadisc,
    coalesce(sum(servers) FILTER (WHERE kind = 'booked'), 0) AS booked_servers,
    coalesce(sum(cores) FILTER (WHERE kind = 'booked'), 0) AS booked_cores,
    coalesce(sum(memory) FILTER (WHERE kind = 'booked'), 0) AS booked_memory,
    coalesce(sum(tempdisc) FILTER (WHERE kind = 'booked'), 0) AS booked_tempdisc,
    coalesce(sum(userdisc) FILTER (WHERE kind = 'booked'), 0) AS booked_userdisc,
    coalesce(sum(datadisc) FILTER (WHERE kind = 'booked'), 0) AS booked_datadisc,
    sum(shares) AS shares
FROM timeline,
    (
    SELECT hour FROM generate_series(
        (SELECT min(startdate) FROM timeline), (SELECT max(enddate) FROM timeline), interval '1 hour'
        ) hour
    ) AS hours
WHERE timeline.startdate <= hours.hour AND timeline.enddate > hours.hour
GROUP BY timeline.pool, hours.hour
"""
ORACLE = f"""
SELECT *,
    granted_servers - booked_servers - ceil(granted_servers * shares / 10000),
    granted_cores - booked_cores - ceil(granted_cores * shares / 10000),
    granted_memory - booked_memory - ceil(granted_memory * shares / 10000),
    granted_tempdisc - booked_tempdisc - ceil(granted_tempdisc * shares / 10000),
    granted_userdisc - booked_userdisc - ceil(granted_userdisc * shares / 10000),
    granted_datadisc - booked_datadisc - ceil(granted_datadisc * shares / 10000)
FROM ({SUMS}) AS sums ORDER BY pool, hour
"""

TABLE = """
SELECT pool.id, a.hour, a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc,
    a.granted_datadisc, a.booked_servers, a.booked_cores, a.booked_memory, a.booked_tempdisc, a.booked_userdisc,
    a.booked_datadisc, a.shares,
    a.granted_servers - a.booked_servers - (a.granted_servers * a.shares + 9999) / 10000,
    a.granted_cores - a.booked_cores - (a.granted_cores * a.shares + 9999) / 10000,
    a.granted_memory - a.booked_memory - (a.granted_memory * a.shares + 9999) / 10000,
    a.granted_tempdisc - a.booked_tempdisc - (a.granted_tempdisc * a.shares + 9999) / 10000,
    a.granted_userdisc - a.booked_userdisc - (a.granted_userdisc * a.shares + 9999) / 10000,
    a.granted_datadisc - a.booked_datadisc - (a.granted_datadisc * a.shares + 9999) / 10000
FROM generation g JOIN availability_hour a USING (generation) JOIN pool USING (generation, pool)
WHERE g.live ORDER BY pool.id, a.hour
"""


async def oracle(connection: asyncpg.Connection[asyncpg.Record], events: list[Event]) -> list[tuple[object, ...]]:
    """What availability_hour must hold after `events`, every row, and what is available then."""
    await connection.execute("DROP TABLE IF EXISTS timeline")
    await connection.execute(MAKE_TIMELINE)
    await connection.copy_records_to_table("timeline", records=list(timeline(events)))
    return [tuple(record) for record in await connection.fetch(ORACLE)]


async def table(connection: asyncpg.Connection[asyncpg.Record]) -> list[tuple[object, ...]]:
    """What availability_hour holds, every row of the live generation, and what is available then."""
    return [tuple(record) for record in await connection.fetch(TABLE)]


Held = dict[tuple[UUID, int], tuple[object, ...]]


def held(events: list[Event]) -> tuple[Held, set[UUID]]:
    """What each booking holds in each hour, and which bookings are tentative: looked up hour by hour."""
    hours: Held = {}
    tentative: set[UUID] = set()
    for event in events:
        match event:
            case BookingCreated():
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    hours[event.booking, hour] = (event.pool, *event.capacity.counts(), event.share)
            case BookingAmended():
                for hour in range(hour_of(event.from_start), hour_of(event.from_end)):
                    del hours[event.booking, hour]
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    hours[event.booking, hour] = (event.pool, *event.capacity.counts(), event.share)
            case BookingCancelled() | BookingLapsed():
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    del hours[event.booking, hour]
                tentative.discard(event.booking)
        match event:
            case BookingConfirmed():
                tentative.discard(event.booking)
            case BookingContested():
                tentative.add(event.booking)
            case BookingCreated() | BookingAmended():
                (tentative.add if event.tentative else tentative.discard)(event.booking)
    return hours, tentative


SEGMENTS = """
SELECT b.id, b.starts, b.ends, pool.id AS pool, b.servers, b.cores, b.memory, b.tempdisc, b.userdisc, b.datadisc,
    b.share, b.tentative
FROM generation g JOIN live_booking b USING (generation) JOIN pool USING (generation, pool)
WHERE g.live
"""


async def held_rows(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[Held, set[UUID]]:
    """What live_booking holds, as `held` says it. No two rows of a booking hold the same hour."""
    hours: Held = {}
    tentative: set[UUID] = set()
    for booking, starts, ends, *holds, is_tentative in await connection.fetch(SEGMENTS):
        for hour in range(hour_of(starts), hour_of(ends)):
            assert (booking, hour) not in hours
            hours[booking, hour] = tuple(holds)
        if is_tentative:
            tentative.add(booking)
    return hours, tentative


SHORT_HOURS = """
SELECT pool.id, s.hour FROM generation g JOIN short_hour s USING (generation) JOIN pool USING (generation, pool)
WHERE g.live ORDER BY pool.id, s.hour
"""


async def short_hours(connection: asyncpg.Connection[asyncpg.Record]) -> list[tuple[object, ...]]:
    """The pools and hours that are short of something, by the read model."""
    return [tuple(record) for record in await connection.fetch(SHORT_HOURS)]


def overcommitting(events: list[Event]) -> set[str]:
    """The pools whose policy is not never."""
    pools: set[str] = set()
    for event in events:
        match event:
            case ProjectCreated() if event.overcommit != "never":
                pools.add(event.project)
            case ClusterCreated() if event.parent in pools if event.overcommit is None else event.overcommit != "never":
                pools.add(event.cluster)
    return pools
