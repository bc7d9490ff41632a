"""Clients' connections that have just arrived: each goes to the process that its first request belongs to.

A connection waits here until its first bytes say whose the request is. Then it is handed over to that service. The
gateway serves it itself where no single service can answer, and while the service takes no connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from shared.http.connection_limits import AwaitedPart, ConnectionLimits, Part, close_late_connections
from shared.http.handover import Line, Take
from shared.http.owners import owner
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

READ_MAX = 65_536
ACCEPTED_AT_ONCE = 128
FULL_S = 1.0  # pause after the limit of open files


class Arrival:
    """A connection whose first request is not known yet."""

    def __init__(self, client: socket.socket, begun: bytes, arrivals: Arrivals, limits: ConnectionLimits) -> None:
        self.awaited_since: tuple[AwaitedPart, float] | None = None
        self._client, self._arrivals, self._limits, self._begun = client, arrivals, limits, begun

    def read(self) -> None:
        try:
            data = self._client.recv(READ_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._begun += data
        if not data:
            self._arrivals.leave(self)
            self._client.close()
        elif self._arrivals.give(self._client, self._begun, self):
            self._begun = b""

    def awaited(self) -> AwaitedPart:
        return AwaitedPart("head", self)

    def time_out(self, part: Part) -> None:
        """Closes the connection; with a word, if a request has begun."""
        self._arrivals.leave(self)
        if self._begun:
            refuse(self._client, self._limits.request_timeout(part).response_bytes())
        else:
            self._client.close()

    def close(self) -> None:
        self._client.close()

    def fileno(self) -> int:
        return self._client.fileno()


class Arrivals:
    """Accepts connections of a listening socket. `line_of` answers the line to a service, or None. `keep` serves a
    connection in this process; `kept` answers how many are so served, or given to a service that has not taken them
    yet."""

    def __init__(
        self, limits: ConnectionLimits, line_of: Callable[[str], Line | None], keep: Take, kept: Callable[[], int]
    ) -> None:
        self._limits, self._line_of, self._keep, self._kept = limits, line_of, keep, kept
        self._open: set[Arrival] = set()
        self._loop = asyncio.get_running_loop()

    def start(self, listening: socket.socket) -> None:
        """Accepts connections until `stop`."""
        self._listening = listening
        listening.setblocking(False)
        self._loop.add_reader(listening.fileno(), self._accept)
        self._closing_late = asyncio.create_task(close_late_connections(lambda: self._open, self._limits))

    async def stop(self) -> None:
        """Closes the listening socket, and the connections that have sent no request."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        await end_tasks(self._closing_late)
        for arrival in list(self._open):
            self.leave(arrival)
            arrival.close()

    def sort(self, client: socket.socket, begun: bytes) -> None:
        """Takes a connection that a service has given back. `begun` begins a request; it is empty if the service
        stops: then the connection waits for its next request."""
        if not self.give(client, begun):
            self._wait(client, begun)

    def give(self, client: socket.socket, begun: bytes, arrival: Arrival | None = None) -> bool:
        """Gives a connection to whom its request belongs. Answers False if that is not known yet."""
        whose = owner(begun)
        if whose is None:
            return False
        if arrival is not None:
            self.leave(arrival)
        line = self._line_of(whose)
        if line is None or not line.is_open:
            self._keep(client, begun)
        else:
            line.give(client, begun)
        return True

    def leave(self, arrival: Arrival) -> None:
        """The arrival is no longer waited for."""
        self._loop.remove_reader(arrival.fileno())
        self._open.discard(arrival)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                client, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no connection can be accepted: %s", error)
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(FULL_S, self._accept_again)
                return
            self._arrived(client)

    def _accept_again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _arrived(self, client: socket.socket) -> None:
        client.setblocking(False)
        if len(self._open) + self._kept() >= self._limits.connections:
            refuse(client, self._limits.too_many_connections().response_bytes())
            return
        self._wait(client, b"")

    def _wait(self, client: socket.socket, begun: bytes) -> None:
        arrival = Arrival(client, begun, self, self._limits)
        self._open.add(arrival)
        self._loop.add_reader(client.fileno(), arrival.read)


def refuse(client: socket.socket, response: bytes) -> None:
    """Sends a short response and closes the connection."""
    with contextlib.suppress(OSError):
        client.send(response)
    client.close()
