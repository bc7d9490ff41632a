"""The grounds on which `tests.bench.scale` measures: a ledger with many projects, many pools and a long history.

It puts the events into the event store directly: the rare ones through `append`, the bookings by one statement of
PostgreSQL, which fills in what the event class has encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import uuid_utils

from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import (
    AccountCreated,
    BookingCreated,
    ClusterCreated,
    Event,
    GrantCreated,
    Limits,
    ProjectCreated,
    RoleGranted,
    TemplateCreated,
    encode_event,
)
from shared.hours import hour_of, instant_of

HUGE, LARGE, ONE = Capacity(cores=10**9, memory=10**9), Capacity(cores=10**7, memory=10**7), Capacity(cores=1, memory=2)
APPEND_MAX = 2000
YEARS_HOURS = 10 * 365 * 24 - 90 * 24  # of history
AHEAD_HOURS = 60 * 24
FEW_HOURS = 72  # of the calendars of the many projects: each hour of each pool is a row
LONG_POOLS = 20
ACCOUNTS = 200


class Size(msgspec.Struct, frozen=True):
    """How large a ground is.

    projects  projects of three clusters each, with a few bookings
    pools     clusters in the project `wide`, in two levels
    listed    accounts, versions of templates, and roles, each, in the project `full`
    bookings  in the project `long`, over ten years; 0: there is no such project
    live      those of them that have not ended
    """

    projects: int
    pools: int
    listed: int
    bookings: int
    live: int


SMALL = Size(projects=10, pools=10, listed=10, bookings=1_000, live=100)


async def fill(connection: asyncpg.Connection[Any], size: Size, now: datetime) -> None:
    """Fills an empty event store. The read models show it after a rebuild."""
    ground = _Ground(connection, hour_of(now.replace(minute=0, second=0, microsecond=0)))
    for number in range(size.projects):
        await ground.add(f"p{number:05d}", ground.small_project(f"p{number:05d}", number))
    await ground.add("wide", ground.wide_project("wide", size.pools))
    await ground.add("full", ground.full_project("full", size.listed))
    if size.bookings:
        await ground.add("long", ground.long_project("long"))
    await ground.append()
    await ground.book("long", size.bookings - size.live, ended=True)
    await ground.book("long", size.live, ended=False)
    await connection.execute("VACUUM ANALYZE event, stream_head")


class _Ground:
    """`hour` is the present hour."""

    def __init__(self, connection: asyncpg.Connection[Any], hour: int) -> None:
        self._connection, self._store, self._hour = connection, EventStore(connection), hour
        self._waiting: dict[str, list[Event]] = {}
        self._count = 0

    async def add(self, project: str, events: Iterator[Event]) -> None:
        """Takes the first events of a new project. They are appended when they are many."""
        self._waiting[project] = list(events)
        self._count += len(self._waiting[project])
        if self._count >= APPEND_MAX:
            await self.append()

    async def append(self) -> None:
        waiting, self._waiting, self._count = self._waiting, {}, 0
        longest = max((len(events) for events in waiting.values()), default=0)
        for begin in range(0, longest, APPEND_MAX):
            some = {project: events[begin : begin + APPEND_MAX] for project, events in waiting.items()}
            some = {project: events for project, events in some.items() if events}
            pending = [
                Pending(project, version, event.command, 0, b"", type(event).__name__, encode_event(event))
                for project, events in some.items()
                for version, event in enumerate(events, begin + 1)
            ]
            appended = await self._store.append(dict.fromkeys(some, begin), pending)
            if appended.outcome != "stored":
                raise RuntimeError(f"the ground was not stored: {appended.outcome}")

    def small_project(self, project: str, number: int) -> Iterator[Event]:
        start, end = self._hour, self._hour + FEW_HOURS
        yield ProjectCreated(**self._recorded(project), name=f"Project {number}")
        yield RoleGranted(**self._recorded(project), pool=project, member=f"egi:person-{number % 1000}", role="manager")
        yield self._grant(project, start, end)
        yield TemplateCreated(**self._recorded(project), template="small", version=1, capacity=ONE)
        for name in ("one", "two", "two.inner"):
            yield self._cluster(project, f"{project}.{name}", start, end, LARGE if name != "two.inner" else ONE)
        yield self._booking(project, f"{project}.one", start, end)

    def wide_project(self, project: str, pools: int) -> Iterator[Event]:
        """A hundredth of the clusters stand in the project, each with the next 99 inside it."""
        start, end = self._hour, self._hour + FEW_HOURS
        yield ProjectCreated(**self._recorded(project), name="The wide one")
        yield self._grant(project, start, end)
        yield TemplateCreated(**self._recorded(project), template="small", version=1, capacity=ONE)
        for number in range(pools - 1):
            outer, inner = divmod(number, 100)
            name = f"{project}.site-{outer:03d}"
            yield self._cluster(project, f"{name}.k{inner:02d}" if inner else name, start, end, ONE if inner else LARGE)

    def full_project(self, project: str, listed: int) -> Iterator[Event]:
        yield ProjectCreated(**self._recorded(project), name="The full one")
        yield self._grant(project, self._hour, self._hour + FEW_HOURS)
        limits = Limits(capacity={"cores": 100})
        for number in range(listed):
            account = f"account-{number:05d}"
            yield AccountCreated(**self._recorded(project), account=account, name=account, limits=limits)
            yield TemplateCreated(**self._recorded(project), template=f"t{number:05d}", version=1, capacity=ONE)
            yield RoleGranted(**self._recorded(project), pool=project, member=f"egi:reader-{number}", role="reader")

    def long_project(self, project: str) -> Iterator[Event]:
        start, end = self._hour - YEARS_HOURS, self._hour + AHEAD_HOURS
        yield ProjectCreated(**self._recorded(project), name="The long one")
        yield self._grant(project, start, end)
        for number in range(LONG_POOLS):
            yield self._cluster(project, f"{project}.c{number:02d}", start, end, LARGE)

    async def book(self, project: str, bookings: int, *, ended: bool) -> None:
        """Bookings of 8 to 72 hours in the order of their starts: such as have ended, or such as have not."""
        if not bookings:
            return
        first = self._hour - (YEARS_HOURS if ended else 0)
        hours = (YEARS_HOURS if ended else AHEAD_HOURS) - FEW_HOURS
        booked = self._booking(project, "%POOL%", 0, 1, account="%ACCOUNT%")
        await self._connection.execute(SAID)
        async with self._connection.transaction():
            await self._connection.execute(
                BOOK, project, bookings, instant_of(first), hours, FEW_HOURS, LONG_POOLS, ACCOUNTS, _template(booked)
            )
            await self._connection.execute(MOVE_HEADS, project, bookings)

    def _recorded(self, project: str) -> dict[str, Any]:
        return {"at": datetime.now(UTC), "actor": "bench", "command": _new(), "project": project}

    def _grant(self, project: str, start: int, end: int) -> Event:
        return GrantCreated(
            **self._recorded(project), grant=_new(), start=instant_of(start), end=instant_of(end), capacity=HUGE
        )

    def _cluster(self, project: str, cluster: str, start: int, end: int, capacity: Capacity) -> Event:
        return ClusterCreated(
            **self._recorded(project),
            cluster=cluster,
            parent=cluster.rpartition(".")[0],
            kind="magnum",
            start=instant_of(start),
            end=instant_of(end),
            capacity=capacity,
        )

    def _booking(self, project: str, pool: str, start: int, end: int, account: str = "ada") -> BookingCreated:
        return BookingCreated(
            **self._recorded(project),
            booking=_new(),
            pool=pool,
            account=account,
            start=instant_of(start),
            end=instant_of(end),
            capacity=ONE,
        )


# $8 is an encoded event with %…% where each booking differs.
BOOK = """
INSERT INTO event (position, stream, version, command_id, ordinal, request_id, request_hash, type, data)
SELECT h.position + n, $1, s.version + n, id, 0, NULL, '', 'BookingCreated', convert_to(
    format($8::text, pg_temp.said(starts - interval '7 days'), id, id, $1 || '.c' || lpad(pool::text, 2, '0'),
        'account-' || account, pg_temp.said(starts), pg_temp.said(starts + hours * interval '1 hour')), 'UTF8')
FROM event_head h, stream_head s, LATERAL (
    SELECT n, uuidv7() AS id, $3::timestamptz + floor($4::float8 * n / $2) * interval '1 hour' AS starts,
        8 + floor(random() * ($5 - 8))::int AS hours, floor(random() * $6)::int AS pool,
        floor($7 * random() ^ 2)::int AS account
    FROM generate_series(1, $2::int) AS n
) b
WHERE s.stream = $1
"""
SAID = """
CREATE OR REPLACE FUNCTION pg_temp.said(timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$
"""
MOVE_HEADS = """
WITH moved AS (UPDATE event_head SET position = position + $2 RETURNING 1)
UPDATE stream_head SET version = version + $2 WHERE stream = $1
"""


def _template(booked: BookingCreated) -> str:
    """The encoded event as a format of PostgreSQL: at, command, booking, pool, account, start, end."""
    fields: Sequence[str] = ("at", "command", "booking", "pool", "account", "start", "end")
    text = encode_event(booked).decode()
    for name, value in msgspec.json.decode(text).items():
        if name in fields:
            text = text.replace(f'"{name}":"{value}"', f'"{name}":"%s"')
    assert text.count("%s") == len(fields)
    return text


def _new() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)
