"""The notifier's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import nats.errors
from nats.aio.client import Client

from services.notify.publisher import publish
from services.notify.schedule import Leads, Schedule
from services.notify.settings import Settings
from services.notify.webhooks import Retries, Webhooks
from shared import postgres
from shared.jetstream import join, leave
from shared.tasks import side_by_side, until_stopped
from shared.trouble import Trouble
from shared.webhook_hosts import allowed_hosts

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

log = logging.getLogger(__name__)

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
TRY_TO_LEAD = "SELECT pg_try_advisory_lock(7310579630513578619)"
RETRY_DELAY_S = 1.0
CONNECTIONS_MAX = 6


def utc_now() -> datetime:
    return datetime.now(UTC)


async def serve(settings: Settings) -> None:
    """Notifies until SIGTERM or SIGINT."""
    await until_stopped(Notifier(settings, utc_now).run())


class Notifier:
    """Several may run; one leads at a time, the others stand by."""

    def __init__(self, settings: Settings, now: Callable[[], datetime], *, poll_s: float = 0.5) -> None:
        self._settings, self._now, self._poll_s = settings, now, poll_s
        hours = timedelta(hours=1)
        self._leads = Leads(settings.ending_lead_hours * hours, settings.conflict_lead_hours * hours)
        self._retries = Retries(
            settings.webhook_first_retry_s,
            settings.webhook_last_retry_s,
            settings.webhook_attempts_max,
            settings.webhook_timeout_s,
        )

    async def run(self) -> None:
        """Notifies until it is cancelled, over lost connections."""
        while True:
            try:
                await self._serve()
            except LOST as lost:
                log.warning("notifier: %s: %s; it goes on", type(lost).__name__, lost)
                await asyncio.sleep(RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._settings.database_url)
        try:
            while not await connection.fetchval(TRY_TO_LEAD):
                await asyncio.sleep(self._poll_s)
            async with postgres.create_pool(self._settings.database_url, min_size=0, max_size=CONNECTIONS_MAX) as pool:
                webhooks = Webhooks(pool, allowed_hosts(self._settings.webhook_hosts), self._retries)
                await side_by_side(self._schedule(connection), self._publish(pool), webhooks.run())
        finally:
            connection.terminate()

    async def _schedule(self, connection: Connection) -> None:
        """On the connection that holds the lock: when it is lost, all of this ends."""
        schedule = Schedule(self._leads)
        while True:
            try:
                made = await schedule.tick(connection, self._now())
            except asyncpg.SerializationError:
                continue  # somebody who led before was faster
            if not made:
                await asyncio.sleep(self._poll_s)

    async def _publish(self, pool: Pool) -> None:
        """Over a NATS server that is not there, too: the notices wait in their table."""
        client, trouble = Client(), Trouble(log, "notices: NATS")
        try:
            while True:
                try:
                    if not client.is_connected:
                        await join(client, self._settings.nats_url, trouble)
                    while True:
                        if not await publish(pool, client):
                            await asyncio.sleep(self._poll_s)
                except (nats.errors.Error, OSError, TimeoutError) as lost:
                    log.warning("notices: %s: %s; they wait", type(lost).__name__, lost)
                    await asyncio.sleep(RETRY_DELAY_S)
        finally:
            await leave(client)
