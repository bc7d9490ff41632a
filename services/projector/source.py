"""Where the projector's events come from: the JetStream stream, and the event store where the stream falls short."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.event_store import EventStore
from shared.jetstream import STREAM

PULL = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}"
PULL_MAX = 4096
PULL_EXPIRES_S = 30
STORE_BATCH_MAX = 40_000  # the more events a write, the fewer rows of hours an event


class Source:
    """Events in order from a position on. A consumer without acknowledgements: the checkpoint is in PostgreSQL.

    `behind_max` is how many events it may be behind the stream before it reads the store instead, which is several
    times faster in bulk. `poll_s` bounds how long it trusts a silent stream.
    """

    def __init__(self, store: EventStore, client: Client, *, poll_s: float = 1.0, behind_max: int = 10_000) -> None:
        self._store, self._client, self._poll_s, self._behind_max = store, client, poll_s, behind_max
        self._messages: deque[tuple[int, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._subscription: Subscription | None = None
        self._consumer = ""
        self._wanted = 0
        self._pending = 0

    async def after(self, position: int, limit: int) -> list[bytes]:
        """The stored events after `position`, up to `limit` (or as many as come at once from the store); maybe none.

        Raises asyncpg's errors. NATS's are not raised: the store has every event too.
        """
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            if batch := await self._from_stream(position, limit):
                return batch
        await self._leave()
        return await self._store.data_after(position, STORE_BATCH_MAX)

    async def _from_stream(self, position: int, limit: int) -> list[bytes]:
        """Empty when the store must be asked: nothing came in time, the stream has a gap, or it is far ahead."""
        if not self._client.is_connected:
            await asyncio.sleep(self._poll_s / 10)
            return []
        if self._subscription is None:
            await self._join(position)
        if not self._messages:
            await self._pull()
            self._arrived.clear()
            if not self._messages:
                async with asyncio.timeout(self._poll_s):
                    await self._arrived.wait()
        batch: list[bytes] = []
        while self._messages and len(batch) < limit:
            sequence, data = self._messages[0]
            if sequence > position + len(batch) + 1:
                break
            self._messages.popleft()
            if sequence == position + len(batch) + 1:
                batch.append(data)
        if self._wanted < PULL_MAX // 2:
            await self._pull()
        return batch if self._pending < self._behind_max else []

    async def _join(self, position: int) -> None:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=position + 1, ack_policy=AckPolicy.NONE,
            inactive_threshold=60.0, mem_storage=True, num_replicas=1,
        )  # fmt: skip
        info = await self._client.jetstream().add_consumer(STREAM, config)
        self._consumer, self._pending = info.name, info.num_pending or 0
        self._messages.clear()
        self._wanted = 0
        self._subscription = await self._client.subscribe(self._client.new_inbox(), cb=self._took)

    async def _leave(self) -> None:
        """Gives the consumer up; the next one starts at the position that is then asked for."""
        subscription, self._subscription = self._subscription, None
        self._messages.clear()
        if subscription is not None:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await subscription.unsubscribe()
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{STREAM}.{self._consumer}")

    async def _pull(self) -> None:
        assert self._subscription is not None
        if self._wanted < PULL_MAX // 2:
            request = b'{"batch":%d,"expires":%d}' % (PULL_MAX, PULL_EXPIRES_S * 10**9)
            await self._client.publish(f"{PULL}.{self._consumer}", request, reply=self._subscription.subject)
            self._wanted += PULL_MAX

    async def _took(self, message: Msg) -> None:
        if not message.reply.startswith("$JS.ACK."):  # a status: the pull has ended, with so many not delivered
            headers = message.headers or {}
            self._wanted -= int(headers.get("Nats-Pending-Messages", self._wanted))
        else:
            place = message.metadata
            self._messages.append((place.sequence.stream, message.data))
            self._wanted, self._pending = self._wanted - 1, place.num_pending
        self._arrived.set()
