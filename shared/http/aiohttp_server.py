"""aiohttp's HTTP server, for what is no framework's: it waits no longer than it should for a request, answers what is
no request with a problem document, and tells nobody which version it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from shared.http.connection_limits import Bounds, Owed, Part, watch
from shared.http.problem_document import EVERY_ANSWER, MEDIA_TYPE, Refusal, malformed
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

# The library would name itself and its version.
OURS = {"Server": "hourbook", **EVERY_ANSWER}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BodyLate(Exception):
    """What a handler that reads the body finds, when it did not come in time."""


class BodyBroken(Exception):
    """What it finds, when the body is not as it should be."""


class Connection(web.RequestHandler):
    """One client. `_waiter` is there and open while the library waits for a head, `_current_request` is the request
    that a handler has; tests/integration/test_gateway.py holds the library to it."""

    __slots__ = ("_begun", "_bounds", "_server", "owing")

    def __init__(self, server: Bounding, bounds: Bounds, **named: Any) -> None:
        super().__init__(server, **named)
        self.owing: tuple[Owed, float] | None = None
        self._server, self._bounds, self._begun = server, bounds, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.open > self._bounds.connections:
            self._refuse(self._bounds.full())

    def data_received(self, data: bytes) -> None:
        parsed = self._request_count
        super().data_received(data)
        request = self._current_request
        if request is not None and self._request_count != parsed and not request.content.is_eof():
            request.content.set_exception(BodyBroken())  # what was parsed is an error in it; the library tells nobody
        self._begun = self._idle() and bool(data)

    def owed(self) -> Owed | None:
        request = self._current_request
        if request is not None:
            return None if request.content.is_eof() or self._reading_paused else Owed("body", request)
        return Owed("head", self._request_count) if self._idle() and (self._begun or not self._request_count) else None

    def give_up(self, part: Part) -> None:
        if part == "body" and self._current_request is not None:
            self._current_request.content.set_exception(BodyLate())
        elif part == "head" and self._begun:
            self._refuse(self._bounds.late(part))
        else:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no request, and what a handler of ours raised."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status == 400:
            log.info("no request, from %s: %s", request.remote, (message or "").partition("\n")[0][:200])
            return refused(malformed("it is not HTTP/1.1 as RFC 9112 has it, and nothing was done"))
        log.error("%s %s: %r", request.method, request.path, exc, exc_info=exc)
        return refused(Refusal(500, "internal_error", "Something went wrong here", "it was written to the log"))

    def log_exception(self, *arguments: Any, **named: Any) -> None:
        """A body that was bad or late, after its answer; whatever else is ours was logged by `handle_error`."""
        log.info(*arguments, **{name: value for name, value in named.items() if name != "exc_info"})

    def _idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _refuse(self, refusal: Refusal) -> None:
        if self.transport is not None:
            self.transport.write(refusal.answer())
        self.force_close()


class Bounding(web.Server):
    """Makes a Connection of each that comes."""

    def __init__(self, handler: Handler, bounds: Bounds, **named: Any) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._bounds, self._named = bounds, named

    @property
    def open(self) -> int:
        return len(self._connections)

    def __call__(self) -> Connection:
        return Connection(
            self, self._bounds, loop=self._loop, access_log=None, logger=log, auto_decompress=False, **self._named
        )


@contextlib.asynccontextmanager
async def serving(handler: Handler, bounds: Bounds, stop_timeout_s: float) -> AsyncIterator[web.ServerRunner]:
    """A runner, to be given sites. At the end of the block what is being answered ends, within the time-out."""
    server = Bounding(handler, bounds)
    runner = web.ServerRunner(server, shutdown_timeout=stop_timeout_s)
    await runner.setup()
    watching = asyncio.create_task(watch(lambda: server.connections, bounds))  # type: ignore[arg-type,return-value]
    try:
        yield runner
    finally:
        await runner.cleanup()
        await end_tasks(watching)


def answer(
    body: bytes, *, status: int = 200, content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    named = {"Content-Type": content_type} if content_type else {}
    return web.Response(body=body, status=status, headers={**OURS, **named, **(headers or {})})


def refused(refusal: Refusal) -> web.Response:
    """A refusal after which the connection closes."""
    headers = {"Connection": "close"}
    response = answer(refusal.body(), status=refusal.status, content_type=MEDIA_TYPE, headers=headers)
    response.force_close()
    return response


async def receive(request: web.BaseRequest) -> None:
    """Says to a client that asks first that its body is wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
