"""The projector's own small address: whether it lives, and what it tells Prometheus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from shared.telemetry import CONTENT_TYPE, Telemetry

STOP_TIMEOUT_S = 1.0


class PortTaken(Exception):
    """The port of the settings cannot be listened on."""


@contextlib.asynccontextmanager
async def monitored(host: str, port: int, telemetry: Telemetry, position: Callable[[], int]) -> AsyncIterator[None]:
    """Answers /health and /metrics while the block runs. Raises PortTaken."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"position": position()})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await telemetry.render(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes([web.get("/health", health), web.get("/metrics", metrics)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise PortTaken(
                f"port {port} of {host} cannot be used ({why}): choose another with HOURBOOK_PROJECTOR_PORT"
            ) from None
        yield
    finally:
        await runner.cleanup()
