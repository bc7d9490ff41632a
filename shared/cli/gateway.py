"""One address for people and programs: GET and HEAD go to the query service, everything else to the command service.

A command is sent once and never again. Where its answer is lost, the client is told so, and asks with its key.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
    web,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

log = logging.getLogger(__name__)

COMMAND, PROJECTOR, QUERY = "command", "projector", "query"
OWN = ("/schema", "/health", "/metrics")
READS = frozenset({"GET", "HEAD"})
CONNECT_TIMEOUT_S = 5.0
# The services close a connection that was idle for 5 s: one that is about to be closed must not be used again.
IDLE_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 3.0
UNREAD_TIMEOUT_S = 60.0
LEFT_TIMEOUT_S = 90
SERVER_SENT = "text/event-stream"
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "expect",
})  # fmt: skip
ADDED_BY_CLIENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

PortOf = Callable[[str], int | None]


class AnswerLost(ClientError):
    """The connection ended before the answer came. What was asked may have been done."""


class Target(NamedTuple):
    """The service that is asked, and the path it is asked for."""

    service: str
    path: str


def route(method: str, path: str) -> Target:
    """Where a request goes. /schema, /health and /metrics are each service's own: those of the services that a GET
    would not reach are /schema/command…, /health/command, /health/projector, /metrics/command, /metrics/projector."""
    if method not in READS:
        return Target(COMMAND, path)
    for own in OWN:
        for service in (COMMAND, PROJECTOR, QUERY):
            prefix = f"{own}/{service}"
            if path == prefix or path.startswith((f"{prefix}/", f"{prefix}?")):
                return Target(service, own + path.removeprefix(prefix))
    return Target(QUERY, path)


class Gateway:
    """`port_of` answers a service's port on the loopback interface; None while it is not there. A reader that takes
    nothing of its answer for `unread_timeout_s` is left."""

    def __init__(self, port_of: PortOf, *, unread_timeout_s: float = UNREAD_TIMEOUT_S) -> None:
        self._port_of, self._unread_timeout_s = port_of, unread_timeout_s
        self._runner: web.AppRunner | None = None
        self._sessions: dict[str, ClientSession] = {}
        self._endless: set[asyncio.Transport] = set()

    async def start(self, listening: socket.socket) -> None:
        self._sessions = {COMMAND: client(send_once), PROJECTOR: client(), QUERY: client()}
        application = web.Application(handler_args={"access_log": None})
        application.router.add_route("*", "/{path:(?s:.*)}", self.handle)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_TIMEOUT_S
        )
        await self._runner.setup()
        if (
            sys.platform == "linux"
        ):  # what is left of an answer when all of it was handed over; a connection inherits it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LEFT_TIMEOUT_S * 1000)
        await web.SockSite(self._runner, listening, backlog=1024).start()

    async def stop(self) -> None:
        """Lets what is being answered end, within a bound; what would go on for ever is broken off."""
        for transport in self._endless:
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        for session in self._sessions.values():
            await session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        if not path.startswith("/"):
            return problem(400, "invalid_path", "The path of the request is not valid", "a path begins with a slash")
        target = route(request.method, path)
        port = self._port_of(target.service)
        if port is None:
            return unavailable(target.service)
        url = URL(f"http://127.0.0.1:{port}{target.path}", encoded=True)
        try:
            answer = await self._sessions[target.service].request(
                request.method, url, headers=forwarded(request), data=request.content if request.body_exists else None,
                skip_auto_headers=ADDED_BY_CLIENT, allow_redirects=False,
            )  # fmt: skip
        except (ClientConnectorError, ConnectionTimeoutError):
            return unavailable(target.service)
        except (ClientError, ConnectionError, TimeoutError) as lost:
            return answer_lost(target.service, lost)
        async with answer:
            if answer.content_type != SERVER_SENT or request.transport is None:
                return await relay(request, answer, self._unread_timeout_s)
            transport: asyncio.Transport = request.transport
            self._endless.add(transport)
            try:
                return await relay(request, answer, self._unread_timeout_s)
            finally:
                self._endless.discard(transport)


async def relay(request: web.Request, answer: ClientResponse, unread_timeout_s: float) -> web.StreamResponse:
    """Passes an answer on as it comes. One that breaks off is broken off here too, never ended as if it were whole; so
    is one of which the reader takes nothing for `unread_timeout_s`."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers))
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            async with asyncio.timeout(unread_timeout_s):
                await response.write(piece)
        async with asyncio.timeout(unread_timeout_s):
            await response.write_eof()
    except (ClientPayloadError, ClientOSError, ServerDisconnectedError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    return response


async def send_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keeps the client from sending a command again when the connection is lost: it would repeat a DELETE."""
    try:
        return await send(request)
    except (ClientConnectorError, ConnectionTimeoutError):
        raise  # nothing was sent
    except (ClientOSError, ServerDisconnectedError) as lost:
        raise AnswerLost(str(lost) or type(lost).__name__) from lost


def client(*middlewares: Callable[[ClientRequest, ClientHandlerType], object]) -> ClientSession:
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=IDLE_TIMEOUT_S),
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S), cookie_jar=DummyCookieJar(),
        auto_decompress=False, middlewares=middlewares,  # type: ignore[arg-type]
    )  # fmt: skip


def forwarded(request: web.Request) -> CIMultiDict[str]:
    headers = end_to_end(request.headers)
    if request.remote:
        headers.add("X-Forwarded-For", request.remote)
    return headers


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are not about one connection only."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )


def unavailable(service: str) -> web.Response:
    detail = f"the {service} service is starting; nothing was done: ask again in a second"
    return problem(503, "service_unavailable", "A service is starting", detail)


def answer_lost(service: str, lost: BaseException) -> web.Response:
    log.info("the answer of %s was lost: %s: %s", service, type(lost).__name__, lost)
    if service != COMMAND:
        detail = f"the {service} service went away before it answered: ask again in a second"
        return problem(502, "answer_lost", "The answer was lost", detail)
    detail = (
        "the command service went away before it answered, so the command may have been carried out or not: "
        "send it again with the same Idempotency-Key, and it is carried out once"
    )
    return problem(502, "outcome_unknown", "The outcome of the command is not known", detail)


def problem(status: int, code: str, title: str, detail: str) -> web.Response:
    """A problem document (RFC 9457), as the services answer them."""
    body = {"type": f"urn:hourbook:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    headers = {"Retry-After": "1"} if status in (502, 503) else None
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/problem+json", headers=headers
    )
