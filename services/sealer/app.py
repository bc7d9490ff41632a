"""The sealer's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from services.sealer.announcer import Announcer
from services.sealer.sealer import Sealer
from services.sealer.settings import Settings
from shared.audit.notes import Signer, load_key


async def serve(settings: Settings) -> None:
    """Seals and publishes until SIGTERM or SIGINT. Raises BadKey."""
    signer = Signer(settings.audit_origin, load_key(Path(settings.audit_key_file)))
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sealer = Sealer(settings.database_url, signer, on_seal=lambda: announcer.ring() if announcer else None)
    announcer = Announcer(settings.database_url, settings.nats_url, sealer.leads) if settings.nats_url else None
    works = [sealer.run()] + ([announcer.run()] if announcer else [])
    tasks = [asyncio.create_task(work) for work in works]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
