"""Random histories that the decisions allow, and the calendar that the notes' own SQL makes of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from services.command.domain import (
    CancelBooking,
    Command,
    CreateBooking,
    CreateCluster,
    CreateGrant,
    CreateProject,
    ProjectState,
    ResizeCluster,
    WithdrawGrant,
    decide,
    evolve,
)
from services.command.domain.commands import Context
from shared.capacity import NOTHING, Capacity
from shared.errors import HourbookError
from shared.event_store import EventStore, Pending
from shared.events import (
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    encode_event,
)
from shared.hours import Period, hour_of, instant_of

T0 = hour_of(datetime(2030, 1, 1, tzinfo=UTC))


def history(seed: int, length: int, projects: int = 2) -> list[Event]:
    """`length` events of random commands on a few projects, clusters in clusters among them."""
    chance = random.Random(seed)
    names = [f"project-{number}" for number in range(projects)]
    states = {name: ProjectState() for name in names}
    events: list[Event] = []
    for name in names:
        events += _do(chance, states[name], name, CreateProject(project=name, name=name.title()), T0)
    now = T0 - 10
    while len(events) < length:
        now += chance.random() < 0.02
        project = chance.choice(names)
        command = _command(chance, states[project], project)
        if command is not None:
            events += _do(chance, states[project], project, command, now)
    return events


def _do(chance: random.Random, state: ProjectState, project: str, command: Command, hour: int) -> list[Event]:
    context = Context(command=_uuid(chance), actor=chance.choice(["ada", "grace"]), at=instant_of(hour))
    try:
        events = decide(state, project, command, context)
    except HourbookError:
        return []
    for event in events:
        evolve(state, event)
    return events


def _command(chance: random.Random, state: ProjectState, project: str) -> Command | None:
    start = T0 + chance.randrange(-20, 200)
    period = Period(start, start + chance.choice([1, 2, 5, 24, 72, 150]))
    small = Capacity(
        servers=chance.randrange(3), cores=chance.randrange(5), memory=chance.randrange(4), datadisc=chance.randrange(2)
    )
    pools = list(state.pools)
    clusters = [pool for pool in pools if pool != project]
    match chance.choice(["grant", "withdraw", "cluster", "resize", "resize", "book", "book", "book", "cancel"]):
        case "grant":
            large = Capacity(servers=20, cores=chance.randrange(40, 90), memory=30, datadisc=9)
            return CreateGrant(grant=_uuid(chance), period=period, capacity=large, source="nova")
        case "withdraw" if state.grants:
            return WithdrawGrant(grant=chance.choice(list(state.grants)))
        case "cluster":
            parent = chance.choice(pools)
            name = f"{parent}.c{len(pools)}"
            return CreateCluster(cluster=name, parent=parent, kind="magnum", period=period, capacity=small)
        case "resize" if clusters:
            size = chance.choice([NOTHING, small, Capacity(servers=6, cores=9, memory=8, datadisc=3)])
            end = chance.choice([None, start + 1, start + 30])
            return ResizeCluster(cluster=chance.choice(clusters), capacity=size, start=start, end=end)
        case "book":
            return CreateBooking(
                booking=_uuid(chance), pool=chance.choice(pools), account="ada", period=period, capacity=small
            )
        case "cancel" if state.bookings:
            return CancelBooking(booking=chance.choice(list(state.bookings)))
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
            Pending(
                event.project, versions[event.project], event.command, 0, b"", type(event).__name__, encode_event(event)
            )
        )
    assert (await store.append(expected, pending)).outcome == "stored"


Line = tuple[str, str, datetime, datetime, int, int, int, int, int, int]


def timeline(events: list[Event]) -> Iterator[Line]:
    """The notes' table: what is granted (+) and booked (-) from a start to an end. A size, hour by hour."""
    sizes: dict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    parents: dict[str, str] = {}
    for event in events:
        match event:
            case GrantCreated():
                yield (event.project, "granted", event.start, event.end, *event.capacity.counts())
            case GrantWithdrawn():
                yield (event.project, "granted", event.start, event.end, *_less(event.capacity))
            case BookingCreated():
                yield (event.pool, "booked", event.start, event.end, *event.capacity.counts())
            case BookingCancelled():
                yield (event.pool, "booked", event.start, event.end, *_less(event.capacity))
            case ClusterCreated() | ClusterResized():
                if isinstance(event, ClusterCreated):
                    parents[event.cluster] = event.parent
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    sizes[event.cluster][hour] = event.capacity.counts()
    for cluster, hours in sizes.items():
        for hour, counts in hours.items():
            for pool, kind in ((cluster, "granted"), (parents[cluster], "booked")):
                a, b, c, d, e, f = counts
                yield (pool, kind, instant_of(hour), instant_of(hour + 1), a, b, c, d, e, f)


def _less(capacity: Capacity) -> tuple[int, int, int, int, int, int]:
    a, b, c, d, e, f = capacity.counts()
    return (-a, -b, -c, -d, -e, -f)


MAKE_TIMELINE = """
CREATE TEMPORARY TABLE timeline (
    pool text, kind text, startdate timestamptz, enddate timestamptz,
    servers bigint, cores bigint, memory bigint, tempdisc bigint, userdisc bigint, datadisc bigint
)
"""

# The notes' query, by the hour instead of the day, and with the half-open end.
ORACLE = """
SELECT timeline.pool, hours.hour,
    coalesce(sum(servers) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(cores) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(memory) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(tempdisc) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(userdisc) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(datadisc) FILTER (WHERE kind = 'granted'), 0)::bigint,
    coalesce(sum(servers) FILTER (WHERE kind = 'booked'), 0)::bigint,
    coalesce(sum(cores) FILTER (WHERE kind = 'booked'), 0)::bigint,
    coalesce(sum(memory) FILTER (WHERE kind = 'booked'), 0)::bigint,
    coalesce(sum(tempdisc) FILTER (WHERE kind = 'booked'), 0)::bigint,
    coalesce(sum(userdisc) FILTER (WHERE kind = 'booked'), 0)::bigint,
    coalesce(sum(datadisc) FILTER (WHERE kind = 'booked'), 0)::bigint
FROM timeline,
    (
    SELECT hour FROM generate_series(
        (SELECT min(startdate) FROM timeline), (SELECT max(enddate) FROM timeline), interval '1 hour'
        ) hour
    ) AS hours
WHERE timeline.startdate <= hours.hour AND timeline.enddate > hours.hour
GROUP BY timeline.pool, hours.hour
ORDER BY timeline.pool, hours.hour
"""

TABLE = """
SELECT pool.id, a.hour, a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc,
    a.granted_datadisc, a.booked_servers, a.booked_cores, a.booked_memory, a.booked_tempdisc, a.booked_userdisc,
    a.booked_datadisc
FROM generation g JOIN availability_hour a USING (generation) JOIN pool USING (generation, pool)
WHERE g.live ORDER BY pool.id, a.hour
"""


async def oracle(connection: asyncpg.Connection[asyncpg.Record], events: list[Event]) -> list[tuple[object, ...]]:
    """What availability_hour must hold after `events`, every row."""
    await connection.execute("DROP TABLE IF EXISTS timeline")
    await connection.execute(MAKE_TIMELINE)
    await connection.copy_records_to_table("timeline", records=list(timeline(events)))
    return [tuple(record) for record in await connection.fetch(ORACLE)]


async def table(connection: asyncpg.Connection[asyncpg.Record]) -> list[tuple[object, ...]]:
    """What availability_hour holds, every row of the live generation."""
    return [tuple(record) for record in await connection.fetch(TABLE)]
