"""Connections to PostgreSQL, for every service, which notice within seconds that their server is lost. Also COPY, and
hours as timestamps.

An address may name several hosts. Then the one that takes writes is found and taken (host_race.py), and left when
another host takes the writes (host_watch.py).

asyncpg alone can wait too long in two places. A large write (COPY, many rows in one statement) waits for room in the
socket's buffer, and asyncpg does not wake it when the connection is lost. And the kernel waits a quarter of an hour or
more for a server that does not answer.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import numpy as np

from shared import tracing
from shared.capacity import Vector
from shared.errors import words_of
from shared.host_race import ASK_TIMEOUT_S, NoHostTaken, first_taken
from shared.host_watch import watch_of
from shared.postgres_hosts import Host, hosts_of, parse_address

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
    # The address leads to a standby now, and may lead to a primary in a second.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # "recovery is in progress"
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process stood still for longer than SESSION allows
    asyncpg.IdleSessionTimeoutError,
    OSError,  # TimeoutError is one
)
# The server is there and has no disc or memory left for the statement, or cannot read or write its disc. It has done
# nothing. The same statement may succeed later. (TooManyConnectionsError is in LOST too: test for LOST first.)
NO_ROOM = (asyncpg.InsufficientResourcesError, asyncpg.PostgresIOError)
# Somebody migrates the database now: new tables and functions get their rights a moment later.
MIGRATING = (asyncpg.InsufficientPrivilegeError,)
# LOST, and every error that PostgreSQL answers. For background work that must survive every error: somebody may migrate
# the tables later, or the disc may be full for an hour.
LOST_OR_REFUSED = (*LOST, asyncpg.PostgresError)

# For the only host of an address: a busy server that answers late is better than none. A host of several has less time
# (ASK_TIMEOUT_S), for another may answer.
CONNECT_TIMEOUT_S = 5.0
IDLE_S, INTERVAL_S, PROBES = 5, 3, 3  # TCP keepalive: first probe after 5 s, then every 3 s, lost after 3 probes
UNHEARD_TIMEOUT_S = 20  # the connection is lost when the server has not acknowledged data for this long
STANDSTILL_S = 10

# What the server does for its side of a session: it ends the session of a machine that is gone (after the same times as
# above), and of a process that stands still within a transaction. Otherwise their locks would stay.
SESSION = {
    "tcp_keepalives_idle": str(IDLE_S),
    "tcp_keepalives_interval": str(INTERVAL_S),
    "tcp_keepalives_count": str(PROBES),
    "tcp_user_timeout": str(UNHEARD_TIMEOUT_S * 1000),
    "idle_in_transaction_session_timeout": f"{STANDSTILL_S}s",
}
# For the session whose lock says that its process leads. If it asks nothing for so long, the process stands still, and
# another one has to lead. A relay that waits for a silent NATS server is quiet for 11 s.
LEADING = {"idle_session_timeout": "15s"}
# For a session that waits in a transaction while another session of its process works.
PATIENT = {"idle_in_transaction_session_timeout": "0"}

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
PIECE_BYTES = 4 * 1024 * 1024  # size of one COPY message; PostgreSQL closes the connection on one of more than 1 GiB


class Reader(Protocol):
    """Something that runs SELECT statements: a connection, a pool, or one snapshot."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]: ...

    async def fetchrow(self, query: str, *args: Any) -> Record | None: ...


