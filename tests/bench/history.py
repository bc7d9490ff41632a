"""Long histories, copied into the event store directly: bookings of 72 hours that begin within a month, over pools."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

import asyncpg
import uuid_utils

from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.events import BookingCreated, ClusterCreated, Event, GrantCreated, ProjectCreated, encode_event
from shared.hours import hour_of, instant_of

T0 = hour_of(datetime(2030, 1, 1, tzinfo=UTC))
MONTH_HOURS = 31 * 24
YEAR_HOURS = 8760
BOOKED_HOURS = 72
HUGE = Capacity(cores=10**9, memory=10**9)
LARGE = Capacity(cores=10**7, memory=10**7)
ONE = Capacity(cores=1, memory=2)
COPIED_AT_ONCE = 50_000
COLUMNS = ("position", "stream", "version", "command_id", "ordinal", "request_hash", "type", "data")
VERSION = "SELECT version FROM stream_head WHERE stream = $1"
SET_VERSION = """
INSERT INTO stream_head (stream, version) VALUES ($1, $2) ON CONFLICT (stream) DO UPDATE SET version = excluded.version
"""
instant = cache(instant_of)


class History:
    """A project that grows: `grow` adds bookings to it. `bookings` is their number."""

    def __init__(
        self, connection: asyncpg.Connection[asyncpg.Record], project: str, clusters: int = 0, seed: int = 1
    ) -> None:
        self._connection, self.project = connection, project
        self.pools = [project, *(f"{project}.c{number}" for number in range(clusters))]
        self._chance = random.Random(seed)
        self._at = datetime.now(UTC)
        self.bookings = 0

    async def begin(self, first: int = T0, end: int = T0 + YEAR_HOURS) -> None:
        """Makes the project with capacity from the hour `first` to `end`, and its clusters."""
        start, ends = instant_of(first), instant_of(end)
        await self._append([ProjectCreated(**self._recorded(), name=self.project)])
        await self._append([GrantCreated(**self._recorded(), grant=_new(), start=start, end=ends, capacity=HUGE)])
        clusters = [
            ClusterCreated(
                **self._recorded(),
                cluster=pool,
                parent=self.project,
                kind="magnum",
                start=start,
                end=ends,
                capacity=LARGE,
            )
            for pool in self.pools[1:]
        ]
        await self._append(clusters)

    async def grow(self, bookings: int, first: int = T0, hours: int = MONTH_HOURS) -> None:
        """Adds bookings that lie in the `hours` after the hour `first`."""
        for done in range(0, bookings, COPIED_AT_ONCE):
            count = min(COPIED_AT_ONCE, bookings - done)
            await self._append([self._booking(first, hours - BOOKED_HOURS) for _ in range(count)])
        self.bookings += bookings

    def _booking(self, first: int, hours: int) -> Event:
        start = first + self._chance.randrange(hours)
        return BookingCreated(
            at=self._at,
            actor="bench",
            command=(booking := _new()),
            project=self.project,
            booking=booking,
            pool=self._chance.choice(self.pools),
            account="ada",
            start=instant(start),
            end=instant(start + BOOKED_HOURS),
            capacity=ONE,
        )

    def _recorded(self) -> dict[str, object]:
        return {"at": self._at, "actor": "bench", "command": _new(), "project": self.project}

    async def _append(self, events: list[Event]) -> None:
        """As an append does it: under its lock, with the next positions and the next versions."""
        async with self._connection.transaction():
            await EventStore(self._connection).lock()
            head = await self._connection.fetchval(
                "UPDATE event_head SET position = position + $1 RETURNING position - $1", len(events)
            )
            version = await self._connection.fetchval(VERSION, self.project) or 0
            records = self._records(head, version, events)
            await self._connection.copy_records_to_table("event", records=records, columns=COLUMNS)
            await self._connection.execute(SET_VERSION, self.project, version + len(events))

    def _records(self, head: int, version: int, events: list[Event]) -> Iterator[tuple[object, ...]]:
        for number, event in enumerate(events, 1):
            kind, data = type(event).__name__, encode_event(event)
            yield head + number, self.project, version + number, event.command, 0, b"", kind, data


async def ten_years(history: History, bookings: int, live: int) -> int:
    """Makes a project with so many bookings in ten years, of which `live` begin in the month after now, and all others
    have ended. Returns the hour that is now."""
    now = hour_of(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
    past = 3650 * 24 - MONTH_HOURS
    await history.begin(now - past, now + MONTH_HOURS)
    await history.grow(bookings - live, now - past, past - BOOKED_HOURS)
    await history.grow(live, now)
    return now


def _new() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)
