"""The historian: stores, a moment behind the events, what point-in-time reads (`as_of`) need.

change    what one event adds to the hours of a pool (past_change)
snapshot  all hours of a pool at one position, so that few changes need to be summed (past_hours)
version   a row of another read model, with the positions between which it is the current one (past_pool …)

It runs beside the live projection. Neither that nor a rebuild needs it. It uses the same fold, one event at a time;
bookings that are created and cancelled are folded by columns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

from services.projector.as_of.rows import load_versions, read_tree, write_versions
from services.projector.as_of.versions import BatchVersions
from services.projector.bell import Bell
from services.projector.projections import Needed, needed_for
from services.projector.projections.pools import Pools
from shared import postgres
from shared.as_of import pack, read_all_hours, read_hours_at
from shared.batch_size import BatchSize
from shared.capacity import DIMENSIONS
from shared.event_store import EventStore
from shared.events.batch import EventBatch, decode_batch
from shared.postgres import Connection
from shared.tasks import keep_running
from shared.timeline import Timeline

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

BATCH_MAX = 5_000  # in a larger batch, events share statements
THREAD_MIN = 200  # events that hold the event loop for some milliseconds
SNAPSHOT_CHANGES = 4000  # changes of a pool between two snapshots: their sum takes a few milliseconds
HOURS_MAX = 500_000  # hours of resized clusters in one batch
RETRY_DELAY_S = 1.0
STATEMENT_TIMEOUT_S = 120.0


class HeadConflict(Exception):
    """Another historian has stored these events."""


class Historian:
    """Several may run: `past_head` moves by compare-and-set, so only one of them writes a batch. It pauses while `busy`
    is true, which is when the live projection in the same process has much to do. It waits for the bell, `poll_s` at
    least; without one it only polls."""

    def __init__(
        self,
        database_url: str,
        bell: Bell | None = None,
        *,
        poll_s: float = 0.25,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._database_url, self._poll_s, self._busy = database_url, poll_s, busy
        self._bell = bell or Bell(unheard_s=poll_s)
        self._size = BatchSize(BATCH_MAX)

    async def run(self) -> None:
        """Runs until it is cancelled. It does not skip an event that cannot be applied: `as_of` then ends before it, as
        the live generation does."""
        # It goes on after every error: none may end the live projection, which runs in the same process.
        await keep_running(log, "historian", self._serve, (Exception,), RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=STATEMENT_TIMEOUT_S)
        writer: AsOfWriter | None = None
        try:
            writer = await load_writer(connection)
            while True:
                if not self._busy():
                    with self._size.adapting(HeadConflict):
                        await writer.advance(self._size.now)
                if writer.caught_up or self._busy():
                    await self._bell.wait(self._poll_s)
        finally:
            connection.terminate()
            if writer is not None:
                writer.stop()


HEAD = "SELECT position FROM past_head"
CHANGES_SINCE_SNAPSHOT = """
SELECT p.pool, count(*) FROM past_pool p
CROSS JOIN LATERAL (SELECT coalesce(max(position), 0) FROM past_hours h WHERE h.pool = p.pool) AS kept (position)
JOIN past_change c ON c.pool = p.pool AND c.position > kept.position
WHERE p.until = 9223372036854775807 GROUP BY p.pool
"""


async def load_writer(connection: Connection) -> AsOfWriter:
    """A writer that continues after the last stored position."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        position = int(await connection.fetchval(HEAD))
        tree = await read_tree(connection)
        counts = await connection.fetch(CHANGES_SINCE_SNAPSHOT)
    return AsOfWriter(connection, position, tree, Counter({record["pool"]: record["count"] for record in counts}))


MOVE_HEAD = "UPDATE past_head SET position = $2 WHERE position = $1"
ADD_SNAPSHOT = "INSERT INTO past_hours (pool, position, base, cells) VALUES ($1, $2, $3, $4)"


class Prepared(NamedTuple):
    """The bytes of the next events, and the events. `versions` are what they change; None if that depends on rows that
    are to be read."""

    stored: list[bytes]
    batch: EventBatch
    versions: BatchVersions | None


def prepare(stored: list[bytes], tree: Pools, first_position: int) -> Prepared:
    """Does all that needs no rows. Raises what `fold` raises."""
    batch = decode_batch(stored)
    if batch.others or (batch.ended_rows < 0).any():
        return Prepared(stored, batch, None)
    versions = BatchVersions(tree)
    versions.add_batch(first_position, batch, {})
    return Prepared(stored, batch, versions)


