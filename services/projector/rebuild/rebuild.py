"""Builds the read models anew from the event store, beside the live ones, and switches to them in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import asyncpg
import msgspec

from services.projector.consumer import apply
from services.projector.generation import Generation, load_generation, prepare
from services.projector.rebuild.bulk_load import fill
from shared import postgres
from shared.event_store.ranges import read_events
from shared.locks import Lock, try_lock
from shared.postgres import LOST_OR_REFUSED, Connection

OLD_QUERIES_S = 1.0
LEVEL_S = 1.0


class AlreadyRebuilding(Exception):
    """Two rebuilds at once would only be in each other's way."""


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did. `differences` names the read models whose rows were not those that the history gives; it is
    None when the live ones were behind and could not be compared."""

    generation: int
    position: int
    seconds: float
    switch_seconds: float
    differences: list[str] | None


CREATE = "SELECT create_bare_generation()"
COMPLETE = "SELECT complete_generation($1)"
LOCK_LIVE = "SELECT generation, position FROM generation WHERE live FOR UPDATE"
CHECKSUM = "SELECT model, rows, checksum FROM checksum_generation($1)"
TAKE_LIVE = "UPDATE generation SET live = false WHERE live"
MAKE_LIVE = "UPDATE generation SET live = true WHERE generation = $1"
DROP = "SELECT drop_generation($1)"


async def rebuild(database_url: str, progress: Callable[[int, int], None] = lambda _done, _head: None) -> Rebuilt:
    """Queries are answered all the while, from the old generation and then from the new one.

    `progress` is called with the position reached and the store's head. Raises Parked on an event that cannot be
    applied; the live generation is then as it was.
    """
    began = time.monotonic()
    connection, reader = await postgres.connect(database_url), await postgres.connect(database_url)
    made: int | None = None
    try:
        await prepare(connection)
        await alone(connection)
        made = int(await connection.fetchval(CREATE))
        generation = await load_generation(connection, made)
        await _fill(connection, reader, generation, progress)
        await connection.execute(COMPLETE, made)
        await _fill(connection, reader, generation, progress)
        differences = await _compare(connection, reader, generation)
        await _fill(connection, reader, generation, progress)
        rebuilt = await _switch(connection, generation, differences, began)
        made = None
        await connection.execute(RELEASE)  # so that the next need not wait until the server sees that we have gone
        return rebuilt
    finally:
        reader.terminate()
        if made is not None:  # what cannot be dropped now the next rebuild drops
            with contextlib.suppress(*LOST_OR_REFUSED):
                await drop(connection, made)
        connection.terminate()


ALONE = try_lock(Lock.REBUILD)
RELEASE = f"SELECT pg_advisory_unlock({Lock.REBUILD:d})"
LEFT_OVER = "SELECT generation FROM generation WHERE NOT live"


async def alone(connection: Connection) -> None:
    """One rebuild at a time; what one that was killed has left behind is dropped."""
    if not await connection.fetchval(ALONE):
        raise AlreadyRebuilding("another rebuild is under way on this database")
    for record in await connection.fetch(LEFT_OVER):
        await drop(connection, record["generation"])


HEAD = "SELECT position FROM event_head"


async def _fill(
    connection: Connection, reader: Connection, generation: Generation, progress: Callable[[int, int], None]
) -> None:
    """Up to the head as it is now."""
    head = int(await reader.fetchval(HEAD))
    await fill(connection, reader, generation, head, lambda position: progress(position, head))


LIVE = "SELECT generation, position FROM generation WHERE live"


async def _compare(connection: Connection, reader: Connection, generation: Generation) -> list[str] | None:
    """The read models whose rows are not those of the live generation, at the same position: in a snapshot, so that
    nobody waits. None when the live one does not get as far as this in time."""
    deadline = time.monotonic() + LEVEL_S
    while time.monotonic() < deadline:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            record = await reader.fetchrow(LIVE)
            assert record is not None
            live, position = record
            if position >= generation.position:
                await fill(connection, reader, generation, position, lambda _: None)
                return await _differences((reader, live), (connection, generation.number))
        await asyncio.sleep(LEVEL_S / 20)
    return None


async def _differences(*generations: tuple[Connection, int]) -> list[str]:
    """The read models that two generations do not have alike, each seen by its connection."""
    read = [connection.fetch(CHECKSUM, number) for connection, number in generations]
    answers = await asyncio.gather(*read, return_exceptions=True)  # each has ended before anything else is asked
    sums: list[dict[str, tuple[object, ...]]] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        sums.append({row["model"]: tuple(row) for row in answer})
    one, other = sums
    return [model for model in one if one[model] != other[model]]


async def _switch(
    connection: Connection, generation: Generation, differences: list[str] | None, began: float
) -> Rebuilt:
    """Holds the live generation still, draws level with it, and takes its place."""
    paused = time.monotonic()
    async with connection.transaction():
        record = await connection.fetchrow(LOCK_LIVE)
        assert record is not None
        old, position = record
        if position > generation.position:
            stored = await read_events(connection, generation.position, position)
            await apply(connection, generation, stored, live=False)
        await connection.execute(TAKE_LIVE)
        await connection.execute(MAKE_LIVE, generation.number)
    ended = time.monotonic()
    await drop(connection, old)
    return Rebuilt(generation.number, generation.position, ended - began, ended - paused, differences)


async def drop(connection: Connection, number: int) -> None:
    """Drops a generation that is not live. Waits for queries of it without holding up new ones for long."""
    while True:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '200ms'")
                await connection.execute(DROP, number)
            return
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(OLD_QUERIES_S)
