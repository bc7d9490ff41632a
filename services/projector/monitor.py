"""The projector's HTTP server: /health says whether the read models go on, /metrics is for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from shared.http.aiohttp_server import answer, serving
from shared.http.connection_limits import ConnectionLimits, connections_allowed
from shared.http.entrance import LOCAL, Entrance
from shared.http.problem_document import MEDIA_TYPE, document
from shared.progress import STALL_S, standing_of
from shared.telemetry import CONTENT_TYPE, Telemetry
from shared.trouble import Trouble

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 1.0
ALLOW = {"Allow": "GET, HEAD, OPTIONS"}
CHECK_S = 5.0


class PortTaken(Exception):
    """The server cannot listen on the port of the settings."""


class Watch:
    """Checks every few seconds in the database whether the live read models go on, and logs when they do not.

    /health says why not. Where principals sign in (`tells` is False) it does not repeat the error of an event, which
    may hold a name: the log and `hourbook status` have it."""

    def __init__(self, telemetry: Telemetry, stall_s: float = STALL_S, *, tells: bool = True) -> None:
        self._telemetry, self._stall_s, self._tells = telemetry, stall_s, tells
        self._trouble = Trouble(log, "read models")

    async def run(self) -> None:
        while True:
            why = (await self.standing())[1]
            if why is None:
                self._trouble.clear()
            else:
                self._trouble.report(why)
            await asyncio.sleep(min(CHECK_S, self._stall_s / 4))

    async def told(self) -> tuple[str, str | None]:
        """What /health tells: as `standing`, without the error of an event if strangers may read it."""
        state, why = await self.standing()
        if state == "parked" and not self._tells:
            why = "an event cannot be applied; the log and `hourbook status` say which one, and why"
        return state, why

    async def standing(self) -> tuple[str, str | None]:
        """The state ("ok", "parked", …) and why it is not "ok"."""
        progress = await self._telemetry.progress()
        if progress is None:
            return "unreachable", "the database cannot be read"
        return standing_of(progress, self._stall_s)


@contextlib.asynccontextmanager
async def monitored(
    host: str, port: int, telemetry: Telemetry, position: Callable[[], int], watch: Watch, entrance: Entrance = LOCAL
) -> AsyncIterator[None]:
    """Answers /health and /metrics while the block runs. Raises PortTaken."""

    async def health() -> web.Response:
        state, why = await watch.told()
        body = msgspec.json.encode({"position": position(), "state": state, "why": why})
        return answer(body, status=200 if state == "ok" else 503, content_type="application/json")

    async def metrics() -> web.Response:
        return answer(await telemetry.render(), content_type=CONTENT_TYPE)

    handler = handling({"/health": health, "/metrics": metrics})
    limits = ConnectionLimits(connections=connections_allowed())
    async with serving(handler, limits, STOP_TIMEOUT_S, entrance) as runner:
        try:
            await web.TCPSite(runner, host, port, ssl_context=entrance.tls).start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise PortTaken(
                f"port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_PROJECTOR_PORT"
            ) from None
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
