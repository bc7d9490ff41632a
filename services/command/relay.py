"""The relay (outbox): reads the store in position order and continues the stream where it ends.

It keeps no checkpoint. Message n of the stream is position n, so the stream's last sequence says what comes next: a
time-out of unknown outcome, a lost tail and a lost stream are all settled by reading it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import asyncpg
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from shared import postgres
from shared.event_store import EventStore
from shared.jetstream import (
    BATCH_MAX,
    DOORBELL,
    PUBLISH_TIMEOUT_S,
    SINGLY_MAX,
    STREAM,
    PublishRefused,
    cloud_event,
    ensure_stream,
    leave,
    publish_batch,
)

log = logging.getLogger(__name__)

TRY_TO_LEAD = "SELECT pg_try_advisory_lock(7310579630513578616)"
RETRY_DELAY_S = 0.5
REST_S = 0.01  # after a batch under load: what arrives meanwhile goes out together, which halves what an event costs


class ForeignHistory(Exception):
    """The stream holds events that are not the store's. Nothing is published until a person has looked."""


class Relay:
    """Many may run; one at a time leads, for economy only: the expected sequence keeps two from doing harm."""

    def __init__(
        self, database_url: str, nats_url: str, *, poll_s: float = 1.0, publish_timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> None:
        self._database_url, self._nats_url = database_url, nats_url
        self._poll_s, self._publish_timeout_s = poll_s, publish_timeout_s
        self._doorbell = asyncio.Event()
        self._client: Client | None = None
        self._leads = False
        self._ringing: asyncio.Task[None] | None = None
        self.last_sequence = 0

    @property
    def leads(self) -> bool:
        """Whether this is the one that publishes; only then is `last_sequence` new."""
        return self._leads

    def ring(self) -> None:
        """Something was appended in this process: tells its own relay, or, over NATS, the one that leads."""
        self._doorbell.set()
        idle = self._ringing is None or self._ringing.done()
        if not self._leads and idle and self._client is not None and self._client.is_connected:
            self._ringing = asyncio.create_task(self._ring_elsewhere(self._client))

    async def _ring_elsewhere(self, client: Client) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            await client.publish(DOORBELL, b"")
            await client.flush()

    async def run(self) -> None:
        """Relays until it is cancelled, over lost connections. Raises ForeignHistory."""
        while True:
            try:
                await self._serve()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
                    nats.errors.Error, OSError, TimeoutError) as lost:  # fmt: skip
                log.warning("relay: %s: %s; it goes on", type(lost).__name__, lost)
                await asyncio.sleep(RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url)
        try:
            client = self._client = await nats.connect(self._nats_url, max_reconnect_attempts=-1)
            try:
                await client.subscribe(DOORBELL, cb=self._rung)
                while not await connection.fetchval(TRY_TO_LEAD):
                    await asyncio.sleep(self._poll_s)
                self._leads = True
                await self._lead(EventStore(connection), client)
            finally:
                self._leads, self._client = False, None
                await leave(client)
        finally:
            connection.terminate()

    async def _lead(self, store: EventStore, client: Client) -> None:
        self.last_sequence = await checked_last_sequence(store, client)
        while True:
            self._doorbell.clear()
            events = await store.after(self.last_sequence, BATCH_MAX)
            if not events:
                await self._wait(store, client)
                continue
            try:
                self.last_sequence = await publish_batch(client, self.last_sequence, events, self._publish_timeout_s)
                if SINGLY_MAX < len(events) < BATCH_MAX:
                    await asyncio.sleep(REST_S)
            except (PublishRefused, TimeoutError, nats.errors.Error) as unknown:
                log.info("relay: %s: %s; reading where the stream ends", type(unknown).__name__, unknown)
                self.last_sequence = await checked_last_sequence(store, client)

    async def _wait(self, store: EventStore, client: Client) -> None:
        """Until the doorbell rings; at the slow poll, the stream is looked at too: it may have lost its tail."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._doorbell.wait()
        except TimeoutError:
            self.last_sequence = await checked_last_sequence(store, client)

    async def _rung(self, _: Msg) -> None:
        self._doorbell.set()


async def checked_last_sequence(store: EventStore, client: Client) -> int:
    """Where the stream ends. Raises ForeignHistory unless its last message is the store's event at that position."""
    context = client.jetstream()
    last = await ensure_stream(context)
    if last == 0:
        return 0
    events = await store.after(last - 1, 1)
    if not events:
        raise ForeignHistory(f"the stream ends at {last}, the store at {await store.head()}: it is not this store's")
    try:
        message = await context.get_msg(STREAM, last)
    except NotFoundError:
        return last  # purged: the sequence still says where it ends
    if (message.subject, message.data) != (cloud_event(events[0])[0], events[0].data):
        raise ForeignHistory(f"message {last} of the stream is not the event at position {last} of this store")
    return last
