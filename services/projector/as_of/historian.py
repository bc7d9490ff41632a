"""The historian: stores, a moment behind the events, what point-in-time reads (`as_of`) need.

change    what one event adds to the hours of a pool (past_change)
snapshot  all hours of a pool at one position, so that few changes need to be summed (past_hours)
version   a row of another read model, with the positions between which it is the current one (past_pool …)

It runs beside the live projection. Neither that nor a rebuild needs it. It uses the same fold, one event at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from services.projector.as_of.rows import load_versions, read_tree, write_versions
from services.projector.as_of.versions import HourChange
from services.projector.projections import needed_for
from services.projector.projections.pools import Pools
from shared import postgres
from shared.as_of import pack, read_all_hours, read_hours_at
from shared.batch_size import BatchSize
from shared.capacity import DIMENSIONS
from shared.event_store import EventStore
from shared.events import Event, decode_events
from shared.postgres import Connection
from shared.tasks import keep_running
from shared.timeline import Timeline

log = logging.getLogger(__name__)

BATCH_MAX = 200  # a batch holds the event loop for some milliseconds; other tasks of the process wait
SNAPSHOT_CHANGES = 4000  # changes of a pool between two snapshots: their sum takes a few milliseconds
HOURS_MAX = 500_000  # hours of resized clusters in one batch
RETRY_DELAY_S = 1.0
STATEMENT_TIMEOUT_S = 120.0


class HeadConflict(Exception):
    """Another historian has stored these events."""


class Historian:
    """Several may run: `past_head` moves by compare-and-set, so only one of them writes a batch. It pauses while `busy`
    is true, which is when the live projection in the same process has much to do."""

    def __init__(self, database_url: str, *, poll_s: float = 0.25, busy: Callable[[], bool] = lambda: False) -> None:
        self._database_url, self._poll_s, self._busy = database_url, poll_s, busy
        self._size = BatchSize(BATCH_MAX)

    async def run(self) -> None:
        """Runs until it is cancelled. It does not skip an event that cannot be applied: `as_of` then ends before it, as
        the live generation does."""
        # It goes on after every error: none may end the live projection, which runs in the same process.
        await keep_running(log, "historian", self._serve, (Exception,), RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=STATEMENT_TIMEOUT_S)
        try:
            writer = await load_writer(connection)
            while True:
                if not self._busy():
                    with self._size.adapting(HeadConflict):
                        await writer.advance(self._size.now)
                if writer.caught_up or self._busy():
                    await asyncio.sleep(self._poll_s)
        finally:
            connection.terminate()


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


class AsOfWriter:
    """Stores the changes, snapshots and versions of the events after `position`. Do not use it after an error.

    `changes_since_snapshot` counts by pool. `caught_up`: the last `advance` found no more events than it took.
    """

    def __init__(
        self, connection: Connection, position: int, tree: Pools, changes_since_snapshot: Counter[int]
    ) -> None:
        self._connection, self.position, self._tree = connection, position, tree
        self._changes_since_snapshot = changes_since_snapshot
        self.caught_up = False

    async def advance(self, count_max: int) -> int:
        """Takes the next events, `count_max` at most, and returns their number. Raises HeadConflict, and what `fold`
        raises."""
        stored = await EventStore(self._connection).after(self.position, count_max)
        self.caught_up = len(stored) < count_max
        if not stored:
            return 0
        events = decode_events([event.data for event in stored])
        while len(events) > 1 and needed_for(events).hours > HOURS_MAX:
            events, self.caught_up = events[: len(events) // 2], False
        await self._write(events)
        return len(events)

    async def _write(self, events: list[Event]) -> None:
        last = self.position + len(events)
        async with self._connection.transaction():
            if await self._connection.execute(MOVE_HEAD, self.position, last) != "UPDATE 1":
                raise HeadConflict(f"the past is not at position {self.position} any more")
            versions = await load_versions(self._connection, self._tree, events)
            sizes = await self._read_sizes(needed_for(events).sizes)
            for position, event in enumerate(events, self.position + 1):
                versions.add(position, event, sizes)
            await write_versions(self._connection, versions)
            await self._add_snapshots(versions.hours, last)
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

    async def _add_snapshots(self, changes: list[HourChange], position: int) -> None:
        """Adds a snapshot at `position` of each pool that has many changes since its last one."""
        self._changes_since_snapshot.update(change.pool for change in changes)
        for pool in {change.pool for change in changes}:
            if self._changes_since_snapshot[pool] >= SNAPSHOT_CHANGES:
                _, base, cells = await read_all_hours(self._connection, pool, position)
                await self._connection.execute(ADD_SNAPSHOT, pool, position, base, pack(cells))
                self._changes_since_snapshot[pool] = 0
