"""uvicorn's HTTP protocol, with limits: late heads and bodies, large heads, bytes that are not HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.call_id import FIELD, call_id_in
from shared.http.calls import CALL_KEY
from shared.http.connection_limits import HEAD_BYTES_MAX, AwaitedPart, ConnectionLimits, Part, head_too_large
from shared.http.problem_document import HttpProblem, malformed_request
from shared.telemetry import BEGAN_KEY

NOT_HTTP = "Invalid HTTP request received."  # uvicorn's log message
LENGTH = b"\r\ncontent-length: "  # in a head, as uvicorn writes it
JOINED_MAX = 65_536  # bytes; to copy a longer body takes longer than to send a packet


class IgnoredTrailers(list[tuple[bytes, bytes]]):
    """A list that stays empty. uvicorn appends the fields after a body (trailers) to the headers of the request; they
    must not become headers."""

    def append(self, _: tuple[bytes, bytes]) -> None: ...


IGNORED_TRAILERS = IgnoredTrailers()


class WholeAnswer:
    """The transport of one answer. It sends the head together with the first bytes of the body. uvloop sends each
    `write` at once, as a packet, which costs the server and the client ten microseconds each.

    It holds only a head with a Content-Length, whose body follows at once. A stream may wait long for its first byte.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head, self._begun = transport, b"", False

    def write(self, data: bytes) -> None:
        if not self._begun and LENGTH in data:
            self._begun, self._head = True, data
            return
        self._begun = True
        if self._head and len(data) <= JOINED_MAX:
            data, self._head = self._head + data, b""
        self._flush()
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class LimitedProtocol(HttpToolsProtocol):
    """A client's connection. `limited_protocol` makes a subclass that has the limits."""

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.awaited_since: tuple[AwaitedPart, float] | None = None
        self._head_bytes = 0
        self._reads_no_more = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._close_with(self.limits.too_many_connections())

    def data_received(self, data: bytes) -> None:
        if self._reads_no_more:
            return
        before, queued = self.cycle, len(self.pipeline)
        # This must be read before uvicorn parses `data`. The data may end a body that the application did not read;
        # then it is no head. A pipelined request may also begin before the response to the last one.
        is_head = before is None or not before.more_body
        super().data_received(data)
        if self.cycle is not before or len(self.pipeline) != queued:
            self._head_bytes = 0
        elif is_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._close_after_responses(head_too_large())

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/"):  # such as http://other.example/path: the guard has to see only one host
            raise ValueError("a path begins with a slash")  # uvicorn answers 400
        super().on_headers_complete()
        call = call_id_in(self.headers)
        self.scope[CALL_KEY] = call.decode()  # type: ignore[literal-required]
        self.scope[BEGAN_KEY] = time.perf_counter()  # type: ignore[literal-required]
        self.cycle.default_headers = [*self.cycle.default_headers, (FIELD, call)]
        self.headers = IGNORED_TRAILERS
        if self.scope["method"] != "HEAD":  # its answer has a length, and no body follows
            self.cycle.transport = WholeAnswer(self.transport)  # type: ignore[assignment]
        # After `Expect: 100-continue` or `Upgrade`, the server cannot know whether the next bytes are a body, another
        # protocol or a request. So the client must send its next request on a new connection.
        if self.expect_100_continue or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self.cycle.response_complete:  # the application answered before the body had arrived
            self.cycle.more_body = False
        super().on_message_complete()

    def awaited(self) -> AwaitedPart | None:
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            return AwaitedPart("head", cycle) if self.timeout_keep_alive_task is None else None
        return AwaitedPart("body", cycle) if cycle.more_body and not self.flow.read_paused else None

    def time_out(self, part: Part) -> None:
        if part == "head" and not self._head_bytes:
            self.transport.close()
        else:
            self._close_with(self.limits.request_timeout(part))

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's message has no details
        self._close_after_responses(malformed_request())

    def _unsupported_upgrade_warning(self) -> None: ...

    def _close_after_responses(self, problem: HttpProblem) -> None:
        """Reads no more. If whole requests wait for their responses, sends those and closes; else sends the problem."""
        cycle = self.cycle
        if self.pipeline or (cycle is not None and not cycle.response_complete and not cycle.more_body):
            self._reads_no_more, cycle.keep_alive = True, False
        else:
            self._close_with(problem)

    def _close_with(self, problem: HttpProblem) -> None:
        """Sends the problem, unless a response has begun, and closes. The application sees that the client left."""
        cycle, self._reads_no_more = self.cycle, True
        waiting = cycle is not None and not cycle.response_complete
        if not (waiting and cycle.response_started) and not (cycle and cycle.response_complete and cycle.more_body):
            self.transport.write(problem.response_bytes())
        if waiting:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


def limited_protocol(limits: ConnectionLimits) -> type[LimitedProtocol]:
    """The class of connections with these limits, for uvicorn's option `http`."""
    return type("ProtocolWithLimits", (LimitedProtocol,), {"limits": limits})


def mute_bad_requests() -> None:
    """Drops uvicorn's log lines about bytes that are not HTTP. Otherwise anybody could fill the log."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != NOT_HTTP)
