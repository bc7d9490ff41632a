"""Limits of client connections: timeouts for the head and the body of a request, and how many connections are open.

One task looks at all connections once a second. It sets no timer for each request, so a fast request pays nothing.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol

from shared.http.problem_document import HttpProblem

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0
# An idle connection of the one address is kept for so long. Many idle ones would keep new clients out.
IDLE_S = 15
# The server closes a connection whose client has read nothing of its response for this long. A client that reads 10 kB
# a second opens its TCP window once in 100 s.
SEND_TIMEOUT_S = 120.0
KERNEL_SEND_TIMEOUT_S = 150  # the kernel drops a connection whose peer has acknowledged no data for this long
RESERVED_FILES = 256  # open files for other things than clients: connections to the database, logs, libraries
CONNECTIONS_MAX = 10_000
HEAD_BYTES_MAX = 65_536

Part = Literal["head", "body"]


class AwaitedPart(NamedTuple):
    """A part of a request that the server waits for. `request` stays the same object for one request."""

    part: Part
    request: object


class ConnectionLimits(NamedTuple):
    """`head_s` and `body_s`: within how many seconds the whole head and the whole body must arrive. `connections`: how
    many connections may be open at once."""

    head_s: float = 10.0
    body_s: float = 30.0
    connections: int = CONNECTIONS_MAX

    def seconds(self, part: Part) -> float:
        return self.head_s if part == "head" else self.body_s

    def request_timeout(self, part: Part) -> HttpProblem:
        detail = f"the {part} of the request did not arrive within {self.seconds(part):g} s; nothing was done"
        return HttpProblem(408, "request_timeout", "The request did not arrive in time", detail)

    def too_many_connections(self) -> HttpProblem:
        detail = (
            f"the server has {self.connections} open connections, which is its limit; nothing was done: retry later"
        )
        return HttpProblem(503, "too_many_connections", "The server has too many connections", detail)


def head_too_large() -> HttpProblem:
    detail = f"the path and the headers of the request are larger than {HEAD_BYTES_MAX} bytes together"
    return HttpProblem(431, "head_too_large", "The head of the request is too large", detail)


class LimitedConnection(Protocol):
    """A client's connection. `awaited_since` belongs to `check_connection`: which part the server waits for, and the
    loop's time at which that began, in seconds."""

    awaited_since: tuple[AwaitedPart, float] | None

    def awaited(self) -> AwaitedPart | None:
        """The part of a request that the server waits for now; None if it waits for none."""

    def time_out(self, part: Part) -> None:
        """Ends the connection, because the part did not arrive in time."""


async def close_late_connections(
    connections: Callable[[], Iterable[LimitedConnection]], limits: ConnectionLimits
) -> None:
    """Ends connections whose request takes too long. Runs until it is cancelled."""
    pause_s = min(CHECK_INTERVAL_S, limits.head_s / 4, limits.body_s / 4)
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(pause_s)
        now = loop.time()
        for connection in list(connections()):
            check_connection(connection, limits, now)


def check_connection(connection: LimitedConnection, limits: ConnectionLimits, now: float) -> None:
    """Ends the connection if it has waited too long for one part of one request. `now`: the loop's time in seconds."""
    awaited, before = connection.awaited(), connection.awaited_since
    if awaited is None:
        connection.awaited_since = None
    elif before is None or before[0].part != awaited.part or before[0].request is not awaited.request:
        connection.awaited_since = (awaited, now)
    elif now - before[1] >= limits.seconds(awaited.part):
        connection.awaited_since = None
        connection.time_out(awaited.part)


def set_unread_timeout(listening: socket.socket) -> None:
    """Has the kernel drop connections whose client reads nothing. Every accepted connection inherits the option."""
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KERNEL_SEND_TIMEOUT_S * 1000)


def connections_allowed(files_each: int = 1) -> int:
    """How many clients this process may have, when each takes `files_each` open files. Raises the process's limit of
    open files to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = CONNECTIONS_MAX * files_each + RESERVED_FILES if hard == resource.RLIM_INFINITY else hard
    allowed = max(1, min(CONNECTIONS_MAX, (files - RESERVED_FILES) // files_each))
    if allowed < CONNECTIONS_MAX:
        words = "the limit of open files, %d, allows %d client connections; for %d it should be %d (ulimit -Hn)"
        log.warning(words, hard, allowed, CONNECTIONS_MAX, CONNECTIONS_MAX * files_each + RESERVED_FILES)
    return allowed
