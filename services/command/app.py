"""The command service's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, get

from services.command.handler.handler import CommandHandler
from services.command.keys import Keys
from services.command.refusal_log import LAST_WRITE_S, Refusals
from services.command.relay import Relay
from services.command.routes import CONTROLLERS
from services.command.routes.bodies import CommandRequest
from services.command.routes.submit import new_id
from services.command.routes.webhooks import Webhooks
from services.command.scheduler import Clock
from services.command.settings import Settings
from shared.http.application import Application
from shared.tasks import end_tasks
from shared.telemetry import Telemetry
from shared.webhook_hosts import allowed_hosts

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1_000_000


class Health(msgspec.Struct, kw_only=True):
    """How this process is. `waiting` events are not on the stream yet; `trouble` says why they do not get there."""

    position: int
    relayed: int | None
    refusals_dropped: int
    waiting: int
    trouble: str | None


def create_app(settings: Settings) -> Litestar:
    """The ASGI application; its handler and its relay run as long as the application does."""
    telemetry = Telemetry(settings.database_url)
    relay = Relay(settings.database_url, settings.nats_url) if settings.nats_url else None
    refusals = Refusals(
        settings.database_url, kept_days=settings.refusals_kept_days, kept_max=settings.refusals_kept_max
    )
    keys = Keys(settings.database_url, kept_days=settings.keys_kept_days, kept_max=settings.keys_kept_max)
    handler = CommandHandler(
        settings.database_url,
        batch_max=settings.batch_max,
        queue_max=settings.queue_max,
        bounds=settings.bounds(),
        on_append=relay.ring if relay else None,
        on_refusal=refusals.note,
        on_batch=telemetry.batches("append", "a batch that was appended"),
    )
    telemetry.gauge("queue_depth", "Commands that wait for their turn", lambda: handler.waiting)
    telemetry.gauge("queue_limit", "Commands that may wait; beyond it they are refused", lambda: settings.queue_max)
    telemetry.gauge("refusals_dropped", "Refusals that the log of refusals has not kept", lambda: refusals.dropped)
    if relay is not None:
        telemetry.gauge("relay_leads", "1 in the process whose relay publishes", lambda: relay.leads)
        telemetry.gauge(
            "relayed_position",
            "Position of the newest event on the stream; NaN where the relay does not lead",
            lambda: relay.last_sequence if relay.leads else math.nan,
        )
        telemetry.gauge(
            "relay_waiting_events",
            "Events that the relay has seen and not published; NaN where it does not lead",
            lambda: relay.waiting if relay.leads else math.nan,
        )
        telemetry.gauge(
            "relay_trouble_seconds",
            "How long something is wrong with the stream or with what goes to it; 0: nothing",
            lambda: relay.trouble.seconds,
        )

    clock = Clock(settings.database_url, handler, lambda: datetime.now(UTC), new_id)

    @get("/health")
    async def health() -> Health:
        """The last position that this process has seen, and the last that it has relayed; how many refusals it could
        not keep; what is wrong with the stream, if anything. Commands are taken all the same: that is always 200."""
        return Health(
            position=handler.head,
            relayed=relay.last_sequence if relay else None,
            refusals_dropped=refusals.dropped,
            waiting=relay.waiting if relay else 0,
            trouble=relay.trouble.words if relay else None,
        )

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(running(refusals.run(), end_s=LAST_WRITE_S))
            await stack.enter_async_context(running(handler.run()))
            await stack.enter_async_context(running(clock.run()))
            await stack.enter_async_context(running(keys.run()))
            if relay is not None:
                await stack.enter_async_context(running(relay.run()))
            yield

    controllers = [
        type(f"Bound{controller.__name__}", (controller,), {"handler": handler, "keys": keys})
        for controller in CONTROLLERS
    ]
    hosts = allowed_hosts(settings.webhook_hosts)
    webhooks = type("BoundWebhooks", (Webhooks,), {"keys": keys, "hosts": hosts})
    return Application(
        [*controllers, webhooks, health],
        telemetry,
        "What writes: commands, and webhooks. What can be read is [the query service](/schema).",
        lifespan=[lifespan],
        request_max_body_size=BODY_BYTES_MAX,
        request_class=CommandRequest,
    )


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None], end_s: float | None = None) -> AsyncIterator[None]:
    """Runs `work` beside the block. Should it end before, that is said aloud: it was meant to go on for ever. What it
    does at its end takes less than `end_s`."""
    task = asyncio.create_task(work)
    task.add_done_callback(_say_why)
    try:
        yield
    finally:
        await end_tasks(task, again_s=end_s)


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("%s: %s", type(error).__name__, error, exc_info=error)
