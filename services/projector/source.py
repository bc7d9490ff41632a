"""Reads the projector's events from the event store. A message on NATS only says that there are new ones.

The projector takes no event from the stream: everybody who may publish could put something there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.event_store import EventStore
from shared.jetstream import NATS_LOST, NEWS, join, leave
from shared.nats_server import NatsClient, NatsServer
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

RETRY_DELAY_S = 1.0


class Source:
    """Events in order after a position. Run `listen` beside it; without it, the source only polls.

    It waits for a message for `poll_s` at most, and for a tenth of that without a connection to NATS. It waits only
    when it is asked for the position that its last answer ended at: otherwise another process has moved the checkpoint,
    or another generation is live, and there may be events.
    """

    def __init__(
        self, store: EventStore, *, poll_s: float = 1.0, on_news: Callable[[bytes], None] | None = None
    ) -> None:
        """`on_news` is called with the body of each message that says that there are new events."""
        self._store, self._poll_s, self._on_news = store, poll_s, on_news
        self._news = asyncio.Event()
        self._client: Client | None = None
        self._answered_to = -1

    async def after(self, position: int, limit: int) -> list[bytes]:
        """The stored bytes of the events after `position`: `limit` at most, perhaps none. Raises asyncpg's errors."""
        if position == self._answered_to:
            await self._wait()
        self._news.clear()
        stored = await self._store.data_after(position, limit)
        self._answered_to = position + len(stored)
        if len(stored) == limit:  # there may be more
            self._news.set()
        return stored

    async def _wait(self) -> None:
        connected = self._client is not None and self._client.is_connected
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s if connected else self._poll_s / 10):
                await self._news.wait()

    async def listen(self, nats: NatsServer) -> None:
        """Subscribes to the relay's messages until it is cancelled. It connects again after an error."""
        trouble = Trouble(log, "projector: NATS")

        async def serve() -> None:
            client = NatsClient()
            try:
                await join(client, nats, trouble)
                await client.subscribe(NEWS, cb=self._heard)
                self._client = client
                while not client.is_closed:  # a server that refuses the user once more closes it for good
                    await asyncio.sleep(RETRY_DELAY_S)
            finally:
                await leave(client)

        await keep_running(log, "projector", serve, NATS_LOST, RETRY_DELAY_S, "it polls meanwhile")

    async def _heard(self, news: Msg) -> None:
        self._news.set()
        if self._on_news is not None:
            self._on_news(news.data)
