"""Where the projector's events come from: the event store. The relay only says, over NATS, that there is something.

What lies on the stream is not looked at: whoever may publish could put anything there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.event_store import EventStore
from shared.jetstream import NATS_LOST, NEWS, join, leave
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

RETRY_DELAY_S = 1.0


class Source:
    """Events in order from a position on. `poll_s` bounds how long it waits when nobody says that there is something,
    and a tenth of it when nobody could. It does not wait at a position where it has not left the reader: others go on
    with the same generation, or it is another one.

    `listen` runs beside it, or it only polls.
    """

    def __init__(self, store: EventStore, *, poll_s: float = 1.0) -> None:
        self._store, self._poll_s = store, poll_s
        self._news = asyncio.Event()
        self._client: Client | None = None
        self._left_at = -1

    async def after(self, position: int, limit: int) -> list[bytes]:
        """The stored events after `position`, up to `limit`; maybe none. Raises asyncpg's errors."""
        if position == self._left_at:
            await self._wait()
        self._news.clear()
        stored = await self._store.data_after(position, limit)
        self._left_at = position + len(stored)
        if len(stored) == limit:  # there may be more
            self._news.set()
        return stored

    async def _wait(self) -> None:
        hears = self._client is not None and self._client.is_connected
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s if hears else self._poll_s / 10):
                await self._news.wait()

    async def listen(self, nats_url: str) -> None:
        """Hears the relay, until it is cancelled, over lost connections."""
        trouble = Trouble(log, "projector: NATS")

        async def serve() -> None:
            client = Client()
            try:
                await join(client, nats_url, trouble)
                await client.subscribe(NEWS, cb=self._heard)
                self._client = client
                await asyncio.Event().wait()
            finally:
                await leave(client)

        await keep_running(log, "projector", serve, NATS_LOST, RETRY_DELAY_S, "it polls meanwhile")

    async def _heard(self, _: Msg) -> None:
        self._news.set()