class AsOfWriter:
    """Stores the changes, snapshots and versions of the events after `position`. Do not use it after an error.

    `changes_since_snapshot` counts by pool. `caught_up`: the last `advance` found no more events than it took.
    """

    def __init__(
        self, connection: Connection, position: int, tree: Pools, changes_since_snapshot: Counter[int]
    ) -> None:
        self._connection, self.position, self._tree = connection, position, tree
        self._changes_since_snapshot = changes_since_snapshot
        self._ahead: asyncio.Task[Prepared] | None = None
        self.caught_up = False

    async def advance(self, count_max: int) -> int:
        """Takes the next events, `count_max` at most, and returns their number. Raises HeadConflict, and what `fold`
        raises."""
        prepared = await (self._ahead or self._prepared(self.position, count_max))
        self._ahead, batch, whole = None, prepared.batch, True
        if not batch.length:
            self.caught_up = True
            return 0
        while batch.length > 1 and needed_of(batch).hours > HOURS_MAX:
            batch, whole = await in_thread(batch.length, decode_batch, prepared.stored[: batch.length // 2]), False
        self.caught_up = whole and batch.length < count_max
        try:
            await self._write(prepared._replace(batch=batch), count_max if batch.length == count_max else 0)
        except BaseException:
            self.stop()
            raise
        return batch.length

    def stop(self) -> None:
        """Ends what is prepared beside the writing."""
        if self._ahead is not None:
            self._ahead.cancel()

    async def _prepared(self, position: int, count_max: int) -> Prepared:
        """The next events after `position`."""
        stored = await EventStore(self._connection).data_after(position, count_max)
        return await in_thread(len(stored), prepare, stored, self._tree, position + 1)

    async def _write(self, prepared: Prepared, ahead: int) -> None:
        """Stores the batch. Meanwhile a thread prepares the next events, `ahead` at most."""
        batch, versions, last = prepared.batch, prepared.versions, self.position + prepared.batch.length
        following = await EventStore(self._connection).data_after(last, ahead) if ahead else []
        async with self._connection.transaction():
            if await self._connection.execute(MOVE_HEAD, self.position, last) != "UPDATE 1":
                raise HeadConflict(f"the past is not at position {self.position} any more")
            if versions is None:
                versions = await load_versions(self._connection, self._tree, batch)
                sizes = await self._read_sizes(needed_of(batch).sizes)
                await in_thread(batch.length, versions.add_batch, self.position + 1, batch, sizes)
            if following:  # what was folded until here is in the tree
                preparing = in_thread(len(following), prepare, following, self._tree, last + 1)
                self._ahead = asyncio.create_task(preparing)
            await write_versions(self._connection, versions)
            await self._add_snapshots(versions.changed_pools(), last)
        self.position = last

    async def _read_sizes(self, ranges: dict[str, tuple[int, int]]) -> dict[str, Timeline]:
        """What each cluster was granted in these hours before the batch."""
        sizes: dict[str, Timeline] = {}
        for cluster, (start, end) in ranges.items():
            number = self._tree.numbers.get(cluster, 0)
            cells = await read_hours_at(self._connection, number, self.position, start, end)
            sizes[cluster] = Timeline()
            sizes[cluster].write(start, end, cells[:, : len(DIMENSIONS)])
        return sizes

    async def _add_snapshots(self, changes: Counter[int], position: int) -> None:
        """Adds a snapshot at `position` of each pool that has many changes since its last one. `changes` are those of
        the batch, by pool."""
        self._changes_since_snapshot.update(changes)
        for pool in changes:
            if self._changes_since_snapshot[pool] >= SNAPSHOT_CHANGES:
                _, base, cells = await read_all_hours(self._connection, pool, position)
                await self._connection.execute(ADD_SNAPSHOT, pool, position, base, await asyncio.to_thread(pack, cells))
                self._changes_since_snapshot[pool] = 0


def needed_of(batch: EventBatch) -> Needed:
    return needed_for([event for _, event in batch.others])


async def in_thread(events: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns. A thread does it if the events are many, so that other tasks get their turn."""
    if events < THREAD_MIN:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
