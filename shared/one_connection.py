"""One connection to PostgreSQL for a look every second. A silent server holds nobody up: the connection is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from shared import postgres
from shared.postgres import Record, WatchedConnection


class OneConnection:
    """A connection that is made when it is needed. One statement runs at a time. It has `timeout_s`, and so has each
    host to give the connection.

    A pool would wait for the server to cancel a statement that took too long. A server that stands still never does.
    """

    def __init__(self, url: str, timeout_s: float, settings: Mapping[str, str]) -> None:
        self._url, self._timeout_s, self._settings = url, timeout_s, dict(settings)
        self._connection: WatchedConnection | None = None
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
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await postgres.connect(
                    self._url, server_settings=self._settings, timeout=self._timeout_s
                )
            try:
                async with asyncio.timeout(self._timeout_s):
                    found: Record | None = await self._connection.fetchrow(statement)
                    return found
            except BaseException:
                self._give_up()
                raise

    @property
    def host_name(self) -> str | None:
        """The host that answered last; None while there is no connection."""
        return None if self._connection is None else self._connection.host_name

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
