"""Rebuild: loads a new generation from the event store beside the live one, compares both, makes the new one live."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import msgspec
from asyncpg.transaction import Transaction

from services.projector.consumer import write_or_halve
from services.projector.generation import Generation, load_generation, prepare
from services.projector.rebuild.bulk_load import load_events
from shared import postgres
from shared.event_store.ranges import read_events
from shared.locks import Lock, try_lock
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import end_tasks

DROP_RETRY_S = 1.0
BEHIND_MAX = 20_000  # events: if the live generation is further behind the head, the new one is compared at the end
COMPARE_WAIT_S = 1.0  # for the live generation to reach the position of the new one


class AlreadyRebuilding(Exception):
    """Another rebuild or verification holds the lock."""


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did. `switch_seconds` is how long the live tables stood still. `differences` names the read models
    that differed between the old generation and the new one; None: the old one was behind and was not compared."""

    generation: int
    position: int
    seconds: float
    switch_seconds: float
    differences: list[str] | None


CREATE = "SELECT create_bare_generation()"
INDEX = "SELECT index_generation($1)"
COMPLETE = "SELECT complete_generation($1)"
LOCK_LIVE = "SELECT generation, position FROM generation WHERE live FOR UPDATE"
CHECKSUM = "SELECT model, rows, checksum FROM checksum_generation($1)"
TAKE_LIVE = "UPDATE generation SET live = false WHERE live"
MAKE_LIVE = "UPDATE generation SET live = true WHERE generation = $1"
DROP = "SELECT drop_generation($1)"


OnProgress = Callable[[int, int], None]  # events done, events in all


async def rebuild(database_url: str, progress: OnProgress = lambda _done, _head: None) -> Rebuilt:
    """Rebuilds the read models. Queries are answered meanwhile, from the old generation until the new one is live.

    `progress` is called with the position reached and the store's last position. Raises AlreadyRebuilding; raises
    Parked when an event cannot be applied. The live generation stays as it was then.
    """
    began = time.monotonic()
    connection = await postgres.connect(database_url, server_settings=postgres.PATIENT)
    reader = await postgres.connect(database_url, server_settings=postgres.PATIENT)
    new: int | None = None
    try:
        await prepare(connection)
        await lock_rebuilds(connection)
        new = int(await connection.fetchval(CREATE))
        generation = await load_generation(connection, new)
        differences = await _load_beside(database_url, connection, reader, generation, progress)
        await connection.execute(COMPLETE, new)
        await _load_to_head(connection, reader, generation, progress)
        if differences is None:
            differences = await _compare(connection, reader, generation)
            await _load_to_head(connection, reader, generation, progress)
        rebuilt = await _switch(connection, generation, differences, began)
        new = None
        await connection.execute(UNLOCK)  # the server may notice late that this connection is closed
        return rebuilt
    finally:
        reader.terminate()
        if new is not None:  # if it cannot be dropped now, the next rebuild drops it
            with contextlib.suppress(*LOST_OR_REFUSED):
                await drop_generation(connection, new)
        connection.terminate()


TRY_LOCK = try_lock(Lock.REBUILD)
UNLOCK = f"SELECT pg_advisory_unlock({Lock.REBUILD:d})"
LEFT_OVER = "SELECT generation FROM generation WHERE NOT live"


async def lock_rebuilds(connection: Connection) -> None:
    """Takes the lock of rebuilds until the connection ends, and drops what a killed rebuild left. Raises
    AlreadyRebuilding when another one runs."""
    if not await connection.fetchval(TRY_LOCK):
        raise AlreadyRebuilding("another rebuild is under way on this database")
    for record in await connection.fetch(LEFT_OVER):
        await drop_generation(connection, record["generation"])


HEAD = "SELECT position FROM event_head"


async def _load_to_head(
    connection: Connection, reader: Connection, generation: Generation, progress: OnProgress
) -> None:
    """Loads the events up to the store's last position of this moment."""
    head = int(await reader.fetchval(HEAD))
    await load_events(connection, reader, generation, head, lambda position: progress(position, head))


