"""Makes the parts of the sealer and runs them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from services.sealer.announcer import Announcer
from services.sealer.sealer import Sealer
from services.sealer.settings import Settings
from shared.audit.notes import Signer, load_key
from shared.http.entrance import entrance_of
from shared.http.monitoring import monitoring
from shared.nats_server import server_at
from shared.tasks import until_stopped
from shared.telemetry import Telemetry, measure_certificates


async def serve(settings: Settings) -> None:
    """Signs and publishes checkpoints until SIGTERM or SIGINT. Raises BadKey, PortTaken and CannotServe."""
    telemetry = Telemetry(None)
    measure_certificates(telemetry, settings)
    signer = Signer(settings.audit_origin, load_key(Path(settings.audit_key_file)))
    nats = server_at(settings.nats_url, settings, settings.stream_replicas) if settings.nats_url else None
    sealer = Sealer(
        settings.database_url,
        signer,
        nats=nats,
        on_seal=lambda: announcer.ring() if announcer else None,
        on_batch=telemetry.batches("seal", "a checkpoint"),
    )
    announcer = Announcer(settings.database_url, nats, sealer.leads) if nats else None
    works = [sealer.run()] + ([announcer.run()] if announcer else [])
    _measure(telemetry, sealer, announcer)

    async def health() -> tuple[int, dict[str, Any]]:
        return 200, {"position": sealer.position, "leads": sealer.leads.is_set(), "trouble": sealer.trouble.problem}

    async with contextlib.AsyncExitStack() as stack:
        if port := settings.sealer_port:
            server = monitoring(settings.host, port, "HOURBOOK_SEALER_PORT", telemetry, health, entrance_of(settings))
            await stack.enter_async_context(server)
        await until_stopped(*works)


def _measure(telemetry: Telemetry, sealer: Sealer, announcer: Announcer | None) -> None:
    telemetry.gauge("sealer_leads", "1 in the process that signs", lambda: sealer.leads.is_set())
    telemetry.gauge(
        "sealer_trouble_seconds",
        "How long the sealer refuses to sign what the store has; 0: it signs",
        lambda: sealer.trouble.seconds,
    )
    telemetry.gauge(
        "announcer_trouble_seconds",
        "How long the sealer cannot reach NATS to publish checkpoints; 0: it can",
        lambda: announcer.trouble.seconds if announcer else 0.0,
    )
