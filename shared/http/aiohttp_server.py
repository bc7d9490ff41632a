"""aiohttp's HTTP server, with limits. The gateway and the projector's small port use it without a framework.

It limits connections and the time in which a request must arrive. It answers bytes that are not HTTP with a problem
document. It does not tell clients the library's name and version.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shared import tracing
from shared.call_id import CALL, HEADER, call_id_in
from shared.http.calls import answered, carried, note_call
from shared.http.connection_limits import (
    HEAD_BYTES_MAX,
    IDLE_S,
    AwaitedPart,
    ConnectionLimits,
    Part,
    close_late_connections,
    head_too_large,
)
from shared.http.entrance import LOCAL, Entrance
from shared.http.guard import Guard
from shared.http.problem_document import COMMON_HEADERS, MEDIA_TYPE, HttpProblem, malformed_request
from shared.tasks import end_tasks

if TYPE_CHECKING:
    from shared.opentelemetry import Traces

log = logging.getLogger(__name__)

# Without `Server`, aiohttp sends its own name and version.
SERVER_HEADERS = {"Server": "hourbook", **COMMON_HEADERS}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BodyTimeout(Exception):
    """The body did not arrive in time. A handler that reads the body gets it."""


class BodyMalformed(Exception):
    """The body is not valid HTTP. A handler that reads the body gets it."""


class AiohttpConnection(web.RequestHandler):
    """A client's connection, with limits.

    It uses private attributes of aiohttp. `_waiter` is a pending future while aiohttp waits for the head of a request.
    `_current_request` is the request that a handler has, `_messages` those that wait for one.
    tests/integration/test_gateway_edge.py tests all of them.
    """

    __slots__ = ("_body", "_head_bytes", "_limits", "_server", "awaited_since")

    def __init__(self, server: LimitedServer, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(server, **options)
        self.awaited_since: tuple[AwaitedPart, float] | None = None
        self._server, self._limits, self._head_bytes = server, limits, 0
        self._body: Any = None  # of the newest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.open_connections > self._limits.connections:
            self._close_with(self._limits.too_many_connections())

    def data_received(self, data: bytes) -> None:
        parsed, is_head = self._request_count, self._body is None or self._body.is_eof()
        super().data_received(data)
        if self._messages:  # the newest request still waits for a handler
            self._body = self._messages[-1][1]
        request = self._current_request
        if request is not None and self._request_count != parsed and not request.content.is_eof():
            # aiohttp found an error in the body and counted it as a request. It does not tell the handler.
            request.content.set_exception(BodyMalformed())
        self._head_bytes = self._head_bytes + len(data) if is_head and self._request_count == parsed else 0
        if self._head_bytes > HEAD_BYTES_MAX:
            self._close_with(head_too_large())

    def awaited(self) -> AwaitedPart | None:
        request = self._current_request
        if request is not None:
            return None if request.content.is_eof() or self._reading_paused else AwaitedPart("body", request)
        if self._waits_for_head() and (self._head_bytes or not self._request_count):
            return AwaitedPart("head", self._request_count)
        return None

    def time_out(self, part: Part) -> None:
        if part == "body" and self._current_request is not None:
            self._current_request.content.set_exception(BodyTimeout())
        elif part == "head" and self._head_bytes:
            self._close_with(self._limits.request_timeout(part))
        else:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """The response to bytes that are not HTTP (`status` 400), and to an error in a handler. Raises ConnectionError
        if a response has begun already."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response has begun already")
        if status == 400:
            # Not the message: it repeats a part of the request, perhaps a credential.
            log.info("not an HTTP request, from %s: %s", request.remote, type(exc).__name__)
            return closing_response(malformed_request())
        log.error("%s %s: %r", request.method, request.path, exc, exc_info=exc)
        response = closing_response(
            HttpProblem(500, "internal_error", "Internal error", "the log of the server has it")
        )
        response.headers[HEADER] = CALL.get()
        return response

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """Logs, without a traceback, a body that was late or not valid after the response. `handle_error` logs all
        other errors."""
        log.info(*arguments, **{name: value for name, value in options.items() if name != "exc_info"})

    def _waits_for_head(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _close_with(self, problem: HttpProblem) -> None:
        if self.transport is not None:
            self.transport.write(problem.response_bytes())
        self.force_close()


def guarded(handler: Handler, entrance: Entrance) -> Handler:
    """The handler behind the entrance: what the guard refuses does not reach it. Adds the headers to each response that
    has not begun."""
    also = {name: value for name, value in entrance.headers.items() if name not in SERVER_HEADERS}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        call = call_id_in((name.lower(), value) for name, value in request.raw_headers).decode()
        CALL.set(call)
        problem = refusal(request, entrance.guard)
        response = await handler(request) if problem is None else closing_response(problem)
        if not response.prepared:
            response.headers.update(also)
            response.headers[HEADER] = call
        return response

    traces = tracing.traces()
    return handle if traces is None else traced(handle, traces)


def traced(handler: Handler, traces: Traces) -> Handler:
    """The handler with a span for each request."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = ((name.lower(), value) for name, value in request.raw_headers)
        with traces.request(request.method, carried(headers)) as span:
            response = await handler(request)
            note_call(span, CALL.get())
            answered(traces, span, response.status)
            return response

    return handle


def refusal(request: web.BaseRequest, guard: Guard) -> HttpProblem | None:
    """Why the request does not reach the handler; None if it does. A target such as http://other.example/path is
    refused: the guard has to see only one host."""
    if not request.raw_path.startswith("/"):
        return HttpProblem(400, "invalid_path", "The path is not valid", "a path begins with a slash")
    fields = ((name.lower(), value) for name, value in request.raw_headers)
    refused = guard.refusal(request.method, request.path, fields)
    if refused is None:
        return None
    return HttpProblem(refused.status, refused.code, refused.title, refused.detail)


class LimitedServer(web.Server):
    """Makes a connection of the class `kind` for each client."""

    def __init__(
        self, handler: Handler, limits: ConnectionLimits, kind: type[AiohttpConnection] = AiohttpConnection
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._limits, self._kind = limits, kind

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def __call__(self, **options: Any) -> AiohttpConnection:
        return self._kind(
            self,
            self._limits,
            loop=self._loop,
            access_log=None,
            logger=log,
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
            max_headers=HEAD_BYTES_MAX,  # each takes a byte at least
            **options,
        )


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    limits: ConnectionLimits,
    stop_timeout_s: float,
    entrance: Entrance = LOCAL,
    kind: type[AiohttpConnection] = AiohttpConnection,
) -> AsyncIterator[web.ServerRunner]:
    """A runner that serves `handler` behind the entrance once the caller gives it sites, with the entrance's TLS. At
    the end of the block, responses that have begun may take `stop_timeout_s` seconds more. `kind`: the class of its
    connections."""
    server = LimitedServer(guarded(handler, entrance), limits, kind)
    runner = web.ServerRunner(server, shutdown_timeout=stop_timeout_s)
    await runner.setup()
    closing = asyncio.create_task(
        close_late_connections(lambda: server.connections, limits)  # type: ignore[arg-type,return-value]
    )
    try:
        yield runner
    finally:
        await runner.cleanup()
        await end_tasks(closing)


def answer(
    body: bytes, *, status: int = 200, content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response with SERVER_HEADERS and `headers`."""
    typed = {"Content-Type": content_type} if content_type else {}
    return web.Response(body=body, status=status, headers={**SERVER_HEADERS, **typed, **(headers or {})})


def closing_response(problem: HttpProblem) -> web.Response:
    """The problem as a response, after which the connection closes."""
    headers = {"Connection": "close"}
    response = answer(problem.body(), status=problem.status, content_type=MEDIA_TYPE, headers=headers)
    response.force_close()
    return response


async def send_continue(request: web.BaseRequest) -> None:
    """Sends `100 Continue` to a client that waits for it before it sends the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
