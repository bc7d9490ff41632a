"""Connections to PostgreSQL, for every service: they notice within seconds that their server is gone.

asyncpg alone has two waits without an end. A large write (COPY, many rows in one statement) waits for room in the
socket, and does not hear that the connection was lost meanwhile. And the kernel waits for a silent peer for a quarter
of an hour, or for ever.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import numpy as np

from shared.capacity import Vector

Record = asyncpg.Record
if TYPE_CHECKING:
    Connection = asyncpg.Connection[Record]
    Pool = asyncpg.Pool[Record]
else:  # at run time asyncpg's classes take no parameter
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

# The connection or the server is lost, or the server takes no connection for now: ask the same again on a new one.
# What a statement itself may be the reason for (no memory, a time limit) is not here.
LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    OSError,  # and so TimeoutError
)
# LOST, and every error that PostgreSQL answers. For work that must go on whatever PostgreSQL says: its tables may be
# migrated later, its disc may be full for an hour.
LOST_OR_REFUSED = (*LOST, asyncpg.PostgresError)

CONNECT_TIMEOUT_S = 5.0
IDLE_S, INTERVAL_S, PROBES = 5, 3, 3  # a silent peer of an idle connection is asked whether it is there
UNHEARD_TIMEOUT_S = 20  # what was sent and is not taken for so long is not taken any more

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
PIECE_BYTES = 4 * 1024 * 1024  # of rows, in one message: PostgreSQL drops who sends one of more than 1 GiB


class Reader(Protocol):
    """Runs statements that read: a connection, a pool, or one snapshot."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]: ...

    async def fetchrow(self, query: str, *args: Any) -> Record | None: ...


class WatchedConnection(Connection):
    """asyncpg's connection. It notices that its server is gone."""

    def __init__(self, protocol: Any, transport: Any, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        keep_alive(transport.get_extra_info("socket"))
        # Who waits for room goes on, and then hears that the connection was lost.
        self.add_termination_listener(lambda _: protocol.resume_writing())


async def connect(url: str, **options: Any) -> Connection:
    """Connects, with asyncpg's options. Raises LOST_OR_REFUSED: TimeoutError after 5 s without an answer."""
    options.setdefault("timeout", CONNECT_TIMEOUT_S)
    connection: Connection = await asyncpg.connect(url, connection_class=WatchedConnection, **options)
    return connection


def create_pool(url: str, **options: Any) -> Pool:
    """A pool of such connections, with asyncpg's options."""
    options.setdefault("timeout", CONNECT_TIMEOUT_S)
    return asyncpg.create_pool(url, connection_class=WatchedConnection, **options)


def keep_alive(connected: Any) -> None:
    """Has the kernel ask whether the other side is there. Elsewhere than on Linux it asks in its own time."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for option, value in (
            (socket.TCP_KEEPIDLE, IDLE_S),
            (socket.TCP_KEEPINTVL, INTERVAL_S),
            (socket.TCP_KEEPCNT, PROBES),
            (socket.TCP_USER_TIMEOUT, UNHEARD_TIMEOUT_S * 1000),
        ):
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


async def copy_rows(
    connection: Connection,
    table: str,
    packed: Iterable[bytes],
    columns: Sequence[str] | None = None,
    schema: str | None = None,
) -> None:
    """Adds rows in COPY's binary format. `packed` are rows, one or more a part, and are taken as they are sent."""

    async def chunks() -> AsyncIterator[bytes]:
        yield COPY_HEAD
        for piece in pieces(packed):
            yield piece
            if connection.is_closed():
                return
        yield COPY_END

    await connection.copy_to_table(table, source=chunks(), columns=columns, schema_name=schema, format="binary")


def pieces(packed: Iterable[bytes], size: int = PIECE_BYTES) -> Iterator[bytes]:
    """The same bytes, in pieces of about `size`, which may begin and end anywhere."""
    held: list[bytes] = []
    length = 0
    for part in packed:
        held.append(part)
        length += len(part)
        if length >= size:
            joined, held, length = b"".join(held), [], 0
            yield from (joined[start : start + size] for start in range(0, len(joined), size))
    if held:
        yield b"".join(held)


# PostgreSQL sends and takes a timestamptz as microseconds since 2000-01-01T00:00Z, an int64 of big-endian bytes.
HOUR_US = 3_600_000_000
EPOCH_HOUR = 262_968  # 2000-01-01T00:00Z in hours since 1970


def timestamps_of(hours: Vector) -> Vector:
    """Hours since 1970 as PostgreSQL's timestamps; the same shape."""
    return (hours - EPOCH_HOUR) * HOUR_US


def hours_received(packed: bytes, *, since: int = 0) -> Vector:
    """Hours, shape (n,), of `packed`, n timestamps one after the other. They count from the hour `since`."""
    hours: Vector = np.frombuffer(packed, dtype=">i8") // HOUR_US
    hours += EPOCH_HOUR - since
    return hours
