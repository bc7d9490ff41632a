"""The projector's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from services.projector.consumer import Projector
from services.projector.settings import Settings


async def serve(settings: Settings) -> None:
    """Projects until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    projecting = asyncio.create_task(Projector(settings.database_url, settings.nats_url).run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((projecting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    projecting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await projecting
