"""Makes the parts of the notifier and runs them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from services.notify.delivery import OUTCOMES
from services.notify.publisher import publish
from services.notify.schedule import LeadTimes, Schedule
from services.notify.settings import Settings
from services.notify.webhooks import Retries, Webhooks
from shared import postgres
from shared.clock import ClockWatch
from shared.http.entrance import entrance_of
from shared.http.monitoring import monitoring
from shared.identity.configured import policy_from
from shared.jetstream import NATS_LOST, join, leave
from shared.locks import Lock, try_lock
from shared.nats_server import NatsClient, server_at
from shared.notices import ensure_stream
from shared.postgres import LOST_OR_REFUSED, Connection, Pool
from shared.tasks import keep_running, side_by_side, until_stopped
from shared.telemetry import Telemetry, measure_certificates
from shared.trouble import Trouble
from shared.webhook_hosts import allowed_hosts

log = logging.getLogger(__name__)

TRY_TO_LEAD = try_lock(Lock.NOTIFIER)
RETRY_DELAY_S = 1.0
CONNECTIONS_MAX = 6
UNPUBLISHED_S = 5.0  # so often the publisher looks for notices of which it was not told


def utc_now() -> datetime:
    return datetime.now(UTC)


async def serve(settings: Settings) -> None:
    """Runs the notifier until SIGTERM or SIGINT. Raises PortTaken and CannotServe."""
    telemetry = Telemetry(None)
    measure_certificates(telemetry, settings)
    count = telemetry.counter("webhook_deliveries", "Attempts to deliver to webhooks", "outcome", OUTCOMES)
    clock = ClockWatch(settings.database_url, tolerance_s=settings.clock_tolerance_s)
    notifier = Notifier(settings, utc_now, on_delivery=count, clock=clock)
    telemetry.gauge("notifier_leads", "1 in the process that makes notices", lambda: notifier.leads)
    telemetry.gauge("clock_ahead_seconds", "How far this clock is ahead of the database's", lambda: clock.difference_s)
    telemetry.gauge(
        "notices_trouble_seconds",
        "How long the notifier cannot reach NATS to publish notices; 0: it can",
        lambda: notifier.trouble.seconds,
    )

    async def health() -> tuple[int, dict[str, Any]]:
        return 200, {"leads": notifier.leads, "trouble": clock.doubtful}

    async with contextlib.AsyncExitStack() as stack:
        if port := settings.notify_port:
            server = monitoring(settings.host, port, "HOURBOOK_NOTIFY_PORT", telemetry, health, entrance_of(settings))
            await stack.enter_async_context(server)
        await until_stopped(clock.run(), notifier.run())


class Notifier:
    """Several may run; one at a time leads, the others wait. `on_delivery` is called with the outcome of each attempt
    at a webhook: one of OUTCOMES. `clock` watches the time that `now` gives. `trouble` says why NATS cannot be
    reached."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime],
        *,
        poll_s: float = 0.5,
        on_delivery: Callable[[str], None] = lambda _: None,
        clock: ClockWatch | None = None,
    ) -> None:
        self._settings, self._now, self._poll_s, self._on_delivery = settings, now, poll_s, on_delivery
        self._clock = clock
        self._made = asyncio.Event()
        self.leads, self.trouble = False, Trouble(log, "notices: NATS")
        hours = timedelta(hours=1)
        self._nats = server_at(settings.nats_url, settings, settings.stream_replicas)
        self._policy = policy_from(settings.auth_file)
        self._lead_times = LeadTimes(settings.ending_lead_hours * hours, settings.conflict_lead_hours * hours)
        self._retries = Retries(
            settings.webhook_first_retry_s,
            settings.webhook_last_retry_s,
            settings.webhook_attempts_max,
            settings.webhook_timeout_s,
        )

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "notifier", self._serve, LOST_OR_REFUSED, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._settings.database_url, server_settings=postgres.LEADING)
        try:
            while not await connection.fetchval(TRY_TO_LEAD):
                await asyncio.sleep(self._poll_s)
            self.leads = True
            url, keep = self._settings.database_url, postgres.keep_session
            async with postgres.create_pool(url, min_size=0, max_size=CONNECTIONS_MAX, reset=keep) as pool:
                webhooks = Webhooks(
                    pool,
                    allowed_hosts(self._settings.webhook_hosts),
                    self._retries,
                    policy=self._policy,
                    on_delivery=self._on_delivery,
                    clock=self._clock,
                )
                await side_by_side(self._schedule(connection), self._publish(pool), webhooks.run())
        finally:
            self.leads = False
            connection.terminate()

    async def _schedule(self, connection: Connection) -> None:
        """Makes the notices, on the connection that holds the lock. If that is lost, publishing and webhooks end
        too."""
        schedule = Schedule(self._lead_times)
        while True:
            if not await self._clock_is_right():
                await asyncio.sleep(self._poll_s)
                continue
            try:
                made = await schedule.tick(connection, self._now())
            except asyncpg.SerializationError:
                continue  # the notifier that led before this one was faster
            if made:
                self._made.set()
            else:
                await asyncio.sleep(self._poll_s)

    async def _until_made(self) -> None:
        """Waits until there are new notices, at most UNPUBLISHED_S."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNPUBLISHED_S):
                await self._made.wait()

    async def _clock_is_right(self) -> bool:
        """Whether notices may be made by this clock: they cannot be called back."""
        if self._clock is None:
            return True
        await self._clock.first_look()
        return self._clock.doubtful is None

    async def _publish(self, pool: Pool) -> None:
        """Publishes the notices. While the NATS server is not there, they wait in their table. Raises PostgreSQL's
        errors."""
        trouble, server = self.trouble, self._nats

        async def serve() -> None:
            client = NatsClient()
            try:
                await join(client, server, trouble)
                if (wrong := await ensure_stream(client.jetstream(), server.replicas)) is not None:
                    trouble.report(wrong)
                while True:
                    self._made.clear()
                    if not await publish(pool, client, server.replicas):
                        await self._until_made()
            finally:
                await leave(client)

        await keep_running(log, "notices", serve, NATS_LOST, RETRY_DELAY_S, "they wait")
