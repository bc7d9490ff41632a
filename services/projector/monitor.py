"""The projector's own small address: whether it lives, and what it tells Prometheus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from shared.aiohttp_server import answer, serving
from shared.document import MEDIA_TYPE, document
from shared.patience import Bounds, room
from shared.telemetry import CONTENT_TYPE, Telemetry

STOP_TIMEOUT_S = 1.0
ALLOW = {"Allow": "GET, HEAD, OPTIONS"}


class PortTaken(Exception):
    """The port of the settings cannot be listened on."""


@contextlib.asynccontextmanager
async def monitored(host: str, port: int, telemetry: Telemetry, position: Callable[[], int]) -> AsyncIterator[None]:
    """Answers /health and /metrics while the block runs. Raises PortTaken."""

    async def health() -> web.Response:
        return answer(msgspec.json.encode({"position": position()}), content_type="application/json")

    async def metrics() -> web.Response:
        return answer(await telemetry.render(), content_type=CONTENT_TYPE)

    handler = handling({"/health": health, "/metrics": metrics})
    async with serving(handler, Bounds(connections=room()), STOP_TIMEOUT_S) as runner:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise PortTaken(
                f"port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_PROJECTOR_PORT"
            ) from None
        yield


def handling(
    paths: dict[str, Callable[[], Awaitable[web.Response]]],
) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """Answers GET and HEAD of those paths."""

    async def handle(request: web.BaseRequest) -> web.Response:
        respond = paths.get(request.path)
        if respond is None:
            return refused(404, f"there are {' and '.join(paths)}")
        if request.method == "OPTIONS":
            return answer(b"", status=204, headers=ALLOW)
        if request.method not in ("GET", "HEAD"):
            return refused(405, f"this path answers {ALLOW['Allow']}", ALLOW)
        return await respond()

    return handle


def refused(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    title = "There is no such path" if status == 404 else "The path does not take this method"
    body = document(status, f"http_{status}", title, detail)
    return answer(body, status=status, content_type=MEDIA_TYPE, headers=headers)
