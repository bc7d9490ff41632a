"""Fills a generation that nobody reads yet, in less time than the projector would take.

Three things go on at once: the next events are read, those before them are folded, in a thread, and those before them
are written. What they add to the hours is added up over all of them, so that each hour is written once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.projector.consumer import UNAPPLICABLE, apply
from services.projector.generation import (
    HOURS_MAX,
    Generation,
    Moved,
    TooManyHours,
    adopt,
    check_hours,
    load_generation,
    move_checkpoint,
    read_known,
    write_changes,
)
from services.projector.projections import Changes, Known, Needed, fold, needed_for
from services.projector.projections.availability import HourRows, HourSums
from services.projector.rows.bookings import pack_bookings
from services.projector.rows.hours import write_first_hours, write_hours
from shared.event_store.ranges import EventsMissing, read_events
from shared.events import Event, decode_events
from shared.postgres import Connection
from shared.tasks import end_tasks

BATCH_MAX = 20_000


class HoursLost(Exception):
    """A defect: what the events add up to is not what a row of an hour holds. The generation is of no use."""


Progress = Callable[[int], None]


async def fill(
    connection: Connection,
    reader: Connection,
    generation: Generation,
    position: int,
    progress: Progress,
    hours_max: int = HOURS_MAX,
) -> None:
    """Applies the events up to `position`; `progress` is called with each position reached. `reader` is another
    connection to the same database. Of `hours_max` hours the sums are held; one takes 112 bytes.

    Raises Parked on an event that cannot be applied, and the generation stands before it; EventsMissing, HoursLost and
    asyncpg's errors, after which the generation is of no use.
    """
    while generation.position < position:
        filling = _Filling(connection, reader, generation, hours_max)
        try:
            await filling.run(position, progress)
        except Exception as error:  # of the batch after those that are written: it is done in smaller ones
            closed = connection.is_closed() or reader.is_closed()
            if closed or filling.hours_lost or isinstance(error, (Moved, EventsMissing, HoursLost)):
                raise
            await filling.write_hours()
            generation.pools = (await load_generation(connection, generation.number)).pools
            end = min(position, generation.position + BATCH_MAX)
            stored = await read_events(reader, generation.position, end)
            await apply(connection, generation, stored, live=False, hours_max=hours_max)


class _Batch(NamedTuple):
    """What a batch changes, its bookings' new rows, packed, and what it adds to the hours."""

    changes: Changes
    bookings: list[bytes]
    hours: list[HourRows]


class _Filling:
    """`hours_lost` says that what was added up has not been written: then no smaller batch helps."""

    def __init__(self, connection: Connection, reader: Connection, generation: Generation, hours_max: int) -> None:
        self._connection, self._reader, self._generation = connection, reader, generation
        self._hours_max = hours_max
        self._sums = HourSums()
        self._begun = set(generation.pools.numbers.values())  # pools of which there may be hours already
        self._unsummed: deque[HourRows] = deque()  # of batches that are written
        self._writing: asyncio.Task[None] | None = None
        self._folded = generation.position
        self.hours_lost = False

    async def run(self, position: int, progress: Progress) -> None:
        reading = self._read(self._folded, position)
        try:
            while self._folded < position:
                stored = await reading
                if self._folded + len(stored) < position:
                    reading = self._read(self._folded + len(stored), position)
                await self._apply(await asyncio.to_thread(decode_events, stored), progress)
            await self._written()
        finally:
            await end_tasks(reading)
            if self._writing is not None:
                await asyncio.gather(self._writing, return_exceptions=True)
        await self.write_hours()
        progress(self._generation.position)

    async def _apply(self, events: Sequence[Event], progress: Progress) -> None:
        """Folds the next events and begins to write what they change; in halves, when they reach over many hours."""
        try:
            needed = needed_for(events)
            check_hours(events, needed.hours, self._hours_max)
            known = await self._known(needed)
            batch = await asyncio.to_thread(self._fold, known, events)
        except TooManyHours:
            middle = len(events) // 2
            await self._apply(events[:middle], progress)
            await self._apply(events[middle:], progress)
            return
        self._folded += len(events)
        await self._written()
        progress(self._generation.position)
        self._writing = asyncio.create_task(self._write(batch, self._folded))

    async def write_hours(self) -> None:
        """All that the batches which are written add to the hours."""
        await asyncio.to_thread(self._sum)
        await self._write_sums()
        while self._unsummed:  # there was not room for all
            await asyncio.to_thread(self._sum)
            await self._write_sums()

    async def _write_sums(self) -> None:
        policy, number = self._generation.pools.policies.__getitem__, self._generation.number
        self.hours_lost = True
        rows = list(self._sums.take())
        first = [one for one in rows if one[0] not in self._begun]
        others = [one for one in rows if one[0] in self._begun]
        try:
            async with self._connection.transaction():
                await write_first_hours(self._connection, number, first, policy)
                await write_hours(self._connection, number, others, policy)
        except UNAPPLICABLE as error:  # no one event's fault, and the sums are gone
            raise HoursLost("the sums of the hours cannot be written") from error
        self._begun.update(one[0] for one in first)
        self.hours_lost = False

    def _read(self, after: int, position: int) -> asyncio.Task[list[bytes]]:
        return asyncio.create_task(read_events(self._reader, after, min(position, after + BATCH_MAX)))

    async def _known(self, needed: Needed) -> Known:
        """What is in the rows can be read when they are written."""
        if not needed.sizes and not needed.bookings and not self._full():
            return Known({}, {})
        await self._written()
        if needed.sizes or self._full():
            await self.write_hours()
        return await read_known(self._connection, self._generation, needed)

    def _full(self) -> bool:
        return bool(self._unsummed) and not self._sums.has_room(self._unsummed[0], self._hours_max)

    def _sum(self) -> None:
        """As much as there is room for."""
        try:
            while self._unsummed and not self._full():
                self._sums.add(*self._unsummed[0])
                self._unsummed.popleft()
        except UNAPPLICABLE as error:
            raise HoursLost("the hours cannot be summed") from error

    def _fold(self, known: Known, events: Sequence[Event]) -> _Batch:
        """All that may fail because of an event, before anything of its batch is written."""
        self._sum()
        changes = fold(self._generation.pools, known, self._folded + 1, events)
        pools = changes.availability.pools()
        check_hours(events, sum(pool.length for pool in pools), self._hours_max)
        bookings = pack_bookings(self._generation.number, changes.bookings)
        batch = _Batch(changes, bookings, [pool.rows() for pool in pools])
        adopt(self._generation, changes)
        return batch

    async def _write(self, batch: _Batch, position: int) -> None:
        async with self._connection.transaction():
            await move_checkpoint(self._connection, self._generation, position, live=False)
            await write_changes(self._connection, self._generation.number, batch.changes, batch.bookings)
        self._generation.position = position
        self._unsummed.extend(batch.hours)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
