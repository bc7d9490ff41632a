"""The small HTTP server of a service without an interface of its own: /health, /live, and /metrics for Prometheus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from shared.http.aiohttp_server import answer, serving
from shared.http.connection_limits import ConnectionLimits, connections_allowed
from shared.http.entrance import Entrance
from shared.http.guard import LIVE
from shared.http.problem_document import MEDIA_TYPE, document
from shared.telemetry import CONTENT_TYPE, Telemetry

STOP_TIMEOUT_S = 1.0
ALLOW = {"Allow": "GET, HEAD, OPTIONS"}

# What /health tells: the status of the response, and its JSON document.
Health = Callable[[], Awaitable[tuple[int, dict[str, Any]]]]


class PortTaken(Exception):
    """The server cannot listen on the port of the settings."""


@contextlib.asynccontextmanager
async def monitoring(
    host: str, port: int, setting: str, telemetry: Telemetry, health: Health, entrance: Entrance
) -> AsyncIterator[None]:
    """Answers /health, /live and /metrics while the block runs. `setting` names the port. Raises PortTaken."""

    async def tell_health() -> web.Response:
        status, told = await health()
        return answer(msgspec.json.encode(told), status=status, content_type="application/json")

    async def tell_metrics() -> web.Response:
        return answer(await telemetry.render(), content_type=CONTENT_TYPE)

    async def tell_live() -> web.Response:
        return answer(b"ok", content_type="text/plain")

    handler = handling({"/health": tell_health, LIVE: tell_live, "/metrics": tell_metrics})
    limits = ConnectionLimits(connections=connections_allowed())
    async with serving(handler, limits, STOP_TIMEOUT_S, entrance) as runner:
        try:
            await web.TCPSite(runner, host, port, ssl_context=entrance.tls).start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise PortTaken(f"port {port} of {host} cannot be used ({why}): choose another with {setting}") from None
        yield


def handling(
    paths: dict[str, Callable[[], Awaitable[web.Response]]],
) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """A handler that answers GET and HEAD of these paths, and refuses everything else."""

    async def handle(request: web.BaseRequest) -> web.Response:
        respond = paths.get(request.path)
        if respond is None:
            return refused(404, f"there are {' and '.join(paths)}")
        if request.method == "OPTIONS":
            return answer(b"", status=204, headers=ALLOW)
        if request.method not in ("GET", "HEAD"):
            return refused(405, f"this path allows {ALLOW['Allow']}", ALLOW)
        return await respond()

    return handle


def refused(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    title = "There is no such path" if status == 404 else "The path does not take this method"
    body = document(status, f"http_{status}", title, detail)
    return answer(body, status=status, content_type=MEDIA_TYPE, headers=headers)
