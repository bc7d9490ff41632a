"""Makes the parts of the projector and runs them."""

from __future__ import annotations

from services.projector.as_of.historian import Historian
from services.projector.bell import Bell
from services.projector.consumer import Projector
from services.projector.indexer import Indexer
from services.projector.monitor import Watch, monitored
from services.projector.settings import Settings
from services.projector.traces import FoldTraces
from shared import tracing
from shared.http.entrance import entrance_of
from shared.nats_server import server_at
from shared.tasks import until_stopped
from shared.telemetry import Telemetry, measure_certificates


async def serve(settings: Settings) -> None:
    """Runs the projector, the indexer and the historian until SIGTERM or SIGINT. Raises PortTaken and CannotServe."""
    entrance = entrance_of(settings)
    telemetry, traces = Telemetry(settings.database_url), tracing.traces()
    measure_certificates(telemetry, settings)
    past, index = Bell(), Bell()
    projector = Projector(
        settings.database_url,
        server_at(settings.nats_url, settings),
        on_batch=telemetry.batches("fold", "a batch that was folded"),
        traces=None if traces is None else FoldTraces(traces),
        bells=(past, index),
    )
    watch = Watch(telemetry, settings.stall_s, tells=not settings.auth_file)
    port = settings.projector_port
    async with monitored(settings.host, port, telemetry, lambda: projector.position, watch, entrance):
        historian = Historian(settings.database_url, past, busy=lambda: projector.catching_up)
        indexer = Indexer(settings.database_url, index)
        await until_stopped(projector.run(), indexer.run(), historian.run(), watch.run())
