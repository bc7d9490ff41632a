"""The outbox relay: reads events from the store, in order of position, and publishes them on the NATS stream.

It keeps no checkpoint. Message n of the stream is position n, so the stream's last sequence says which event is next.
After a time-out, a lost tail or a lost stream, the relay reads that sequence again and continues there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from shared import postgres
from shared.event_store import EventStore
from shared.event_store.store import PositionGap
from shared.jetstream import (
    BATCH_MAX,
    DOORBELL,
    NATS_LOST,
    NEWS,
    PUBLISH_TIMEOUT_S,
    SINGLY_MAX,
    STREAM,
    PublishRefused,
    StreamTaken,
    cloud_event,
    join,
    leave,
    open_stream,
    publish_batch,
    wrong_with,
)
from shared.locks import Lock, try_lock
from shared.nats_access.users import RELAY_INBOX
from shared.nats_server import NatsClient, NatsServer
from shared.postgres import LOST_OR_REFUSED
from shared.trouble import Trouble

log = logging.getLogger(__name__)

TRY_TO_LEAD = try_lock(Lock.RELAY)
RETRY_DELAY_S = 0.5
CONNECT_TIMEOUT_S = 5.0
# PositionGap: the store is not whole; a restored backup may mend it.
GOES_ON_AFTER = (*LOST_OR_REFUSED, *NATS_LOST, PositionGap)
REST_S = 0.01  # after a batch under load: larger batches halve the cost of an event
MEND = (
    "Nothing is published until that is mended. If the store has lost nothing (`hourbook audit verify` with a "
    "checkpoint that you kept), remove the stream, as docs/operations.md says: it is made again and filled from the "
    "store"
)


class ForeignHistory(Exception):
    """The stream holds events that are not the store's. Nothing is published until a person has mended it."""