LIVE = "SELECT generation, position FROM generation WHERE live"


async def _load_beside(
    database_url: str, connection: Connection, reader: Connection, generation: Generation, progress: OnProgress
) -> list[str] | None:
    """Loads the new generation and makes its indexes. Returns the read models that differ from those of the live one;
    None if that is behind and was not compared.

    A third connection sums the live generation in a snapshot, while the new one is loaded up to the same position. Then
    the new one is summed while its indexes are made.
    """
    witness = await postgres.connect(database_url, server_settings=postgres.PATIENT)
    summing: asyncio.Task[Sums] | None = None
    try:
        snapshot = witness.transaction(isolation="repeatable_read", readonly=True)
        await snapshot.start()
        record = await witness.fetchrow(LIVE)
        assert record is not None
        live, position = record
        head = int(await reader.fetchval(HEAD))
        if position + BEHIND_MAX < head:
            await snapshot.rollback()
            await _load_to_head(connection, reader, generation, progress)
            await connection.execute(INDEX, generation.number)
            return None
        summing = asyncio.create_task(_sums(witness, live, snapshot))
        await load_events(connection, reader, generation, position, lambda done: progress(done, head))
        indexing = connection.execute(INDEX, generation.number)
        old, new, _ = await together(summing, _sums(reader, generation.number), indexing)
        return different((old, new))
    finally:
        if summing is not None:
            await end_tasks(summing)
        witness.terminate()


async def _compare(connection: Connection, reader: Connection, generation: Generation) -> list[str] | None:
    """The read models that differ from the live generation's at the same position. Both are read in one snapshot, so
    that nobody waits. None when the live one does not reach the position in time."""
    deadline = time.monotonic() + COMPARE_WAIT_S
    while time.monotonic() < deadline:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            record = await reader.fetchrow(LIVE)
            assert record is not None
            live, position = record
            if position >= generation.position:
                await load_events(connection, reader, generation, position, lambda _: None)
                return different(await together(_sums(reader, live), _sums(connection, generation.number)))
        await asyncio.sleep(COMPARE_WAIT_S / 20)
    return None


Sums = dict[str, tuple[object, ...]]  # of each read model its number of rows and its checksum


async def _sums(connection: Connection, generation: int, snapshot: Transaction | None = None) -> Sums:
    """The sums of a generation. Ends the snapshot in which they are read."""
    sums = {row["model"]: tuple(row) for row in await connection.fetch(CHECKSUM, generation)}
    if snapshot is not None:
        await snapshot.rollback()
    return sums


def different(sums: Sequence[Sums]) -> list[str]:
    """The read models whose sums differ between two generations."""
    one, other = sums
    return [model for model in one if one[model] != other[model]]


async def together(*works: Awaitable[Any]) -> list[Any]:
    """What all of them return. Raises the first error when all have ended."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def _switch(
    connection: Connection, generation: Generation, differences: list[str] | None, began: float
) -> Rebuilt:
    """Locks the live generation, writes the last events to the new one, and makes that live. One transaction."""
    paused = time.monotonic()
    async with connection.transaction():
        record = await connection.fetchrow(LOCK_LIVE)
        assert record is not None
        old, position = record
        if position > generation.position:
            stored = await read_events(connection, generation.position, position)
            await write_or_halve(connection, generation, stored, live=False)
        await connection.execute(TAKE_LIVE)
        await connection.execute(MAKE_LIVE, generation.number)
    ended = time.monotonic()
    await drop_generation(connection, old)
    return Rebuilt(generation.number, generation.position, ended - began, ended - paused, differences)


async def drop_generation(connection: Connection, number: int) -> None:
    """Drops a generation that is not live. Waits until no query reads it; each try holds up new queries for 0.2 s."""
    while True:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '200ms'")
                await connection.execute(DROP, number)
            return
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(DROP_RETRY_S)
