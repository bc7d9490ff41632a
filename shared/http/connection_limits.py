"""What a client owes a server that waits for it, and how long the server waits: the head of a request, its body.

Who owes is seen by looking at all connections now and then, so that a request that comes at once costs nothing here.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol

from shared.http.problem_document import Refusal

LOOK_S = 1.0
# Who takes nothing of an answer for so long is left. A reader of 10 kB a second opens its window once in 100 s.
UNTAKEN_TIMEOUT_S = 120.0
UNREAD_TIMEOUT_S = 150  # after so long without the peer taking anything, the kernel drops what waits for it
KEPT_FILES = 256  # open files that are no clients: the databases' connections, logs, libraries
CONNECTIONS_MAX = 10_000
HEAD_BYTES_MAX = 65_536

Part = Literal["head", "body"]


class Owed(NamedTuple):
    """A part of a request that has not come. `request` is the same object for as long as it is the same request."""

    part: Part
    request: object


class Bounds(NamedTuple):
    """The whole head, and the whole body, within so many seconds each, however slowly they come; so many connections
    at once."""

    head_s: float = 10.0
    body_s: float = 30.0
    connections: int = CONNECTIONS_MAX

    def seconds(self, part: Part) -> float:
        return self.head_s if part == "head" else self.body_s

    def late(self, part: Part) -> Refusal:
        detail = f"the {part} of the request was not there within {self.seconds(part):g} s, and nothing was done"
        return Refusal(408, "request_timeout", "The request did not come", detail)

    def full(self) -> Refusal:
        detail = f"there are {self.connections} connections already, and nothing was done: ask again in a while"
        return Refusal(503, "too_many_connections", "There is no room for another connection", detail)


def head_too_large() -> Refusal:
    detail = f"the path and the headers of the request have more than {HEAD_BYTES_MAX} bytes"
    return Refusal(431, "head_too_large", "The head of the request is too large", detail)


class Connection(Protocol):
    """What a client has opened. `owing` is the watch's own: what was owed when it looked last, and since when."""

    owing: tuple[Owed, float] | None

    def owed(self) -> Owed | None: ...

    def give_up(self, part: Part) -> None: ...


async def watch(connections: Callable[[], Iterable[Connection]], bounds: Bounds) -> None:
    """Gives up connections that owe for too long, until it is cancelled."""
    pause_s = min(LOOK_S, bounds.head_s / 4, bounds.body_s / 4)
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(pause_s)
        now = loop.time()
        for connection in list(connections()):
            look(connection, bounds, now)


def look(connection: Connection, bounds: Bounds, now: float) -> None:
    owed, before = connection.owed(), connection.owing
    if owed is None:
        connection.owing = None
    elif before is None or before[0].part != owed.part or before[0].request is not owed.request:
        connection.owing = (owed, now)
    elif now - before[1] >= bounds.seconds(owed.part):
        connection.owing = None
        connection.give_up(owed.part)


def leave_who_reads_nothing(listening: socket.socket) -> None:
    """Every connection inherits it."""
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_S * 1000)


def room(files_each: int = 1) -> int:
    """How many clients this process may have, each of which takes so many open files. Takes all files that it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = CONNECTIONS_MAX * files_each + KEPT_FILES if hard == resource.RLIM_INFINITY else hard
    return max(1, min(CONNECTIONS_MAX, (files - KEPT_FILES) // files_each))
