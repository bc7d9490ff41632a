"""Fills a generation that nobody reads yet, in less time than the projector would take.

Three things go on at once: the next events are read, those before them are folded, in a thread, and those before them
are written. What they add to the hours is added up over all of them, so that each hour is written once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.projector.consumer import UNAPPLICABLE, apply
from services.projector.projections import Changes, Known, fold, needed_for
from services.projector.projections.availability import HourRows, HourSums
from services.projector.rows.bookings import pack_bookings
from services.projector.rows.copying import Connection
from services.projector.rows.hours import write_first_hours, write_hours
from services.projector.tables import (
    Generation,
    adopt,
    load_generation,
    move_checkpoint,
    read_known,
    write_changes,
)
from shared.events import Event, decode_events
from shared.stopping import end_tasks

BATCH_MAX = 20_000
HOURS_MAX = 500_000  # of which the sums are held; one takes 112 bytes


class HoursLost(Exception):
    """A defect: what the events add up to is not what a row of an hour holds. The generation is of no use."""


Progress = Callable[[int], None]


async def fill(
    connection: Connection, reader: Connection, generation: Generation, position: int, progress: Progress
) -> None:
    """Applies the events up to `position`; `progress` is called with each position reached. `reader` is another
    connection to the same database.

    Raises Parked on an event that cannot be applied, and the generation stands before it; LookupError on one that is
    missing, HoursLost and asyncpg's errors, after which the generation is of no use.
    """
    while generation.position < position:
        filling = _Filling(connection, reader, generation)
        try:
            await filling.run(position, progress)
        except UNAPPLICABLE:  # it is in the batch after those that are written
            await filling.write_hours()
            generation.pools = (await load_generation(connection, generation.number)).pools
            end = min(position, generation.position + BATCH_MAX)
            await apply(connection, generation, await read_events(reader, generation.position, end), live=False)


EVENTS = "SELECT data FROM event WHERE position > $1 AND position <= $2 ORDER BY position"


async def read_events(connection: Connection, after: int, end: int) -> list[bytes]:
    """Raises LookupError when one is missing, which no store that is whole can do."""
    stored = [record[0] for record in await connection.fetch(EVENTS, after, end)]
    if len(stored) != end - after:
        raise LookupError(f"of the events {after + 1} to {end} only {len(stored)} are there")
    return stored


class _Batch(NamedTuple):
    """What a batch changes, its bookings' new rows, packed, and what it adds to the hours."""

    changes: Changes
    bookings: list[bytes]
    hours: list[HourRows]


class _Filling:
    def __init__(self, connection: Connection, reader: Connection, generation: Generation) -> None:
        self._connection, self._reader, self._generation = connection, reader, generation
        self._sums = HourSums()
        self._write_hours = write_hours if generation.position else write_first_hours
        self._unsummed: list[list[HourRows]] = []  # of batches that are written
        self._writing: asyncio.Task[None] | None = None

    async def run(self, position: int, progress: Progress) -> None:
        folded = self._generation.position
        reading = self._read(folded, position)
        try:
            while folded < position:
                stored = await reading
                if folded + len(stored) < position:
                    reading = self._read(folded + len(stored), position)
                events = await asyncio.to_thread(self._decode, stored)
                batch = await asyncio.to_thread(self._fold, await self._known(events), folded + 1, events)
                folded += len(stored)
                await self._written()
                progress(self._generation.position)
                self._writing = asyncio.create_task(self._write(batch, folded))
            await self._written()
        finally:
            await end_tasks(reading)
            if self._writing is not None:
                await asyncio.gather(self._writing, return_exceptions=True)
        await self.write_hours()
        progress(self._generation.position)

    async def write_hours(self) -> None:
        """All that the batches which are written add to the hours."""
        await asyncio.to_thread(self._sum)
        write, self._write_hours = self._write_hours, write_hours
        policies = self._generation.pools.policies
        try:
            async with self._connection.transaction():
                await write(self._connection, self._generation.number, self._sums.take(), policies.__getitem__)
        except UNAPPLICABLE as error:  # no one event's fault, and the sums are gone
            raise HoursLost("the sums of the hours cannot be written") from error

    def _read(self, after: int, position: int) -> asyncio.Task[list[bytes]]:
        return asyncio.create_task(read_events(self._reader, after, min(position, after + BATCH_MAX)))

    async def _known(self, events: Sequence[Event]) -> Known:
        """What is in the rows can be read when they are written."""
        needed = needed_for(events)
        if not needed.sizes and not needed.bookings and self._sums.hours < HOURS_MAX:
            return Known({}, {})
        await self._written()
        if needed.sizes or self._sums.hours >= HOURS_MAX:
            await self.write_hours()
        return await read_known(self._connection, self._generation, needed)

    def _decode(self, stored: Sequence[bytes]) -> list[Event]:
        self._sum()
        return decode_events(stored)

    def _sum(self) -> None:
        try:
            while self._unsummed:
                for rows in self._unsummed.pop():
                    self._sums.add(*rows)
        except UNAPPLICABLE as error:
            raise HoursLost("the hours cannot be summed") from error

    def _fold(self, known: Known, first_position: int, events: Sequence[Event]) -> _Batch:
        """All that may fail because of an event, before anything of its batch is written."""
        changes = fold(self._generation.pools, known, first_position, events)
        batch = _Batch(
            changes, pack_bookings(self._generation.number, changes.bookings), list(changes.availability.rows())
        )
        adopt(self._generation, changes)
        return batch

    async def _write(self, batch: _Batch, position: int) -> None:
        async with self._connection.transaction():
            await move_checkpoint(self._connection, self._generation, position, live=False)
            await write_changes(self._connection, self._generation.number, batch.changes, batch.bookings)
        self._generation.position = position
        self._unsummed.append(batch.hours)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
