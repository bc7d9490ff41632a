"""The handover of clients' connections between the gateway and a service, over a line that only the two have.

A line is a pair of sockets that `hourbook up` makes before it starts the service; the service inherits one end. It has
no name in the file system, so nobody else can connect to it. Who gives a connection sends its file descriptor, with
what was read of it already. From then on the other process has the connection alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable

HANDOVER_FD = "HOURBOOK_HANDOVER_FD"
PIECE_MAX = 65_536  # bytes of one message
AT_ONCE = 64  # messages that are read before other work has its turn
LOOK_S = 0.01  # between two looks whether all has left
LAST, MORE = b".", b"+"  # how a message begins: it has the connection, or more bytes follow

# Takes a client's connection, and what was read of it.
Take = Callable[[socket.socket, bytes], None]


HAS_LINES = sys.platform == "linux"  # elsewhere such sockets keep no bounds of messages


def make_line() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new line."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def inherited_line(descriptor: int) -> socket.socket:
    """The end of a line that this process has inherited. Raises OSError if the descriptor is none."""
    line = socket.socket(fileno=descriptor)
    if (line.family, line.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        line.detach()
        raise OSError(f"the file descriptor {descriptor} is no line of `hourbook up`")
    line.set_inheritable(False)
    return line


def duplicate(transport: asyncio.BaseTransport) -> socket.socket:
    """The connection of a transport again. It stays open when the transport is closed."""
    client = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    client.setblocking(False)
    return client


log = logging.getLogger(__name__)
_adopted: set[asyncio.Task[None]] = set()


def adopt(make: Callable[[], asyncio.Protocol], client: socket.socket) -> None:
    """Serves a connection that is open already, with the protocol that `make` makes."""
    task = asyncio.get_running_loop().create_task(_adopt(make, client))
    _adopted.add(task)  # the loop alone would not keep it
    task.add_done_callback(_adopted.discard)


async def _adopt(make: Callable[[], asyncio.Protocol], client: socket.socket) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(make, client)
    except OSError:  # the client has gone
        client.close()


class Given:
    """A connection on its way to the other end: how many bytes of `data` were sent."""

    def __init__(self, client: socket.socket, data: bytes) -> None:
        self.client, self.data, self.sent = client, data, 0


class Line:
    """One end of a line. `take` gets each connection that the other end gives. `keep` gets each that was given to the
    other end and did not leave, because the other end is gone or takes no more."""

    def __init__(self, line: socket.socket, take: Take, keep: Take) -> None:
        self._line, self._take, self._keep = line, take, keep
        self._waiting: deque[Given] = deque()
        self._parts = b""
        self._loop = asyncio.get_running_loop()
        self.is_open = True
        line.setblocking(False)
        self._loop.add_reader(line.fileno(), self._read)

    def give(self, client: socket.socket, data: bytes) -> None:
        """Gives a connection away. `data` is what was read of it and not served."""
        if not self.is_open:
            self._keep(client, data)
            return
        self._waiting.append(Given(client, data))
        if len(self._waiting) == 1:
            self._send()

    @property
    def waiting(self) -> int:
        """The number of connections that were given and have not left."""
        return len(self._waiting)

    async def emptied(self, bound_s: float) -> None:
        """Waits until all that was given has left, for so many seconds at most."""
        end = self._loop.time() + bound_s
        while self._waiting and self._loop.time() < end:
            await asyncio.sleep(LOOK_S)

    def take_no_more(self) -> None:
        """Refuses what the other end would give from now on, and takes what it has given. `give` goes on."""
        if self._line.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RD)
        while self._read(close=False):
            pass
        self._loop.remove_reader(self._line.fileno())

    def close(self) -> None:
        if self._line.fileno() >= 0:
            self._loop.remove_reader(self._line.fileno())
            self._loop.remove_writer(self._line.fileno())
            self._line.close()
        self._give_up()

    def _send(self) -> None:
        while self._waiting:
            given = self._waiting[0]
            try:
                self._send_one(given)
            except BlockingIOError:
                self._loop.add_writer(self._line.fileno(), self._send)
                return
            except OSError as error:
                if isinstance(error, ConnectionError):  # it may still give what it has
                    self._give_up()
                    return
                if given.sent:  # the other end must not take this beginning for that of another connection
                    self.close()
                    return
                log.warning("a connection cannot be handed over: %s", error)  # such as too many that are on their way
                self._waiting.popleft()
                self._keep(given.client, given.data)
            else:
                self._waiting.popleft().client.close()
        self._loop.remove_writer(self._line.fileno())

    def _send_one(self, given: Given) -> None:
        while len(given.data) - given.sent > PIECE_MAX:
            self._line.send(MORE + given.data[given.sent : given.sent + PIECE_MAX])
            given.sent += PIECE_MAX
        socket.send_fds(self._line, [LAST, given.data[given.sent :]], [given.client.fileno()])

    def _give_up(self) -> None:
        """The other end takes no more."""
        self.is_open = False
        if self._line.fileno() >= 0:
            self._loop.remove_writer(self._line.fileno())
        waiting, self._waiting = self._waiting, deque()
        for given in waiting:
            self._keep(given.client, given.data)

    def _read(self, *, close: bool = True) -> bool:
        """Takes what is there. Answers whether there may be more. At the end, closes this end too if `close`."""
        for _ in range(AT_ONCE):
            try:
                data, files, _, _ = socket.recv_fds(self._line, 1 + PIECE_MAX, 1, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data, files = b"", []
            if not data:
                if close:
                    self.close()
                return False
            self._parts += data[1:]
            if data[:1] == LAST:
                data, self._parts = self._parts, b""
                if not files:  # the kernel has closed the connection
                    log.error("a connection that was handed over is lost: this process has too many open files")
                    continue
                client = socket.socket(fileno=files[0])
                client.setblocking(False)
                self._take(client, data)
        return True
