"""The indexer: adds new events to event_index, which says what each event is about, for searching.

It is no read model: a rebuild leaves event_index alone, and one SQL function does all of the work.
"""

from __future__ import annotations

import logging

from services.projector.bell import Bell
from shared import postgres
from shared.batch_size import BatchSize
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import keep_running

log = logging.getLogger(__name__)

BATCH_MAX = 5000
RETRY_DELAY_S = 1.0
STATEMENT_TIMEOUT_S = 120.0

INDEX = "SELECT index_events($1)"


class Indexer:
    """Several may run: the row of event_index_head lets one at a time do the work. It waits for the bell, `poll_s` at
    least."""

    def __init__(self, database_url: str, bell: Bell, *, poll_s: float = 0.25) -> None:
        self._database_url, self._bell, self._poll_s = database_url, bell, poll_s
        self._size = BatchSize(BATCH_MAX)

    async def run(self) -> None:
        """Indexes until it is cancelled, over lost connections."""
        await keep_running(log, "indexer", self._serve, LOST_OR_REFUSED, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=STATEMENT_TIMEOUT_S)
        try:
            while True:
                wanted = self._size.now
                with self._size.adapting():
                    indexed = await index_batch(connection, wanted)
                if indexed < wanted:
                    await self._bell.wait(self._poll_s)
        finally:
            connection.terminate()


async def index_batch(connection: Connection, count_max: int = BATCH_MAX) -> int:
    """Indexes the next events, `count_max` at most, and returns their number."""
    return int(await connection.fetchval(INDEX, count_max))