class WatchedConnection(Connection):
    """asyncpg's connection, which also notices that its server is lost. `host_name` says to which host it goes."""

    host_name = ""

    def __init__(self, protocol: Any, transport: Any, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        keep_alive(transport.get_extra_info("socket"))
        if (traces := tracing.traces()) is not None:
            self.add_query_logger(lambda one: traces.statement(one.query, one.elapsed, one.exception))
        # A write that waits for room in the socket's buffer goes on, and then finds the connection lost.
        self.add_termination_listener(lambda _: protocol.resume_writing())


async def connect(url: str, **options: Any) -> WatchedConnection:
    """Connects, with asyncpg's options, to the host of the address that takes writes.

    If the address says `target_session_attrs`, to a host of that kind. The only host of an address is taken as it is,
    also if it is a standby. Raises LOST_OR_REFUSED: TimeoutError if an only host does not answer in 5 s, NoHostTaken
    (which says why, for each host) if none of several was taken; each has 2 s.
    """
    hosts = hosts_of(url)
    if len(hosts) == 1:
        return await _connect_to(hosts[0], options)
    return await _connect_to_one_of(url, hosts, options)


def create_pool(url: str, **options: Any) -> Pool:
    """A pool of WatchedConnection, with asyncpg's options. Each of its connections is made as `connect` makes one."""
    options.setdefault("timeout", CONNECT_TIMEOUT_S)
    options["server_settings"] = {**SESSION, **(options.get("server_settings") or {})}
    if len(hosts_of(url)) > 1:
        options["connect"] = connect
    return asyncpg.create_pool(url, connection_class=WatchedConnection, **options)


async def keep_session(_: Connection) -> None:
    """The `reset` of a pool whose users leave no state in a session (no SET, no lock, no cursor): it does nothing. The
    usual reset costs a round trip each time that a connection goes back."""


async def _connect_to(host: Host, options: Mapping[str, Any]) -> WatchedConnection:
    settings = {**SESSION, **(options.get("server_settings") or {})}
    chosen = {
        "timeout": CONNECT_TIMEOUT_S,
        **options,
        "server_settings": settings,
        "connection_class": WatchedConnection,
    }
    connection: WatchedConnection = await asyncpg.connect(host.url, **chosen)
    connection.host_name = host.name
    return connection


async def address_of_writer(url: str) -> str:
    """The address with only that of its hosts that takes writes, for programs that take one host. The database need not
    exist yet. Raises as `connect` does."""
    if len(hosts_of(url)) == 1:
        return url
    try:
        connection = await connect(url)
    except (asyncpg.InvalidCatalogNameError, NoHostTaken) as error:
        try:
            connection = await connect(parse_address(url)._replace(path="postgres").text())
        except LOST_OR_REFUSED:
            raise error from None
    connection.terminate()
    return next(host.url for host in hosts_of(url) if host.name == connection.host_name)


# By the hosts of an address and the kind of host that is asked for: the name of the host that was taken last.
_taken: dict[tuple[str, ...], str] = {}
WRITING = ("primary", "read-write")  # the kinds of host that take writes


async def _connect_to_one_of(url: str, hosts: tuple[Host, ...], options: Mapping[str, Any]) -> WatchedConnection:
    """Asks first the host that was taken last."""
    kinds = kinds_asked(url, options)
    key = (*kinds, *(host.name for host in hosts))
    ordered = sorted(hosts, key=lambda host: host.name != _taken.get(key))
    timeout = min(options.get("timeout") or ASK_TIMEOUT_S, ASK_TIMEOUT_S)
    for kind in kinds:
        ask = partial(_ask, hosts, options={**options, "timeout": timeout, "target_session_attrs": kind})
        try:
            host, connection = await first_taken(ordered, ask)
        except NoHostTaken:
            if kind == kinds[-1]:
                raise
        else:
            _taken[key] = host.name
            taken: WatchedConnection = connection
            return taken
    raise AssertionError("an address asks for one kind of host at least")


async def _ask(hosts: tuple[Host, ...], host: Host, options: Mapping[str, Any]) -> WatchedConnection:
    """A connection to one of the hosts. One that is to write is ended when a newer primary takes the writes."""
    connection = await _connect_to(host, options)
    if options["target_session_attrs"] not in WRITING:
        return connection
    async with asyncio.timeout(ASK_TIMEOUT_S):
        admitted: WatchedConnection = await watch_of(hosts, _connect_to_look).admit(connection)
    return admitted


async def _connect_to_look(host: Host) -> WatchedConnection:
    settings = {"application_name": "hourbook-watch"}
    return await _connect_to(host, {"target_session_attrs": "any", "server_settings": settings})


def kinds_asked(url: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of host that will do, as `target_session_attrs` names them: the better first. Without a wish: a host
    that takes writes."""
    wish = options.get("target_session_attrs") or dict(parse_address(url).parameters()).get("target_session_attrs")
    if wish == "prefer-standby":
        return ("standby", "any")
    if wish:
        return (str(wish),)
    # asyncpg takes a session that is read-only by its own setting for a host that takes no writes.
    reads = "default_transaction_read_only" in (options.get("server_settings") or {})
    return ("primary" if reads else "read-write",)


def told(error: BaseException) -> str:
    """What a client is told of an error of the database. It names no host; the log of the service does."""
    if isinstance(error, NoHostTaken):
        return "no host of the database takes them now"
    return type(error).__name__ if isinstance(error, OSError) else words_of(error)


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
    connection: Connection, table: str, packed: Iterable[bytes], columns: Sequence[str] | None = None
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

    await connection.copy_to_table(table, source=chunks(), columns=columns, format="binary")


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
