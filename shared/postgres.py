"""Connections to PostgreSQL, for every service, which notice within seconds that their server is lost. Also COPY, and
hours as timestamps.

asyncpg alone can wait too long in two places. A large write (COPY, many rows in one statement) waits for room in the
socket's buffer, and asyncpg does not wake it when the connection is lost. And the kernel waits a quarter of an hour or
more for a server that does not answer.
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

# The connection or the server is lost, or the server accepts no connection now. The same statement may succeed on a new
# connection. Errors that the statement itself may cause (no memory, a time limit) are not in this tuple.
LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    OSError,  # TimeoutError is one
)
# LOST, and every error that PostgreSQL answers. For background work that must survive every error: somebody may migrate
# the tables later, or the disc may be full for an hour.
LOST_OR_REFUSED = (*LOST, asyncpg.PostgresError)

CONNECT_TIMEOUT_S = 5.0
IDLE_S, INTERVAL_S, PROBES = 5, 3, 3  # TCP keepalive: first probe after 5 s, then every 3 s, lost after 3 probes
UNHEARD_TIMEOUT_S = 20  # the connection is lost when the server has not acknowledged data for this long

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
PIECE_BYTES = 4 * 1024 * 1024  # size of one COPY message; PostgreSQL closes the connection on one of more than 1 GiB


class Reader(Protocol):
    """Something that runs SELECT statements: a connection, a pool, or one snapshot."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]: ...

    async def fetchrow(self, query: str, *args: Any) -> Record | None: ...


class WatchedConnection(Connection):
    """asyncpg's connection, which also notices that its server is lost."""

    def __init__(self, protocol: Any, transport: Any, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        keep_alive(transport.get_extra_info("socket"))
        # A write that waits for room in the socket's buffer goes on, and then finds the connection lost.
        self.add_termination_listener(lambda _: protocol.resume_writing())


async def connect(url: str, **options: Any) -> Connection:
    """Connects, with asyncpg's options. Raises LOST_OR_REFUSED; TimeoutError if the server does not answer in 5 s."""
    options.setdefault("timeout", CONNECT_TIMEOUT_S)
    connection: Connection = await asyncpg.connect(url, connection_class=WatchedConnection, **options)
    return connection


def create_pool(url: str, **options: Any) -> Pool:
    """A pool of WatchedConnection, with asyncpg's options."""
    options.setdefault("timeout", CONNECT_TIMEOUT_S)
    return asyncpg.create_pool(url, connection_class=WatchedConnection, **options)


def rows_changed(status: str) -> int:
    """How many rows a statement has inserted, changed or deleted. `status` is PostgreSQL's word, such as `DELETE 3`."""
    return int(status.rpartition(" ")[2])


def keep_alive(connected: Any) -> None:
    """Turns on TCP keepalive on asyncpg's socket, with our times on Linux and the system's elsewhere. Does nothing for
    a Unix socket or for None."""
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
    """Inserts rows with a binary COPY. Each part of `packed` is one or more whole rows in COPY's binary format. The
    iterable is read while the rows are sent."""

    async def chunks() -> AsyncIterator[bytes]:
        yield COPY_HEAD
        for piece in pieces(packed):
            yield piece
            if connection.is_closed():
                return
        yield COPY_END

    await connection.copy_to_table(table, source=chunks(), columns=columns, schema_name=schema, format="binary")


def pieces(packed: Iterable[bytes], size: int = PIECE_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of at most `size` bytes. A piece may start and end within a row."""
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


# PostgreSQL's binary timestamptz: microseconds since 2000-01-01T00:00Z, an int64 in big-endian order.
HOUR_US = 3_600_000_000
EPOCH_HOUR = 262_968  # 2000-01-01T00:00Z in hours since 1970


def timestamps_of(hours: Vector) -> Vector:
    """Hours since 1970 as PostgreSQL's timestamps, int64, in an array of the same shape."""
    return (hours - EPOCH_HOUR) * HOUR_US


def hours_received(packed: bytes, *, since: int = 0) -> Vector:
    """The hours of `packed`, which has n binary timestamps in a row; shape (n,). Hours are counted from `since`."""
    hours: Vector = np.frombuffer(packed, dtype=">i8") // HOUR_US
    hours += EPOCH_HOUR - since
    return hours
