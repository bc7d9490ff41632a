"""Keeps the past: what each event did to the hours, and every version of every other row, a moment behind the events.

It is beside the projections and not among them, as the indexer is: what is live neither waits for it nor needs it, and
a rebuild leaves it alone. Its folds are the projector's own, an event at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from services.projector.as_of.rows import load_rows, read_past_pools, write_rows
from services.projector.as_of.versions import Rows
from services.projector.projections import needed_for
from services.projector.projections.pools import Pools
from shared import postgres
from shared.as_of import pack, read_all_hours, read_hours_at
from shared.batches import BatchSize
from shared.event_store import EventStore
from shared.events import Event, decode_events
from shared.postgres import Connection
from shared.tasks import keep_running
from shared.timeline import Timeline

log = logging.getLogger(__name__)

BATCH_MAX = 200  # a batch takes the loop for some milliseconds, and others are in it
SNAPSHOT_CHANGES = 4000  # as many changes of a pool's hours are summed in a few milliseconds
HOURS_MAX = 500_000  # whose sizes are held at once
RETRY_DELAY_S = 1.0
STATEMENT_TIMEOUT_S = 120.0
WIDTH = 6


class Moved(Exception):
    """Another historian was faster."""


class Historian:
    """Several may run: the head moves by compare-and-set, so one does the work and the others' is undone. It rests
    while those that it shares a process with are `busy`."""

    def __init__(self, database_url: str, *, poll_s: float = 0.25, busy: Callable[[], bool] = lambda: False) -> None:
        self._database_url, self._poll_s, self._busy = database_url, poll_s, busy
        self._size = BatchSize(BATCH_MAX)

    async def run(self) -> None:
        """Keeps the past until it is cancelled, over lost connections. An event that cannot be applied is not passed
        over: as_of then ends before it, as the live generation does."""
        # Over every error, too: it must not end the live projection, which runs in the same process.
        await keep_running(log, "historian", self._serve, (Exception,), RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=STATEMENT_TIMEOUT_S)
        try:
            past = await load_past(connection)
            while True:
                if not self._busy():
                    with self._size.learning(Moved):
                        await past.advance(self._size.now)
                if past.level or self._busy():
                    await asyncio.sleep(self._poll_s)
        finally:
            connection.terminate()


HEAD = "SELECT position FROM past_head"
UNKEPT = """
SELECT p.pool, count(*) FROM past_pool p
CROSS JOIN LATERAL (SELECT coalesce(max(position), 0) FROM past_hours h WHERE h.pool = p.pool) AS kept (position)
JOIN past_change c ON c.pool = p.pool AND c.position > kept.position
WHERE p.until = 9223372036854775807 GROUP BY p.pool
"""


async def load_past(connection: Connection) -> Past:
    """The past as far as it is kept, to go on from."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        position = int(await connection.fetchval(HEAD))
        pools = await read_past_pools(connection)
        unkept = Counter({record["pool"]: record["count"] for record in await connection.fetch(UNKEPT)})
    return Past(connection, position, pools, unkept)


MOVE = "UPDATE past_head SET position = $2 WHERE position = $1"
KEEP = "INSERT INTO past_hours (pool, position, base, cells) VALUES ($1, $2, $3, $4)"


class Past:
    """`unkept` counts the changes of each pool's hours since its last snapshot; `level` says that no more events wait.
    After an error it is of no more use."""

    def __init__(self, connection: Connection, position: int, pools: Pools, unkept: Counter[int]) -> None:
        self._connection, self.position, self._pools, self._unkept = connection, position, pools, unkept
        self.level = False

    async def advance(self, count_max: int) -> int:
        """Keeps what the next events did, so many at most; answers how many it took. Raises Moved, and as `fold`."""
        stored = await EventStore(self._connection).after(self.position, count_max)
        self.level = len(stored) < count_max
        if not stored:
            return 0
        events = decode_events([event.data for event in stored])
        while len(events) > 1 and needed_for(events).hours > HOURS_MAX:
            events, self.level = events[: len(events) // 2], False
        await self._advance(events)
        return len(events)

    async def _advance(self, events: list[Event]) -> None:
        after = self.position + len(events)
        async with self._connection.transaction():
            if await self._connection.execute(MOVE, self.position, after) != "UPDATE 1":
                raise Moved(f"the past is not at position {self.position} any more")
            rows = await load_rows(self._connection, self._pools, events)
            sizes = await self._sizes(needed_for(events).sizes)
            for position, event in enumerate(events, self.position + 1):
                rows.apply(position, event, sizes)
            await write_rows(self._connection, rows)
            await self._keep_hours(rows, after)
        self.position = after

    async def _sizes(self, ranges: dict[str, tuple[int, int]]) -> dict[str, Timeline]:
        """What was granted before the batch to the clusters that it resizes."""
        sizes: dict[str, Timeline] = {}
        for cluster, (start, end) in ranges.items():
            number = self._pools.numbers.get(cluster, 0)
            cells = await read_hours_at(self._connection, number, self.position, start, end)
            sizes[cluster] = Timeline(start, cells[:, :WIDTH].copy())
        return sizes

    async def _keep_hours(self, rows: Rows, position: int) -> None:
        """A snapshot of each pool of which many changes have come together."""
        self._unkept.update(change.pool for change in rows.hours)
        for pool in {change.pool for change in rows.hours}:
            if self._unkept[pool] >= SNAPSHOT_CHANGES:
                _, base, cells = await read_all_hours(self._connection, pool, position)
                await self._connection.execute(KEEP, pool, position, base, pack(cells))
                self._unkept[pool] = 0
