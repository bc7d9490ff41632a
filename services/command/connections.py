"""Connections for requests that the one writer does not decide, such as those for webhooks, tokens and sessions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.command.handler.errors import StoreFull, StoreUnavailable
from shared import postgres
from shared.event_store.replication import CommitWatch
from shared.postgres import LOST, MIGRATING, NO_ROOM, Connection, told

PATIENCE_S = 10.0
AT_ONCE_MAX = 8


class Connections:
    """`one` from any task: AT_ONCE_MAX of them have a connection at the same time."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection of the block's own, for PATIENCE_S at most. Raises StoreFull if the database has no room; then
        nothing is stored. Raises StoreUnavailable if it does not answer; then nobody knows whether it is stored."""
        try:
            async with self._turns, asyncio.timeout(PATIENCE_S):
                connection = await postgres.connect(self._database_url)
                commits = CommitWatch(connection)
                try:
                    yield connection
                    commits.check()
                finally:
                    connection.terminate()
        except (*LOST, *MIGRATING) as lost:
            raise StoreUnavailable(f"the database did not answer: {told(lost)}") from None
        except NO_ROOM as full:
            raise StoreFull.because(full) from None
