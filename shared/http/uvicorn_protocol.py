"""uvicorn's HTTP, with what it leaves open: heads and bodies that never come, heads without end, what is no request."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.http.connection_limits import HEAD_BYTES_MAX, Bounds, Owed, Part, head_too_large
from shared.http.problem_document import Refusal, malformed

NO_REQUEST = "Invalid HTTP request received."


class Unread(list[tuple[bytes, bytes]]):
    """Where fields after the body go: into nothing, or they would become headers of the request."""

    def append(self, _: tuple[bytes, bytes]) -> None: ...


UNREAD = Unread()


class Bounded(HttpToolsProtocol):
    """A connection. `bounds` is set by whoever serves; see `bounded`."""

    bounds: ClassVar[Bounds]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.owing: tuple[Owed, float] | None = None
        self._head_bytes = 0
        self._broken = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(self.bounds.full())

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        before, queued = self.cycle, len(self.pipeline)
        # Asked first: the last of a body that nobody waited for ends here, and is no head. One may come early, too.
        is_head = before is None or not before.more_body
        super().data_received(data)
        if self.cycle is not before or len(self.pipeline) != queued:
            self._head_bytes = 0
        elif is_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse_next(head_too_large())

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.headers = UNREAD
        # Whether a body follows that was not asked for, or another protocol, nobody knows: the next request comes anew.
        if self.expect_100_continue or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self.cycle.response_complete:  # the body of a request that was answered before it had come
            self.cycle.more_body = False
        super().on_message_complete()

    def owed(self) -> Owed | None:
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            return Owed("head", cycle) if self.timeout_keep_alive_task is None else None
        return Owed("body", cycle) if cycle.more_body and not self.flow.read_paused else None

    def give_up(self, part: Part) -> None:
        if part == "head" and not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(self.bounds.late(part))

    def send_400_response(self, msg: str) -> None:
        del msg  # says nothing
        self._refuse_next(malformed("it is not HTTP/1.1 as RFC 9112 has it, and nothing was done"))

    def _unsupported_upgrade_warning(self) -> None: ...

    def _refuse_next(self, refusal: Refusal) -> None:
        """Refuses what comes after a whole request; that one is answered first, and nothing more is read."""
        cycle = self.cycle
        if self.pipeline or (cycle is not None and not cycle.response_complete and not cycle.more_body):
            self._broken, cycle.keep_alive = True, False
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        """Answers, where no answer has begun, and closes; the application sees that the client has gone."""
        cycle, self._broken = self.cycle, True
        waiting = cycle is not None and not cycle.response_complete
        if not (waiting and cycle.response_started) and not (cycle and cycle.response_complete and cycle.more_body):
            self.transport.write(refusal.answer())
        if waiting:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


def bounded(bounds: Bounds) -> type[Bounded]:
    return type("BoundedHere", (Bounded,), {"bounds": bounds})


def keep_quiet() -> None:
    """What is no request is no news: it was answered, and whoever sends it must not fill the log."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != NO_REQUEST)
