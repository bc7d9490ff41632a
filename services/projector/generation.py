"""A generation (one complete set of the read models): loading it, and writing a batch to it in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from services.projector.projections import Changes, Known, Needed, fold_batch, needed_for
from services.projector.projections.availability import BatchHours, HourRows
from services.projector.projections.pools import Pools
from services.projector.rows.bookings import pack_bookings, read_bookings, write_bookings
from services.projector.rows.catalogue import write_catalogue
from services.projector.rows.grants import write_grants
from services.projector.rows.hours import empty_staged, prepare_hours, read_sizes, write_first_hours, write_hours
from services.projector.rows.one_statement import runs_for_one_statement, write_in_one_statement
from services.projector.rows.pools import read_pools, write_pools
from services.projector.rows.resizes import write_resizes
from services.projector.rows.roles import write_roles
from shared.events.batch import EventBatch, decode_batch
from shared.postgres import Connection

HOURS_MAX = 500_000  # hours that one batch may add to: they are held in memory and written at once


class CheckpointConflict(Exception):
    """Another projector moved the generation's checkpoint, or another generation is live now."""


class TooManyHours(Exception):
    """The batch adds to more hours than one write may. Write it in halves."""


class Generation(msgspec.Struct):
    """`position` is the checkpoint: the last event that the rows contain. `pools` is the tree of pools at that
    position. `parked_position` is that of the event that cannot be applied and stops the generation."""

    number: int
    position: int
    pools: Pools
    live: bool = True
    parked_position: int | None = None


LIVE_NUMBER = "SELECT generation FROM generation WHERE live"
GENERATION = "SELECT position, live, parked_position FROM generation WHERE generation = $1"


async def load_generation(connection: Connection, number: int | None = None) -> Generation:
    """Loads a generation by its number; by default the live one. Raises LookupError if there is none."""
    number = number or await connection.fetchval(LIVE_NUMBER)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = await connection.fetchrow(GENERATION, number)
        if number is None or record is None:
            raise LookupError("no generation of the read models is live; run `hourbook migrate`")
        pools = await read_pools(connection, number)
    return Generation(number, record["position"], pools, record["live"], record["parked_position"])


async def prepare(connection: Connection) -> None:
    """Prepares a connection for `write_batch`: makes its temporary table."""
    await prepare_hours(connection)


async def write_batch(
    connection: Connection,
    generation: Generation,
    stored: Sequence[bytes],
    *,
    live: bool = True,
    hours_max: int = HOURS_MAX,
    decoded: EventBatch | None = None,
) -> None:
    """Folds the stored events that follow the generation's position, and writes what they change, in one transaction.
    `decoded` are the same events, if they are decoded already.

    An error changes nothing. Raises CheckpointConflict when another process moved the checkpoint or `live` is not true
    any more; TooManyHours for more than one event; msgspec.DecodeError, KeyError, ValueError or asyncpg.DataError for
    an event that cannot be applied.
    """
    position = generation.position + len(stored)
    batch = decoded or decode_batch(stored)
    needed = needed_for([event for _, event in batch.others])
    check_hours(batch, needed.hours, hours_max)
    changes = None
    if not needed.anything:
        changes = fold_batch(generation.pools, Known({}, {}), generation.position + 1, batch)
    runs = None if changes is None else runs_for_one_statement(changes, generation.pools, batch.length, hours_max)
    if changes is not None and runs is not None:
        span = generation.position, position
        if not await write_in_one_statement(connection, generation.number, span, changes, runs, live=live):
            raise conflict_of(generation)
    else:
        changes = await write_in_parts(connection, generation, batch, changes, live=live, hours_max=hours_max)
    generation.position = position
    add_pools(generation, changes)


