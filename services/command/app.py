"""The command service's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from litestar import Litestar
from litestar.openapi import OpenAPIConfig

from services.command.handler import CommandHandler
from services.command.routes import Commands
from services.command.settings import Settings
from shared.problems import EXCEPTION_HANDLERS

BODY_BYTES_MAX = 1_000_000


def create_app(settings: Settings) -> Litestar:
    """The ASGI application; its handler runs as long as the application does."""
    handler = CommandHandler(settings.database_url, batch_max=settings.batch_max, queue_max=settings.queue_max)

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(handler.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    controller = type("BoundCommands", (Commands,), {"handler": handler})
    return Litestar(
        [controller],
        lifespan=[lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=OpenAPIConfig(title="Hourbook", version="0.1.0"),
        request_max_body_size=BODY_BYTES_MAX,
    )
