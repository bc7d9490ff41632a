"""Makes the parts of the sealer and runs them."""

from __future__ import annotations

from pathlib import Path

from services.sealer.announcer import Announcer
from services.sealer.sealer import Sealer
from services.sealer.settings import Settings
from shared.audit.notes import Signer, load_key
from shared.nats_server import server_at
from shared.tasks import until_stopped


async def serve(settings: Settings) -> None:
    """Signs and publishes checkpoints until SIGTERM or SIGINT. Raises BadKey."""
    signer = Signer(settings.audit_origin, load_key(Path(settings.audit_key_file)))
    nats = server_at(settings.nats_url, settings, settings.stream_replicas) if settings.nats_url else None
    sealer = Sealer(settings.database_url, signer, nats=nats, on_seal=lambda: announcer.ring() if announcer else None)
    announcer = Announcer(settings.database_url, nats, sealer.leads) if nats else None
    works = [sealer.run()] + ([announcer.run()] if announcer else [])
    await until_stopped(*works)