class Relay:
    """Many may run, and one leads: it publishes. That only saves work. Two leaders would do no harm, because each
    message names the sequence that it expects.

    `trouble` says what is wrong with the stream or why nothing is published. When that is mended, it goes on by itself.
    """

    def __init__(
        self, database_url: str, nats: NatsServer, *, poll_s: float = 1.0, publish_timeout_s: float = PUBLISH_TIMEOUT_S
    ) -> None:
        self._database_url = database_url
        self._nats = nats
        self._poll_s = poll_s
        self._publish_timeout_s = publish_timeout_s
        self._doorbell = asyncio.Event()
        self._client: Client | None = None
        self._leads = False
        self._ringing: asyncio.Task[None] | None = None
        self._seen = 0
        self._refused_at: int | None = None
        self._wrong: str | None = None
        self.last_sequence = 0
        self.trouble = Trouble(log, "relay")
        self._unheard = Trouble(log, "relay: NATS")

    @property
    def leads(self) -> bool:
        """Whether this relay publishes. Only then is `last_sequence` up to date."""
        return self._leads

    @property
    def waiting(self) -> int:
        """The number of events that it has seen and not published yet; 0 if it does not lead."""
        return max(0, self._seen - self.last_sequence) if self._leads else 0

    def ring(self) -> None:
        """Call it after an append: wakes this relay, or, over NATS, the one that leads."""
        self._doorbell.set()
        idle = self._ringing is None or self._ringing.done()
        if not self._leads and idle and self._client is not None and self._client.is_connected:
            self._ringing = asyncio.create_task(self._ring_elsewhere(self._client))

    async def _ring_elsewhere(self, client: Client) -> None:
        with contextlib.suppress(*NATS_LOST):
            await client.publish(DOORBELL, b"")
            await client.flush()

    async def run(self) -> None:
        """Until it is cancelled, over lost connections and trouble with the stream."""
        while True:  # not `keep_running`: `trouble` says what is wrong, for /health and /metrics too
            try:
                await self._serve()
            except GOES_ON_AFTER as lost:
                self.trouble.report(f"{type(lost).__name__}: {lost}")
                await asyncio.sleep(RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url)
        client = NatsClient()
        try:
            await self._reach(client)
            self._client = client
            await client.subscribe(DOORBELL, cb=self._rung)
            while not await connection.fetchval(TRY_TO_LEAD):
                self.trouble.clear()  # the one that leads says what is wrong
                await asyncio.sleep(self._poll_s)
            self._leads = True
            await self._lead(EventStore(connection), client)
        finally:
            self._leads, self._client = False, None
            connection.terminate()
            await leave(client)

    async def _reach(self, client: Client) -> None:
        """Connects to NATS. Raises TimeoutError; the client itself would try for ever, in silence."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await join(client, self._nats, self._unheard, RELAY_INBOX)
        except TimeoutError:
            because = f": {self._unheard.problem}" if self._unheard.problem else ""
            raise TimeoutError(f"the NATS server does not answer within {CONNECT_TIMEOUT_S:.0f} s{because}") from None

    async def _lead(self, store: EventStore, client: Client) -> None:
        while True:
            try:
                await self._look(store, client)
                await self._publish(store, client)
            except (ForeignHistory, StreamTaken) as wrong:
                await self._stand_still(store, client, str(wrong))
            except (PublishRefused, TimeoutError, nats.errors.Error) as unknown:
                if client.is_closed:
                    raise
                reach = "" if client.is_connected else "the NATS server cannot be reached: "
                words = f"{reach}{type(unknown).__name__}: {unknown}"
                if self._refused_at != self.last_sequence:  # once: another relay was faster, or an answer was lost
                    self._refused_at = self.last_sequence
                    log.info("relay: %s; reading where the stream ends", words)
                else:
                    where = f"nothing can be published after {self.last_sequence}: {words}"
                    await self._stand_still(store, client, f"{self._wrong}; {where}" if self._wrong else where)

    async def _publish(self, store: EventStore, client: Client) -> None:
        """Publishes events as they are appended. Raises if the stream did not take one as it should."""
        while True:
            self._doorbell.clear()
            events = await store.after(self.last_sequence, BATCH_MAX)
            if not events:
                self._all_is_well()
                await self._wait(store, client)
                continue
            self._seen = events[-1].position
            await client.publish(NEWS, b"")
            self.last_sequence = await publish_batch(client, self.last_sequence, events, self._publish_timeout_s)
            self._all_is_well()
            if SINGLY_MAX < len(events) < BATCH_MAX:
                await asyncio.sleep(REST_S)

    def _all_is_well(self) -> None:
        """Publishing works. The stream itself may still be configured wrongly: then that is the trouble."""
        self._refused_at = None
        if self._wrong is None:
            self.trouble.clear()
        else:
            self.trouble.report(self._wrong)

    async def _stand_still(self, store: EventStore, client: Client, why: str) -> None:
        """Says why nothing is published, and waits. Readers of the store are told of new events all the same."""
        self.trouble.report(why)
        head = await store.head()
        if head > self._seen and client.is_connected:
            with contextlib.suppress(*NATS_LOST):
                await client.publish(NEWS, b"")
        self._seen = head
        await asyncio.sleep(min(RETRY_DELAY_S, self._poll_s))

    async def _wait(self, store: EventStore, client: Client) -> None:
        """Waits for the doorbell. If it does not ring for `poll_s`, looks at the stream: it may have lost its tail."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._doorbell.wait()
        except TimeoutError:
            await self._look(store, client)

    async def _look(self, store: EventStore, client: Client) -> None:
        """Reads where the stream ends, and what is wrong with it. Raises as `checked_stream`."""
        self.last_sequence, self._wrong = await checked_stream(store, client)

    async def _rung(self, _: Msg) -> None:
        self._doorbell.set()


async def checked_stream(store: EventStore, client: Client) -> tuple[int, str | None]:
    """The last sequence of the stream, and what is wrong with its configuration, if anything. Raises StreamTaken, and
    ForeignHistory if its last message is not the store's event at that position."""
    context = client.jetstream()
    info = await open_stream(context)
    last, wrong = info.state.last_seq, wrong_with(info.config)
    if last == 0:
        return 0, wrong
    events = await store.after(last - 1, 1)
    if not events:
        raise ForeignHistory(
            f"the stream {STREAM} ends at {last}, the store at {await store.head()}: what is beyond is not of this "
            f"store. {MEND}"
        )
    try:
        message = await context.get_msg(STREAM, last)
    except NotFoundError:
        return last, wrong  # the stream was purged; its last sequence is still known
    if (message.subject, message.data) != (cloud_event(events[0])[0], events[0].data):
        raise ForeignHistory(f"message {last} of the stream {STREAM} is not the event {last} of this store. {MEND}")
    return last, wrong