async def write_in_parts(
    connection: Connection,
    generation: Generation,
    batch: EventBatch,
    changes: Changes | None,
    *,
    live: bool,
    hours_max: int,
) -> Changes:
    """As `write_batch`, in a statement for each table. `changes` are those of the events; None if rows must be read to
    know them. Returns them."""
    number, nested = generation.number, connection.is_in_transaction()
    async with connection.transaction():
        await move_checkpoint(connection, generation, generation.position + batch.length, live=live)
        if changes is None:
            known = await read_known(connection, generation, needed_for([event for _, event in batch.others]))
            changes = fold_batch(generation.pools, known, generation.position + 1, batch)
        hours = changes.availability.hours()
        check_hours(batch, hours.total, hours_max)
        await write_changes(connection, number, changes, pack_bookings(number, changes.bookings))
        await _write_hours(connection, number, changes, hours)
        if nested:
            await empty_staged(connection)
    return changes


async def _write_hours(connection: Connection, generation: int, changes: Changes, hours: BatchHours) -> None:
    """Writes the hours of all pools. Those that the batch creates have no rows yet, and the highest numbers."""
    created, policy, rows, held = changes.pools.created, changes.pools.policy, hours.rows(), []

    def earlier() -> Iterator[HourRows]:
        for row in rows:
            if row[0] in created:
                held.append(row)
                return
            yield row

    await write_hours(connection, generation, earlier(), policy)
    if created:
        await write_first_hours(connection, generation, chain(held, rows), policy)


def check_hours(batch: EventBatch, hours: int, hours_max: int) -> None:
    """Raises TooManyHours for more than one event. A single event cannot be halved; it adds to ten years of two pools
    at most."""
    if hours > hours_max and batch.length > 1:
        raise TooManyHours(f"{batch.length} events reach over {hours} hours of their pools")


async def read_known(connection: Connection, generation: Generation, needed: Needed) -> Known:
    """Reads the rows that `fold` needs."""
    sizes = await read_sizes(connection, generation.number, generation.pools, needed.sizes)
    return Known(sizes, await read_bookings(connection, generation.number, needed.bookings))


async def write_changes(connection: Connection, generation: int, changes: Changes, bookings: Sequence[bytes]) -> None:
    """Writes all that a batch changes, except the hours. `bookings` are its new rows of live_booking, packed."""
    await write_pools(connection, generation, changes.pools)
    await write_grants(connection, generation, changes.grants)
    await write_bookings(connection, generation, changes.bookings, bookings)
    await write_catalogue(connection, generation, changes.catalogue)
    await write_resizes(connection, generation, changes.resizes)
    await write_roles(connection, generation, changes.roles)


def add_pools(generation: Generation, changes: Changes) -> None:
    """Adds the pools that a batch created, or created again, to the generation's tree."""
    for pool, row in (changes.pools.created | changes.pools.renewed).items():
        generation.pools.add(row.id, pool, row.parent, row.beyond_hours)


MOVE_CHECKPOINT = """
UPDATE generation SET position = $3, moved_at = now(), parked_position = NULL, parked_error = NULL
WHERE generation = $1 AND position = $2 AND live = $4
"""


async def move_checkpoint(connection: Connection, generation: Generation, position: int, *, live: bool) -> None:
    """Compare-and-set of the checkpoint, from `generation.position` to `position`. Raises CheckpointConflict if another
    process moved it, or if the generation is live and `live` is false, or the other way round."""
    status = await connection.execute(MOVE_CHECKPOINT, generation.number, generation.position, position, live)
    if status != "UPDATE 1":
        raise conflict_of(generation)


def conflict_of(generation: Generation) -> CheckpointConflict:
    return CheckpointConflict(f"generation {generation.number} is not at position {generation.position} any more")


PARK = "UPDATE generation SET parked_position = $2, parked_error = $3 WHERE generation = $1 AND position = $2 - 1"


async def park(connection: Connection, generation: Generation, error: Exception) -> None:
    """Records that the next event cannot be applied, and why. The checkpoint stays before that event."""
    generation.parked_position = generation.position + 1
    await connection.execute(PARK, generation.number, generation.parked_position, f"{type(error).__name__}: {error}")
