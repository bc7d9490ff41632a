"""The calendar that the notes' own SQL makes of a history, and the other read models, worked out hour by hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from services.command.domain import ProjectState, evolve
from shared.capacity import Capacity
from shared.events import (
    AccountMemberAdded,
    AccountMemberRemoved,
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
    ProjectCreated,
    RoleGranted,
    RoleRevoked,
)
from shared.hours import Period, hour_of, instant_of

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
                    event.pool,
                    "booked",
                    event.from_start,
                    event.from_end,
                    event.from_capacity,
                    event.from_share,
                    sign=-1,
                )
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
        mark(tentative, event)
    return hours, tentative


def mark(tentative: set[UUID], event: Event) -> None:
    """Keeps which bookings are tentative."""
    match event:
        case BookingConfirmed() | BookingCancelled() | BookingLapsed():
            tentative.discard(event.booking)
        case BookingContested():
            tentative.add(event.booking)
        case BookingCreated() | BookingAmended():
            (tentative.add if event.tentative else tentative.discard)(event.booking)


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


Claim = tuple[UUID, int]


def revised(events: list[Event]) -> dict[Claim, int]:
    """Where each segment, named by its booking and the position of its claim, was made or changed last: after each of
    the booking's events it is looked whether the segment is what it was before."""
    claims: dict[UUID, dict[int, int]] = defaultdict(dict)  # of each hour
    tentative: set[UUID] = set()
    found: dict[Claim, tuple[object, int]] = {}
    for position, event in enumerate(events, 1):
        match event:
            case BookingCreated():
                claims[event.booking] |= dict.fromkeys(range(hour_of(event.start), hour_of(event.end)), position)
            case BookingAmended():
                for hour in range(hour_of(event.from_start), hour_of(event.from_end)):
                    del claims[event.booking][hour]
                claims[event.booking] |= dict.fromkeys(range(hour_of(event.start), hour_of(event.end)), position)
            case BookingCancelled() | BookingLapsed():
                for hour in range(hour_of(event.start), hour_of(event.end)):
                    del claims[event.booking][hour]
        mark(tentative, event)
        if (booking := getattr(event, "booking", None)) is not None:
            hours = claims[booking]
            for claim in set(hours.values()):
                mine = [hour for hour, claimed in hours.items() if claimed == claim]
                segment = (min(mine), max(mine), booking in tentative and claim == max(hours.values()))
                if found.get((booking, claim), (None, 0))[0] != segment:
                    found[booking, claim] = segment, position
    return {
        (booking, claim): found[booking, claim][1] for booking, hours in claims.items() for claim in set(hours.values())
    }


REVISED = """
SELECT b.id, b.claimed, coalesce(b.changed, b.claimed) AS changed
FROM generation g JOIN live_booking b USING (generation)
WHERE g.live
"""


async def revised_rows(connection: asyncpg.Connection[asyncpg.Record]) -> dict[Claim, int]:
    """What live_booking holds, as `revised` says it."""
    return {(row["id"], row["claimed"]): row["changed"] for row in await connection.fetch(REVISED)}


SHORT_HOURS = """
SELECT pool.id, s.hour FROM generation g JOIN short_hour s USING (generation) JOIN pool USING (generation, pool)
WHERE g.live ORDER BY pool.id, s.hour
"""


async def short_hours(connection: asyncpg.Connection[asyncpg.Record]) -> list[tuple[object, ...]]:
    """The pools and hours that are short of something, by the read model."""
    return [tuple(record) for record in await connection.fetch(SHORT_HOURS)]


POOLS = """
SELECT p.id, p.starts, p.ends, p.beyond_hours FROM generation g JOIN pool p USING (generation) WHERE g.live
"""
PoolTold = dict[str, tuple[Period | None, int | None]]


async def pool_rows(connection: asyncpg.Connection[asyncpg.Record]) -> PoolTold:
    """The period and the policy of each pool, by the read model."""
    return {
        pool: (None if starts is None else Period(hour_of(starts), hour_of(ends)), beyond)
        for pool, starts, ends, beyond in await connection.fetch(POOLS)
    }


def decided_pools(events: list[Event]) -> PoolTold:
    """The same, as the decisions know it."""
    states: dict[str, ProjectState] = defaultdict(ProjectState)
    for event in events:
        evolve(states[event.project], event)
    return {name: (pool.period, pool.beyond_hours) for state in states.values() for name, pool in state.pools.items()}


def overcommitting(events: list[Event]) -> dict[str, datetime]:
    """The pools whose policy is not never, and since when: a name that is given again has the policy of who has it."""
    pools: dict[str, datetime] = {}
    for event in events:
        match event:
            case ProjectCreated() if event.overcommit != "never":
                pools[event.project] = datetime.min.replace(tzinfo=UTC)
            case ClusterCreated():
                pools.pop(event.cluster, None)
                if event.parent in pools if event.overcommit is None else event.overcommit != "never":
                    pools[event.cluster] = event.start
    return pools


Binding = tuple[str, str, str]
Bound = tuple[dict[Binding, tuple[int, str]], dict[Binding, tuple[int, str]]]


def bound(events: list[Event]) -> Bound:
    """The roles by (pool, member, role), and the members of accounts by (project, account, member): where and by whom
    each was given. Each is looked up from the last event backwards: the first event about it decides."""
    roles: dict[Binding, tuple[int, str] | None] = {}
    members: dict[Binding, tuple[int, str] | None] = {}
    given_again: list[str] = []
    first = {
        event.cluster: number for number, event in reversed([*enumerate(events)]) if isinstance(event, ClusterCreated)
    }
    for number, event in reversed([*enumerate(events)]):
        match event:
            case RoleGranted() | RoleRevoked():
                ended = any(f"{event.pool}.".startswith(f"{cluster}.") for cluster in given_again)
                given = (number + 1, event.actor) if isinstance(event, RoleGranted) and not ended else None
                roles.setdefault((event.pool, event.member, event.role), given)
            case AccountMemberAdded() | AccountMemberRemoved():
                given = (number + 1, event.actor) if isinstance(event, AccountMemberAdded) else None
                members.setdefault((event.project, event.account, event.member), given)
            case ClusterCreated() if first[event.cluster] < number:
                given_again.append(event.cluster)
    there = [{key: given for key, given in kind.items() if given is not None} for kind in (roles, members)]
    return there[0], there[1]


ROLES = "SELECT pool, member, role, granted, actor FROM generation g JOIN role USING (generation) WHERE g.live"
MEMBERS = """
SELECT project, account, member, added, actor FROM generation g JOIN account_member USING (generation) WHERE g.live
"""
ROLES_THEN = "SELECT pool, member, role, granted, actor FROM past_role WHERE since <= $1 AND until > $1"
MEMBERS_THEN = "SELECT project, account, member, added, actor FROM past_account_member WHERE since <= $1 AND until > $1"


async def bound_rows(connection: asyncpg.Connection[asyncpg.Record]) -> Bound:
    """What the read models hold, as `bound` says it."""
    return given_by(await connection.fetch(ROLES)), given_by(await connection.fetch(MEMBERS))


async def bound_rows_then(connection: asyncpg.Connection[asyncpg.Record], position: int) -> Bound:
    """What the past read models hold at a position."""
    return given_by(await connection.fetch(ROLES_THEN, position)), given_by(
        await connection.fetch(MEMBERS_THEN, position)
    )


def given_by(records: list[asyncpg.Record]) -> dict[Binding, tuple[int, str]]:
    return {(first, second, third): (position, actor) for first, second, third, position, actor in records}
