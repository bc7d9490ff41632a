"""The pool of connections to the database. A read borrows one for a statement or a snapshot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from services.query.held_hours import HeldHours
from shared import postgres
from shared.errors import HourbookError, InvalidField
from shared.host_race import NoHostTaken
from shared.postgres import LOST, MIGRATING, Pool, Reader, Record

T = TypeVar("T")
Admit = Callable[[Any], Awaitable[None]]

STATEMENT_TIMEOUT_S = 30.0

# Each connection prepares and plans a statement once, for all arguments. No statement may write.
SERVER_SETTINGS = {
    "application_name": "hourbook-query",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_read_only": "on",
}
# A standby cancelled the statement, because it stood in the way of what the primary had done.
CANCELLED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# A read changes nothing and may be repeated. So these errors count as "unreachable" too: PostgreSQL cancelled the
# statement (a time limit, an administrator), or it has no memory, disc or connection left.
UNREACHABLE = (*LOST, *MIGRATING, *CANCELLED, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
# Errors after which the same read is tried again at once: it was cancelled, or its server ended or lost its connection.
# Not those after which it would wait once more: a time limit, hosts that do not answer (NoHostTaken).
BROKEN = (
    *CANCELLED,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the end of a transaction, on a connection that was lost in it
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionResetError,
)
PAUSES_S = (0.0, 0.05, 0.1, 0.2)  # before each further try


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


class BeyondTheEnd(InvalidField):
    """A position or a number of the request is beyond the last one that the database has."""


async def again(read: Callable[[], Awaitable[T]]) -> T:
    """What `read` returns. Calls it again, len(PAUSES_S) times at most, while it raises one of BROKEN. Raises what the
    last call raised."""
    for pause_s in PAUSES_S:
        try:
            return await read()
        except NoHostTaken:
            raise
        except BROKEN:
            await asyncio.sleep(pause_s)
    return await read()


class Database:
    """A Reader of the newest state. It opens connections when it needs them, at most `connections_max`, and tells each
    to `admit`. `held` are hours that were read from it; None: each read takes all rows."""

    held: HeldHours | None = None

    def __init__(
        self, url: str, connections_max: int, admit: Admit | None = None, held: HeldHours | None = None
    ) -> None:
        self._url, self._connections_max, self._admit, self.held = url, connections_max, admit, held
        self._pool: Pool

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open until the block ends. It opens without the server too."""
        self._pool = postgres.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections_max,
            reset=postgres.keep_session,
            init=self._admit,
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
