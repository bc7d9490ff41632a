"""The projector's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from services.projector.consumer import Projector
from services.projector.historian import Historian
from services.projector.indexer import Indexer
from services.projector.monitor import monitored
from services.projector.settings import Settings
from shared.telemetry import Telemetry


async def serve(settings: Settings) -> None:
    """Projects, indexes the history and keeps the past, until SIGTERM or SIGINT. Raises PortTaken."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    telemetry = Telemetry(settings.database_url)
    projector = Projector(
        settings.database_url, settings.nats_url, on_batch=telemetry.batches("fold", "a batch that was folded")
    )
    async with monitored(settings.host, settings.projector_port, telemetry, lambda: projector.position):
        historian = Historian(settings.database_url, busy=lambda: projector.catching_up)
        works = [projector.run(), Indexer(settings.database_url).run(), historian.run()]
        tasks = [asyncio.create_task(work) for work in works]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
