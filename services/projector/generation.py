"""The read models in PostgreSQL: what a generation knows, and the one write of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.projector.projections import Changes, Known, Needed, fold, needed_for
from services.projector.projections.pools import Pools
from services.projector.rows.bookings import pack_bookings, read_bookings, write_bookings
from services.projector.rows.catalogue import write_catalogue
from services.projector.rows.grants import write_grants
from services.projector.rows.hours import forget_staged, prepare_hours, read_sizes, write_hours
from services.projector.rows.pools import read_pools, write_pools
from services.projector.rows.resizes import write_resizes
from shared.events import Event, decode_events
from shared.postgres import Connection

HOURS_MAX = 500_000  # of one batch: what is held and written at once, however much its events say


class Moved(Exception):
    """The checkpoint is not where this projector left it: another one moved it, or another generation is live."""


class TooManyHours(Exception):
    """The batch reaches over more hours than are written at once. In halves it is the same."""


class Generation(msgspec.Struct):
    """A generation as a projector holds it: its number, the position that its rows account for, its pools."""

    number: int
    position: int
    pools: Pools
    live: bool = True
    parked_position: int | None = None


LIVE = "SELECT generation FROM generation WHERE live"
GENERATION = "SELECT position, live, parked_position FROM generation WHERE generation = $1"


async def load_generation(connection: Connection, number: int | None = None) -> Generation:
    """A generation by its number; the live one by default. Raises LookupError when there is none."""
    number = number or await connection.fetchval(LIVE)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = await connection.fetchrow(GENERATION, number)
        if number is None or record is None:
            raise LookupError("no generation of the read models is live; run `hourbook migrate`")
        pools = await read_pools(connection, number)
    return Generation(number, record["position"], pools, record["live"], record["parked_position"])


async def prepare(connection: Connection) -> None:
    """Makes what a connection needs before `write_batch`."""
    await prepare_hours(connection)


async def write_batch(
    connection: Connection,
    generation: Generation,
    stored: Sequence[bytes],
    *,
    live: bool = True,
    hours_max: int = HOURS_MAX,
) -> None:
    """Folds the events after the generation's position and writes all that they change, in one transaction.

    Raises Moved, and changes nothing, when the checkpoint is not at that position (or, with `live`, when another
    generation has become the live one); TooManyHours, unless it is of one event; msgspec.DecodeError, KeyError,
    ValueError or asyncpg.DataError on an event that cannot be applied.
    """
    position, number, whole = generation.position, generation.number, not connection.is_in_transaction()
    events = decode_events(stored)
    needed = needed_for(events)
    check_hours(events, needed.hours, hours_max)
    async with connection.transaction():
        await move_checkpoint(connection, generation, position + len(stored), live=live)
        changes = fold(generation.pools, await read_known(connection, generation, needed), position + 1, events)
        pools = changes.availability.pools()
        check_hours(events, sum(pool.length for pool in pools), hours_max)
        await write_changes(connection, number, changes, pack_bookings(number, changes.bookings))
        await write_hours(connection, number, (pool.rows() for pool in pools), changes.pools.policy)
        if not whole:
            await forget_staged(connection)
    generation.position = position + len(stored)
    adopt(generation, changes)


def check_hours(events: Sequence[Event], hours: int, hours_max: int) -> None:
    """Raises TooManyHours. One event cannot be halved: it reaches over ten years at most, of two pools."""
    if hours > hours_max and len(events) > 1:
        raise TooManyHours(f"{len(events)} events reach over {hours} hours of their pools")


async def read_known(connection: Connection, generation: Generation, needed: Needed) -> Known:
    """What `fold` must know of the rows."""
    sizes = await read_sizes(connection, generation.number, generation.pools, needed.sizes)
    return Known(sizes, await read_bookings(connection, generation.number, needed.bookings))


async def write_changes(connection: Connection, generation: int, changes: Changes, bookings: Sequence[bytes]) -> None:
    """All that a batch changes but the hours; `bookings` are its new rows, packed."""
    await write_pools(connection, generation, changes.pools)
    await write_grants(connection, generation, changes.grants)
    await write_bookings(connection, generation, changes.bookings, bookings)
    await write_catalogue(connection, generation, changes.catalogue)
    await write_resizes(connection, generation, changes.resizes)


def adopt(generation: Generation, changes: Changes) -> None:
    """From now on the generation knows the pools that a batch has created, and what it has renewed."""
    for pool, row in (changes.pools.created | changes.pools.renewed).items():
        generation.pools.add(row.id, pool, row.parent, row.beyond_hours)


MOVE = """
UPDATE generation SET position = $3, moved_at = now(), parked_position = NULL, parked_error = NULL
WHERE generation = $1 AND position = $2 AND live = $4
"""


async def move_checkpoint(connection: Connection, generation: Generation, position: int, *, live: bool) -> None:
    """Raises Moved unless the generation stands where it is known to, and is live or not, as it is to be."""
    status = await connection.execute(MOVE, generation.number, generation.position, position, live)
    if status != "UPDATE 1":
        raise Moved(f"generation {generation.number} is not at position {generation.position} any more")


PARK = "UPDATE generation SET parked_position = $2, parked_error = $3 WHERE generation = $1 AND position = $2 - 1"


async def park(connection: Connection, generation: Generation, error: Exception) -> None:
    """Notes the event that cannot be applied; the generation stays where it is, before it."""
    generation.parked_position = generation.position + 1
    await connection.execute(PARK, generation.number, generation.parked_position, f"{type(error).__name__}: {error}")
