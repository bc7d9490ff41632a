"""Long histories, put into the event store directly: bookings of 72 hours that begin within a month, over 20 pools."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import uuid_utils

from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import BookingCreated, ClusterCreated, Event, GrantCreated, ProjectCreated, encode_event
from shared.hours import hour_of, instant_of

T0 = hour_of(datetime(2030, 1, 1, tzinfo=UTC))
MONTH_HOURS = 31 * 24
BOOKED_HOURS = 72
HUGE = Capacity(cores=10**9, memory=10**9)
LARGE = Capacity(cores=10**7, memory=10**7)
ONE = Capacity(cores=1, memory=2)
APPEND_MAX = 2000


class History:
    """A project that grows: `grow` adds bookings to it."""

    def __init__(self, connection: asyncpg.Connection[Any], project: str, clusters: int = 0, seed: int = 1) -> None:
        self._store, self.project = EventStore(connection), project
        self.pools = [project, *(f"{project}.c{number}" for number in range(clusters))]
        self._chance = random.Random(seed)
        self._version = 0

    async def begin(self) -> None:
        end = instant_of(T0 + 8760)
        created = ProjectCreated(**self._recorded(), name=self.project)
        granted = GrantCreated(**self._recorded(), grant=_new(), start=instant_of(T0), end=end, capacity=HUGE)
        await self._append([created, granted])
        await self._append(
            [
                ClusterCreated(
                    **self._recorded(),
                    cluster=pool,
                    parent=self.project,
                    kind="magnum",
                    start=instant_of(T0),
                    end=end,
                    capacity=LARGE,
                )
                for pool in self.pools[1:]
            ]
        )

    async def grow(self, bookings: int) -> None:
        while bookings:
            batch = min(bookings, APPEND_MAX)
            await self._append([self._booking() for _ in range(batch)])
            bookings -= batch

    def _booking(self) -> Event:
        start = T0 + self._chance.randrange(MONTH_HOURS - BOOKED_HOURS)
        return BookingCreated(
            **self._recorded(),
            booking=_new(),
            pool=self._chance.choice(self.pools),
            account="ada",
            start=instant_of(start),
            end=instant_of(start + BOOKED_HOURS),
            capacity=ONE,
        )

    def _recorded(self) -> dict[str, Any]:
        return {"at": datetime.now(UTC), "actor": "bench", "command": _new(), "project": self.project}

    async def _append(self, events: list[Event]) -> None:
        if not events:
            return
        pending = [
            Pending(self.project, version, event.command, 0, b"", type(event).__name__, encode_event(event))
            for version, event in enumerate(events, self._version + 1)
        ]
        appended = await self._store.append({self.project: self._version}, pending)
        if appended.outcome != "stored":
            raise RuntimeError(f"the history was not stored: {appended.outcome}")
        self._version += len(events)


def _new() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)
