"""`python -m tests.support.grid DATABASE_URL`: a project as large as a real grid, put into the event store directly.

It has 159 clusters and 20,000 bookings of 38 accounts, from a month ago until a month from now."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import uuid_utils

from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import BookingCreated, ClusterCreated, Event, GrantCreated, ProjectCreated, encode_event

CLUSTERS, BOOKINGS, ACCOUNTS = 159, 20_000, 38
DAYS_BACK, DAYS_AHEAD = 30, 30
HOURS = (4, 8, 12, 24, 24, 48, 72, 120)
CORES = (1, 2, 4, 4, 8, 16, 32)
KINDS = ("magnum", "magnum", "kubernetes", "deployment")
APPEND_MAX = 2000
HOUR = timedelta(hours=1)


class Grid:
    """A project with clusters and bookings around this day."""

    def __init__(self, connection: asyncpg.Connection[Any], project: str, clusters: int, seed: int = 1) -> None:
        self._store, self._project, self._chance = EventStore(connection), project, random.Random(seed)
        self.clusters = [f"{project}.site-{number:03d}" for number in range(1, clusters + 1)]
        self.accounts = [f"vo-{number:02d}" for number in range(1, ACCOUNTS + 1)]
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.start, self.end = today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD)
        self._version = 0

    async def begin(self) -> None:
        """The project, its grant and its clusters."""
        sized = Capacity(servers=32, cores=512, memory=2 * 1024 * 1024)
        total = Capacity(servers=8192, cores=131_072, memory=512 * 1024 * 1024)
        created = ProjectCreated(**self._recorded(), name="The grid")
        granted = GrantCreated(**self._recorded(), grant=_new(), start=self.start, end=self.end, capacity=total)
        clusters = [
            ClusterCreated(
                **self._recorded(),
                cluster=cluster,
                parent=self._project,
                kind=KINDS[place % len(KINDS)],
                start=self.start,
                end=self.end,
                capacity=sized,
            )
            for place, cluster in enumerate(self.clusters)
        ]
        await self._append([created, granted, *clusters])

    async def book(self, bookings: int) -> None:
        while bookings:
            batch = min(bookings, APPEND_MAX)
            await self._append([self._booking() for _ in range(batch)])
            bookings -= batch

    def _booking(self) -> Event:
        chance = self._chance
        hours = chance.choice(HOURS)
        start = self.start + chance.randrange((DAYS_BACK + DAYS_AHEAD) * 24 - hours) * HOUR
        cores = chance.choice(CORES)
        return BookingCreated(
            **self._recorded(),
            booking=_new(),
            pool=chance.choice(self.clusters),
            account=self.accounts[min(int(chance.expovariate(0.12)), ACCOUNTS - 1)],
            start=start,
            end=start + hours * HOUR,
            capacity=Capacity(cores=cores, memory=cores * 4096),
        )

    def _recorded(self) -> dict[str, Any]:
        return {"at": datetime.now(UTC), "actor": "grid", "command": _new(), "project": self._project}

    async def _append(self, events: list[Event]) -> None:
        pending = [
            Pending(self._project, version, event.command, 0, b"", type(event).__name__, encode_event(event))
            for version, event in enumerate(events, self._version + 1)
        ]
        appended = await self._store.append({self._project: self._version}, pending)
        if appended.outcome != "stored":
            raise RuntimeError(f"the history was not stored: {appended.outcome}")
        self._version += len(events)


async def fill_grid(
    database_url: str, project: str = "grid", clusters: int = CLUSTERS, bookings: int = BOOKINGS
) -> Grid:
    """Makes the project in the event store of a running system. The read model shows it a while later."""
    connection = await asyncpg.connect(database_url)
    try:
        grid = Grid(connection, project, clusters)
        await grid.begin()
        await grid.book(bookings)
    finally:
        await connection.close()
    return grid


def _new() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)


if __name__ == "__main__":
    asyncio.run(fill_grid(sys.argv[1]))
