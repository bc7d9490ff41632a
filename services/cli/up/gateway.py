"""One address for people and programs: GET and HEAD go to the query service, everything else to the command service.

It is part of the package, so that one `pip install` runs the whole system without another proxy.

The gateway hands each connection over to the service that its request belongs to, where it has a line to that service.
Otherwise, and where no single service can answer, it passes the request on. A service may have several processes. When
one takes no connection, the next one is asked.

A command that is passed on is sent once, never twice. When its answer is lost, the client gets 502 and may send it
again with its key. A read whose answer is lost before any of it was passed on is sent to the next process. Short
answers are passed on only when they are there whole.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
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
from multidict import CIMultiDict
from yarl import URL

from services.cli.up.allowed_methods import allowed_at, named
from services.cli.up.arrivals import Arrivals
from services.cli.up.gateway_connection import GatewayConnection
from services.cli.up.passing_on import end_to_end, is_short, pass_on
from services.cli.up.upstreams import Upstreams, UrlsOf
from shared import tracing
from shared.call_id import CALL, HEADER
from shared.errors import words_of
from shared.http.aiohttp_server import BodyTimeout, answer, closing_response, send_continue, serving
from shared.http.connection_limits import SEND_TIMEOUT_S, ConnectionLimits, connections_allowed
from shared.http.entrance import LOCAL, Entrance
from shared.http.guard import LIVE
from shared.http.handover import HAS_LINES, Line, adopt, duplicate
from shared.http.owners import COMMAND, HEALTH, METRICS, PROJECTOR, QUERY, READS, Target, owner, route
from shared.http.problem_document import MEDIA_TYPE, document, malformed_request
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2.0
# Shorter than the 5 s after which a service closes an idle connection: a connection that is closing must not be used.
IDLE_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 3.0
SERVER_SENT = "text/event-stream"
ADDED_BY_CLIENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# What only a proxy says. No client may say it for a proxy.
FORGEABLE, FORGEABLE_PREFIXES = frozenset({"forwarded", "via", "x-real-ip"}), ("x-forwarded-", "x-hourbook-")
ACTOR = "x-hourbook-actor"

NOT_SENT = (ClientConnectorError, ConnectionTimeoutError)
LOST = (ClientError, ConnectionError, TimeoutError)


class AnswerLost(ClientError):
    """The connection ended before the answer came. The service may have carried out the request."""


class NoUpstream(ClientError):
    """No process of the service listens yet."""


class Gateway:
    """Hands connections over to the services that are linked; for the others passes requests to them and answers to the
    clients.

    It has a guard of its own, and passes on the headers by which the services' guards decide. `urls_of`: as in
    Upstreams. A client that reads nothing of its answer for `unread_timeout_s` is disconnected. `signed_in`: whether
    people sign in.
    """

    def __init__(
        self,
        urls_of: UrlsOf,
        limits: ConnectionLimits | None = None,
        *,
        unread_timeout_s: float = SEND_TIMEOUT_S,
        entrance: Entrance = LOCAL,
        signed_in: bool = True,
    ) -> None:
        self._upstreams = Upstreams(urls_of)
        self._limits = limits or ConnectionLimits(connections=connections_allowed(files_each=2))
        self._unread_timeout_s, self._entrance = unread_timeout_s, entrance
        self._signed_in = signed_in
        self._running = AsyncExitStack()
        self._sessions: dict[str, ClientSession] = {}
        self._endless: set[asyncio.Transport] = set()
        self._lines: dict[str, Line] = {}
        self._arrivals: Arrivals | None = None
        self._server: Any = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def hands_over(self) -> bool:
        """Whether services may be linked. TLS ends in the gateway, so an encrypted connection stays here."""
        return HAS_LINES and self._entrance.tls is None

    def link(self, service: str, line: socket.socket) -> None:
        """Hands connections over to a service from now on, until it ends. `line` is the gateway's end."""
        if service in self._lines:
            self._lines[service].close()
        self._lines[service] = Line(line, self._take_back, self._serve)

    async def start(self, listening: socket.socket) -> None:
        self._sessions = {COMMAND: client(send_once), PROJECTOR: client(), QUERY: client()}
        server = serving(self.handle, self._limits, STOP_TIMEOUT_S, self._entrance, GatewayConnection)
        runner = await self._running.enter_async_context(server)
        if self._entrance.tls is None:
            self._server = runner.server
            self._arrivals = Arrivals(self._limits, self._lines.get, self._serve, self._open_connections)
            self._arrivals.start(listening)
        else:
            await web.SockSite(runner, listening, backlog=1024, ssl_context=self._entrance.tls).start()
        self._watching = asyncio.create_task(self._upstreams.watch(self._sessions[QUERY]))

    async def stop(self) -> None:
        """Waits for answers to end, for at most STOP_TIMEOUT_S. Breaks off event streams, which never end."""
        if self._arrivals is not None:
            await self._arrivals.stop()
            self._arrivals = self._server = None
        for transport in self._endless:
            transport.abort()
        if self._watching is not None:
            await end_tasks(self._watching)
        await self._running.aclose()
        for session in self._sessions.values():
            await session.close()
        for line in self._lines.values():
            line.close()

    def _open_connections(self) -> int:
        """Those that this process serves, and those that a service has not taken yet."""
        kept: int = 0 if self._server is None else self._server.open_connections
        return kept + sum(line.waiting for line in self._lines.values())

    def _serve(self, client: socket.socket, begun: bytes) -> None:
        """Serves a connection in this process. `begun`: what was read of it."""
        if self._server is None:
            client.close()
        else:
            adopt(partial(self._server, begun=begun, hand_over=self._hand_over), client)

    def _take_back(self, client: socket.socket, begun: bytes) -> None:
        """Takes a connection that a service gives back, because another one's request begins on it."""
        if self._arrivals is None:
            client.close()
        else:
            self._arrivals.sort(client, begun)

    def _hand_over(self, transport: asyncio.BaseTransport, begun: bytes) -> bool:
        """Hands over a connection of this process on which a request begins, if a service can have it."""
        line = self._lines.get(owner(begun) or "")
        if line is None or not line.is_open:
            return False
        line.give(duplicate(transport), begun)
        return True

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == LIVE and request.method in READS:
            return answer(b"ok", content_type="text/plain")  # its own: that of a service says nothing about it
        if request.method == "OPTIONS":
            return await self._options(request.raw_path)
        target = route(request.method, request.raw_path)
        is_open = target.service != PROJECTOR or target.path.startswith(HEALTH)
        if self._signed_in and not is_open and (refused := await self._refused_metrics(request)) is not None:
            return refused
        await send_continue(request)
        try:
            answered = await self._ask(
                request.method,
                target,
                is_repeatable=request.method in READS and target.service != COMMAND and not request.body_exists,
                headers=forwarded(request),
                data=request.content if request.body_exists else None,
                skip_auto_headers=ADDED_BY_CLIENT,
            )
        except (NoUpstream, *NOT_SENT):
            return unavailable(target.service)
        except LOST as lost:
            return body_lost(request, self._limits) or answer_lost(target.service, lost)
        async with answered:
            return await self._pass_on(request, answered)

    async def _ask(self, method: str, target: Target, *, is_repeatable: bool = True, **options: Any) -> ClientResponse:
        """The answer of one of the service's processes; of a long one its head. Asks the next one when one takes no
        connection, and when the answer of a request that `is_repeatable` is lost. Raises NoUpstream, or the error of
        the last one."""
        failure: BaseException = NoUpstream()
        session = self._sessions[target.service]
        for url in self._upstreams.in_order(target.service):
            try:
                address = URL(url + target.path, encoded=True)
                answered = await session.request(method, address, allow_redirects=False, **options)
                if is_short(answered):
                    await answered.read()
                return answered
            except LOST as error:
                self._upstreams.leave_aside(url)
                if not (is_repeatable or isinstance(error, NOT_SENT)):
                    raise
                failure = error
        raise failure

    async def _refused_metrics(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The query service's answer to whoever may not see its metrics; None for whoever may. The projector does not
        know who asks, and its metrics are for the same people."""
        headers = forwarded(request)
        headers.popall("Content-Length", None)  # nobody sends it the body
        try:
            answered = await self._ask(request.method, Target(QUERY, METRICS), headers=headers)
        except LOST:
            return unavailable(QUERY)
        async with answered:
            return None if answered.status == 200 else await self._stream(request, answered)

    async def _pass_on(self, request: web.BaseRequest, answered: ClientResponse) -> web.StreamResponse:
        if answered.status in (404, 405) and (not_allowed := await self._not_allowed(request, answered)) is not None:
            return not_allowed
        if answered.content_type != SERVER_SENT or request.transport is None:
            return await self._stream(request, answered)
        transport: asyncio.Transport = request.transport
        self._endless.add(transport)
        try:
            return await self._stream(request, answered)
        finally:
            self._endless.discard(transport)

    async def _stream(self, request: web.BaseRequest, answered: ClientResponse) -> web.StreamResponse:
        return await pass_on(request, answered, self._unread_timeout_s, self._entrance.headers)

    async def _not_allowed(self, request: web.BaseRequest, answered: ClientResponse) -> web.Response | None:
        """The answer 405 when some service takes the path with other methods; None to keep the service's own answer."""
        allowed = await self._allowed(request.raw_path, missing=answered.status == 404 and request.method in READS)
        if not allowed or request.method in allowed:
            return None
        allow = ", ".join(sorted(allowed))
        return problem(405, "http_405", "The path does not take this method", f"this path allows {allow}", Allow=allow)

    async def _options(self, path: str) -> web.Response:
        allowed = await self._allowed(path)
        if allowed is None:
            return unavailable("command or the query")
        if not allowed:
            return problem(404, "http_404", "There is no such path", "nothing is here")
        return answer(b"", status=204, headers={"Allow": ", ".join(sorted(allowed))})

    async def _allowed(self, path: str, *, missing: bool = False) -> frozenset[str] | None:
        return await allowed_at(
            lambda method: self._methods(route(method, path)), lambda: self._is_missing(path, known=missing)
        )

    async def _is_missing(self, path: str, *, known: bool) -> bool:
        """Whether there is nothing to read at the path. `known`: the client got 404. What a query names may be missing
        alone, so then the path is asked for without it."""
        place, _, query = path.partition("?")
        if known and not query:  # a stranger, as whom the gateway asks, gets 401 where people sign in
            return True
        try:
            async with await self._ask("HEAD", route("HEAD", place)) as answered:
                return answered.status == 404
        except LOST:
            return False

    async def _methods(self, target: Target) -> frozenset[str] | None:
        """The methods that a service takes at a path; None while the service cannot be asked."""
        try:
            async with await self._ask("OPTIONS", target) as answered:
                return named(answered.headers.get("Allow", ""))
        except LOST:
            return None


async def send_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keeps aiohttp from sending a request again when the connection is lost: it would repeat a DELETE."""
    try:
        return await send(request)
    except (ClientConnectorError, ConnectionTimeoutError):
        raise  # nothing was sent
    except (ClientOSError, ServerDisconnectedError) as lost:
        raise AnswerLost(words_of(lost)) from lost


def client(*middlewares: Callable[[ClientRequest, ClientHandlerType], object]) -> ClientSession:
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=IDLE_TIMEOUT_S),
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        middlewares=middlewares,  # type: ignore[arg-type]
    )


def forwarded(request: web.BaseRequest) -> CIMultiDict[str]:
    """The headers of the request for a service: the client's, without what only a proxy says, and its address; the
    call id, and where traces are on the gateway's own span."""
    headers = CIMultiDict(
        (name, in_utf8(value)) for name, value in end_to_end(request.headers).items() if not is_forgeable(name)
    )
    if request.remote:
        headers.add("X-Forwarded-For", request.remote)
    headers[HEADER] = CALL.get()
    headers.update(tracing.headers())
    return headers


def is_forgeable(name: str) -> bool:
    small = name.lower()
    return small in FORGEABLE or (small.startswith(FORGEABLE_PREFIXES) and small != ACTOR)


def in_utf8(value: str) -> str:
    """Decodes a header that is not UTF-8 as Latin-1, as older HTTP does. Otherwise its letters would be lost."""
    if value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value):
        return value
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


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


def body_lost(request: web.BaseRequest, limits: ConnectionLimits) -> web.Response | None:
    """The problem when the client's own body was late or invalid; None otherwise. Then no service has the request."""
    failure = request.content.exception()
    if failure is None:
        return None
    late = isinstance(failure, BodyTimeout)
    return closing_response(limits.request_timeout("body") if late else malformed_request("body"))


def problem(status: int, code: str, title: str, detail: str, **headers: str) -> web.Response:
    """A problem document (RFC 9457), as the services answer them."""
    if status in (502, 503):
        headers["Retry-After"] = "1"
    body = document(status, code, title, detail)
    return answer(body, status=status, content_type=MEDIA_TYPE, headers=headers)
