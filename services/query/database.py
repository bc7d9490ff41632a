"""The pool of connections to the database. A read borrows one for a statement or a snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import asyncpg

from shared import postgres
from shared.errors import HourbookError
from shared.postgres import LOST, Connection, Pool, Reader, Record

T = TypeVar("T")

STATEMENT_TIMEOUT_S = 30.0

# Each connection prepares and plans a statement once, for all arguments. No statement may write.
SERVER_SETTINGS = {
    "application_name": "hourbook-query",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_read_only": "on",
}
# A read changes nothing and may be repeated. So these errors count as "unreachable" too: PostgreSQL cancelled the
# statement (a time limit, an administrator), or it has no memory, disc or connection left.
UNREACHABLE = (*LOST, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)


class NoGeneration(HourbookError):
    """No generation of the read models is live: they are being built. Ask again later."""

    code = "no_generation"
    status = 503
    title = "The read models are not there"


def live(found: T | None) -> T:
    """Returns `found`, the record or the records of a statement over the live generation. Raises NoGeneration when
    there is none: every such statement has a row for the generation itself, so no generation is live."""
    if not found:
        raise NoGeneration("no generation of the read models is live")
    return found


class Database:
    """A Reader of the newest state. It opens connections when it needs them, at most `connections_max`."""

    def __init__(self, url: str, connections_max: int) -> None:
        self._url, self._connections_max = url, connections_max
        self._pool: Pool

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open until the block ends. It opens without the server too."""
        self._pool = postgres.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections_max,
            reset=keep_session,
            server_settings=SERVER_SETTINGS,
            command_timeout=STATEMENT_TIMEOUT_S,
        )
        async with self._pool:
            yield

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]:
        async with self._pool.acquire() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        async with self._pool.acquire() as connection:
            return await connection.fetchrow(query, *args)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """A Reader whose statements all see one state."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


async def keep_session(_: Connection) -> None:
    """Does not reset a connection that goes back to the pool. Reads leave no state in it, and a reset costs a round
    trip."""
