"""One connection to PostgreSQL for a look every second. A silent server holds nobody up: the connection is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from shared import postgres
from shared.postgres import Connection, Record


class OneConnection:
    """A connection that is made when it is needed. One statement runs at a time; each has `timeout_s`, with connecting
    and with the wait for the statement before it.

    A pool would wait for the server to cancel a statement that took too long. A server that stands still never does.
    """

    def __init__(self, url: str, timeout_s: float | None, settings: Mapping[str, str]) -> None:
        self._url, self._timeout_s, self._settings = url, timeout_s, dict(settings)
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Closed when the block ends. It opens without the server too."""
        try:
            yield
        finally:
            self._give_up()

    async def fetchrow(self, statement: str) -> Record | None:
        """The first row of a SELECT. Raises LOST_OR_REFUSED; TimeoutError if the server does not answer in time."""
        async with asyncio.timeout(self._timeout_s), self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await postgres.connect(self._url, server_settings=self._settings)
                found: Record | None = await self._connection.fetchrow(statement)
                return found
            except BaseException:
                self._give_up()
                raise

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
