"""Bulk load: writes all events to a generation that nobody reads yet, faster than the projector does.

Three batches are in work at once: one is read, the one before it is folded in a thread, the one before that is written.
What the batches add to the hours is summed in memory, so that each row of an hour is written once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.projector.consumer import UNAPPLICABLE, write_or_halve
from services.projector.generation import (
    HOURS_MAX,
    CheckpointConflict,
    Generation,
    TooManyHours,
    add_pools,
    check_hours,
    load_generation,
    move_checkpoint,
    read_known,
    write_changes,
)
from services.projector.projections import Changes, Known, Needed, fold_batch, needed_for
from services.projector.projections.availability import HourRows, HourSums
from services.projector.rows.bookings import pack_bookings
from services.projector.rows.hours import write_first_hours, write_hours
from shared.event_store.ranges import EventsMissing, read_events, read_joined
from shared.events.batch import CHUNK, EventBatch, JoinedEvents, decode_batch, decode_chunks
from shared.postgres import Connection
from shared.tasks import end_tasks

BATCH_MAX = 20_000


class HoursLost(Exception):
    """The summed hours cannot be written, and the sums are gone. Drop the generation: this is a defect."""


OnPosition = Callable[[int], None]


async def load_events(
    connection: Connection,
    reader: Connection,
    generation: Generation,
    position: int,
    on_position: OnPosition,
    hours_max: int = HOURS_MAX,
) -> None:
    """Writes the events up to `position` to the generation, and calls `on_position` with each position reached.

    `reader` is a second connection to the same database. The sums of at most `hours_max` hours are held in memory, in
    112 bytes each. Raises Parked when an event cannot be applied: the generation is then before that event. Drop the
    generation after any other error (EventsMissing, HoursLost, asyncpg's errors).
    """
    while generation.position < position:
        load = _BulkLoad(connection, reader, generation, hours_max)
        try:
            await load.run(position, on_position)
        except Exception as error:  # the batch after the written ones failed: write it in smaller ones
            closed = connection.is_closed() or reader.is_closed()
            if closed or load.hours_lost or isinstance(error, (CheckpointConflict, EventsMissing, HoursLost)):
                raise
            await load.write_hours()
            generation.pools = (await load_generation(connection, generation.number)).pools
            end = min(position, generation.position + BATCH_MAX)
            stored = await read_events(reader, generation.position, end)
            await write_or_halve(connection, generation, stored, live=False, hours_max=hours_max)


async def _read_chunks(reader: Connection, after: int, end: int) -> list[JoinedEvents]:
    return [JoinedEvents(*piece) for piece in await read_joined(reader, after, end, CHUNK)]


class _Batch(NamedTuple):
    """A folded batch. `bookings` are its new rows of live_booking, packed; `hours` is what it adds to the hours."""

    changes: Changes
    bookings: list[bytes]
    hours: list[HourRows]


class _BulkLoad:
    """One attempt. `hours_lost`: the summed hours were not written, so writing smaller batches does not help."""

    def __init__(self, connection: Connection, reader: Connection, generation: Generation, hours_max: int) -> None:
        self._connection, self._reader, self._generation = connection, reader, generation
        self._hours_max = hours_max
        self._sums = HourSums()
        self._begun = set(generation.pools.numbers.values())  # pools that may have rows of hours already
        self._unsummed: deque[HourRows] = deque()  # hours of batches that are written but for them
        self._writing: asyncio.Task[None] | None = None
        self._folded = generation.position
        self.hours_lost = False

    async def run(self, position: int, on_position: OnPosition) -> None:
        reading = self._read(self._folded, position)
        try:
            while self._folded < position:
                stored = await reading
                read = self._folded + sum(map(len, stored))
                if read < position:
                    reading = self._read(read, position)
                await self._fold_and_write(await asyncio.to_thread(decode_chunks, stored), stored, on_position)
            await self._written()
        finally:
            await end_tasks(reading)
            if self._writing is not None:
                await asyncio.gather(self._writing, return_exceptions=True)
        await self.write_hours()
        on_position(self._generation.position)

    async def _fold_and_write(
        self, events: EventBatch, stored: Sequence[Sequence[bytes]], on_position: OnPosition
    ) -> None:
        """Folds the next events and begins to write what they change. Halves them if they add to too many hours.
        `stored` are the same events, in chunks."""
        try:
            needed = needed_for([event for _, event in events.others])
            check_hours(events, needed.hours, self._hours_max)
            known = await self._known(needed)
            batch = await asyncio.to_thread(self._fold, known, events)
        except TooManyHours:
            every = [data for chunk in stored for data in chunk]
            for half in (every[: len(every) // 2], every[len(every) // 2 :]):
                await self._fold_and_write(await asyncio.to_thread(decode_batch, half), [half], on_position)
            return
        self._folded += events.length
        await self._written()
        on_position(self._generation.position)
        self._writing = asyncio.create_task(self._write(batch, self._folded))

    async def write_hours(self) -> None:
        """Writes the hours of all batches whose other rows are written."""
        await asyncio.to_thread(self._sum)
        await self._write_sums()
        while self._unsummed:  # the memory did not hold all of them
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
        except UNAPPLICABLE as error:  # no single event is the reason, and the sums are gone
            raise HoursLost("the sums of the hours cannot be written") from error
        self._begun.update(one[0] for one in first)
        self.hours_lost = False

    def _read(self, after: int, position: int) -> asyncio.Task[list[JoinedEvents]]:
        return asyncio.create_task(_read_chunks(self._reader, after, min(position, after + BATCH_MAX)))

    async def _known(self, needed: Needed) -> Known:
        """Reads what `fold` needs of the rows, after the batches before are written."""
        if not needed.sizes and not needed.bookings and not self._full():
            return Known({}, {})
        await self._written()
        if needed.sizes or self._full():
            await self.write_hours()
        return await read_known(self._connection, self._generation, needed)

    def _full(self) -> bool:
        return bool(self._unsummed) and not self._sums.has_room(self._unsummed[0], self._hours_max)

    def _sum(self) -> None:
        """Sums waiting hours, as many as `hours_max` allows."""
        try:
            while self._unsummed and not self._full():
                self._sums.add(*self._unsummed[0])
                self._unsummed.popleft()
        except UNAPPLICABLE as error:
            raise HoursLost("the hours cannot be summed") from error

    def _fold(self, known: Known, events: EventBatch) -> _Batch:
        """Does all that may fail because of an event, so that nothing of its batch is written then."""
        self._sum()
        changes = fold_batch(self._generation.pools, known, self._folded + 1, events)
        hours = changes.availability.hours()
        check_hours(events, hours.total, self._hours_max)
        bookings = pack_bookings(self._generation.number, changes.bookings)
        batch = _Batch(changes, bookings, list(hours.rows()))
        add_pools(self._generation, changes)
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
