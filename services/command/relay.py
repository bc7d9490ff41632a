"""The outbox relay: reads events from the store, in order of position, and publishes them on the NATS stream.

It keeps no checkpoint. Message n of the stream is position n, so the stream's last sequence says which event is next.
After a time-out, a lost tail or a lost stream, the relay reads that sequence again and continues there.

When another primary of PostgreSQL has the store, the relay that leads begins its term (shared/event_store/terms.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from uuid import UUID

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.command.agreement import Agreement
from services.command.just_appended import JustAppended
from services.command.on_stream import OnStream
from services.command.relay_traces import RelayTraces
from services.command.stream_look import HEAL, ForeignHistory, Look, look_at_stream
from shared import postgres
from shared.event_store import EventStore, Pending, Stored
from shared.event_store.store import PositionGap
from shared.event_store.terms import Term, begin_term, claimed_event, read_term
from shared.jetstream import (
    BATCH_MAX,
    DOORBELL,
    NATS_LOST,
    NEWS,
    PUBLISH_TIMEOUT_S,
    RELAYED,
    PublishRefused,
    StreamTaken,
    join,
    leave,
    publish_batch,
    whole_commands,
)
from shared.locks import Lock, try_lock
from shared.nats_access.users import RELAY_INBOX
from shared.nats_server import NatsClient, NatsServer
from shared.postgres import LOST_OR_REFUSED
from shared.tasks import side_by_side
from shared.trouble import Trouble

log = logging.getLogger(__name__)

TRY_TO_LEAD = try_lock(Lock.RELAY)
RETRY_DELAY_S = 0.5
CONNECT_TIMEOUT_S = 5.0
FOREIGN_S = 5.0  # with another history for so long, connect again: the address may lead to another primary by now
# PositionGap: the store is not whole; a restored backup may mend it.
GOES_ON_AFTER = (*LOST_OR_REFUSED, *NATS_LOST, PositionGap)
# After a batch, so that the next one is larger: an atomic batch takes the server 3 ms of processor time, whatever is in
# it. Who reads the store hears of an event before that, at once or after the shorter rest.
REST_S, NEWS_REST_S = 0.02, 0.008
JUST_APPENDED_MAX = 4 * BATCH_MAX


class Relay:
    """Many may run, and one leads: it publishes. That only saves work. Two leaders would do no harm, because each
    message names the sequence that it expects.

    `trouble` says what is wrong with the stream or why nothing is published. When that is mended, it goes on by itself.
    """

    def __init__(
        self,
        database_url: str,
        nats: NatsServer,
        *,
        poll_s: float = 1.0,
        publish_timeout_s: float = PUBLISH_TIMEOUT_S,
        traces: RelayTraces | None = None,
        on_stream: OnStream | None = None,
    ) -> None:
        self._database_url = database_url
        self._nats = nats
        self._poll_s = poll_s
        self._publish_timeout_s = publish_timeout_s
        self._traces = traces
        self._doorbell, self._new = asyncio.Event(), asyncio.Event()
        self._look_wanted = False
        self._term: Term | None = None
        self._client: Client | None = None
        self._leads = False
        self._connected_at = 0.0
        self._ringing: asyncio.Task[None] | None = None
        self._seen = 0
        self._just_appended, self._read_at = JustAppended(JUST_APPENDED_MAX), 0.0
        self._refused_at: int | None = None
        self._wrong: str | None = None
        self.last_sequence = 0
        self.trouble = Trouble(log, "relay")
        self._unheard = Trouble(log, "relay: NATS")
        self.agreement = Agreement(self._look_now)
        self._on_stream = on_stream
        if on_stream is not None:
            on_stream.want_look = self._look_for_others

    @property
    def leads(self) -> bool:
        """Whether this relay publishes. Only then is `last_sequence` up to date."""
        return self._leads

    @property
    def waiting(self) -> int:
        """The number of events that it has seen and not published yet; 0 if it does not lead."""
        return max(0, self._seen - self.last_sequence) if self._leads else 0

    def appended(self, term: UUID | None, first_position: int, events: Sequence[Pending]) -> None:
        """Call it after an append of this process to the store of this term, with what was appended."""
        if self._leads:
            self._just_appended.add(term, first_position, events)
            self._new.set()
        self.ring()

    def ring(self) -> None:
        """Call it after an append: wakes this relay, or, over NATS, the one that leads."""
        self._doorbell.set()
        idle = self._ringing is None or self._ringing.done()
        if not self._leads and idle and self._client is not None and self._client.is_connected:
            self._ringing = asyncio.create_task(self._ring_elsewhere(self._client))

    def _look_now(self) -> None:
        self._look_wanted = True
        self._doorbell.set()

    def _look_for_others(self) -> None:
        """Answers wait. If this relay leads, it says by itself how far the stream is."""
        if self._leads:
            self._doorbell.set()
        else:
            self._look_now()

    async def _ring_elsewhere(self, client: Client) -> None:
        with contextlib.suppress(*NATS_LOST):
            while True:
                await client.publish(DOORBELL, b"" if self._traces is None else self._traces.doorbell())
                await client.flush()
                if self._traces is None or not self._traces.has_untold:
                    return

    async def run(self) -> None:
        """Until it is cancelled, over lost connections and trouble with the stream."""
        while True:  # not `keep_running`: `trouble` says what is wrong, for /health and /metrics too
            try:
                await self._serve()
            except GOES_ON_AFTER as lost:
                self.trouble.report(f"{type(lost).__name__}: {lost}")
                if isinstance(lost, nats.errors.Error):  # an OSError may be of PostgreSQL
                    self.agreement.unreachable()
                await asyncio.sleep(RETRY_DELAY_S)
            except ForeignHistory as wrong:  # for a long time
                self.trouble.report(str(wrong))

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, server_settings=postgres.LEADING)
        client, self._connected_at = NatsClient(), time.monotonic()
        try:
            await self._reach(client)
            self._client = client
            await client.subscribe(DOORBELL, cb=self._rung)
            if self._on_stream is not None:
                await client.subscribe(RELAYED, cb=self._told)
            store = EventStore(connection)
            while not await connection.fetchval(TRY_TO_LEAD):
                await self._follow(store, client)
            self._leads = True
            await side_by_side(self._lead(store, client), self._tell_news(client))
        finally:
            self._leads, self._client = False, None
            connection.terminate()
            await leave(client)

    async def _reach(self, client: Client) -> None:
        """Connects to NATS. Raises TimeoutError; the client itself would try for ever, in silence."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await join(client, self._nats, self._unheard, RELAY_INBOX, on_error=self.agreement.unreachable)
        except TimeoutError:
            self.agreement.unreachable()
            because = f": {self._unheard.problem}" if self._unheard.problem else ""
            raise TimeoutError(f"the NATS server does not answer within {CONNECT_TIMEOUT_S:.0f} s{because}") from None
        self.agreement.reachable = True

    async def _follow(self, store: EventStore, client: Client) -> None:
        """Looks at the stream, and waits. The relay that leads says what else is wrong."""
        try:
            await self._look(store, client)
            self.trouble.clear()
        except (ForeignHistory, StreamTaken) as wrong:
            self._raise_lasting(wrong)
            self.trouble.report(str(wrong))
        if self._traces is not None and self._traces.has_untold:  # it was not connected when they were stored
            self.ring()
        self._doorbell.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                while not self._look_wanted:
                    self._doorbell.clear()
                    await self._doorbell.wait()

    async def _lead(self, store: EventStore, client: Client) -> None:
        while True:
            try:
                await self._look(store, client)
                await self._publish(store, client)
            except (ForeignHistory, StreamTaken) as wrong:
                self._raise_lasting(wrong)
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

    def _raise_lasting(self, wrong: ForeignHistory | StreamTaken) -> None:
        """Raises another history again, if this connection to PostgreSQL has seen it for a while."""
        if isinstance(wrong, ForeignHistory) and time.monotonic() > self._connected_at + FOREIGN_S:
            raise wrong

    async def _publish(self, store: EventStore, client: Client) -> None:
        """Publishes events as they are appended. Raises if the stream did not take one as it should."""
        while True:
            self._doorbell.clear()
            events, in_memory = await self._next(store)
            if full := len(events) == BATCH_MAX:
                events = whole_commands(events)
            if not events:
                self._all_is_well()
                await self._begin_term(store, client)
                await self._wait(store, client)
                continue
            self._seen = events[-1].position
            if not in_memory or self._traces is not None:  # else `_tell_news` does it
                await client.publish(NEWS, b"" if self._traces is None else self._traces.news(events))
            with contextlib.nullcontext() if self._traces is None else self._traces.publishing(events) as also:
                self.last_sequence = await publish_batch(
                    client, self.last_sequence, events, self._publish_timeout_s, also
                )
            if self._traces is not None and (late := self._traces.late_news()):
                await client.publish(NEWS, late)
            self._all_is_well()
            if self._look_wanted:
                await self._look(store, client)
            if self._on_stream is not None:
                await self._tell(client, self._on_stream)
            elif not full:
                await asyncio.sleep(REST_S)
            begun = self._term is not None and self._term.begun
            if begun and not full and not self._doorbell.is_set():  # nobody has said that there is more
                await self._wait(store, client)

    async def _next(self, store: EventStore) -> tuple[Sequence[Stored], bool]:
        """The events to publish next, and whether this process had them in memory. Else they are read: once in
        `poll_s` at least, so that the session of the lock is asked something, which would end otherwise."""
        now = time.monotonic()
        if now - self._read_at < self._poll_s:
            term = None if self._term is None else self._term.term
            if events := self._just_appended.after(self.last_sequence, BATCH_MAX, term):
                return events, True
        self._read_at = now
        return await store.after(self.last_sequence, BATCH_MAX), False

    async def _tell_news(self, client: Client) -> None:
        """Tells those who read the store that there are new events, when they are appended."""
        while True:
            await self._new.wait()
            self._new.clear()
            with contextlib.suppress(*NATS_LOST):  # `_lead` finds out
                await client.publish(NEWS)
            await asyncio.sleep(NEWS_REST_S)

    async def _tell(self, client: Client, on_stream: OnStream) -> None:
        """Says to those whose answers wait, here and in other processes, how far the stream is."""
        if self._term is not None and self._term.begun:
            on_stream.reached(self._term.term, self.last_sequence)
            await client.publish(RELAYED, b"%b %d" % (self._term.term.bytes.hex().encode(), self.last_sequence))

    async def _told(self, message: Msg) -> None:
        """The relay of another process says how far the stream is."""
        term, _, position = message.data.partition(b" ")
        if self._on_stream is not None and not self._leads:
            self._on_stream.reached(UUID(term.decode()), int(position))

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
            self._look_wanted = True
        if self._look_wanted:
            await self._look(store, client)

    async def _look(self, store: EventStore, client: Client) -> None:
        """Reads where the stream ends, what is wrong with it, and whether the store has the same history. Raises as
        `look_at_stream`."""
        self._look_wanted = False
        try:
            with self.agreement.looking():
                term = self._term = await read_term(store.connection)
                look: Look = await look_at_stream(store, client, self._nats.replicas)
        except ForeignHistory as wrong:
            self.agreement.differ(str(wrong))
            raise
        except (*NATS_LOST, StreamTaken):
            if not store.connection.is_closed():  # else PostgreSQL is lost
                self.agreement.unreachable()
            raise
        self.last_sequence, self._wrong = look.last, look.wrong
        if look.ahead is not None:
            await self._take_up(store, client, look.ahead, term.claim)
        elif term.begun:
            self.agreement.agree(term.term)
            if self._on_stream is not None:
                self._on_stream.reached(term.term, look.last)

    async def _take_up(self, store: EventStore, client: Client, ahead: Stored, claim: UUID | None) -> None:
        """Goes on with a term whose TermBegan is on the stream and not in the store: whoever published it has died.
        Raises ForeignHistory if this store did not claim it: then another primary has begun a term."""
        if ahead.command_id != claim:
            wrong = f"the stream has the event {ahead.position} of another primary of PostgreSQL. {HEAL}"
            self.agreement.differ(wrong)
            raise ForeignHistory(wrong)
        if self._leads and await begin_term(store.connection, ahead):
            await self._look(store, client)

    async def _begin_term(self, store: EventStore, client: Client) -> None:
        """Begins a term if this primary of PostgreSQL has none. The stream and the store end at the same event.

        The event goes to the stream first: if the stream has moved on, it is refused, and nothing has changed.
        """
        term = self._term
        if term is None or term.begun:
            return
        stored = await claimed_event(store.connection, term, self.last_sequence)
        self.last_sequence = await publish_batch(client, self.last_sequence, [stored], self._publish_timeout_s)
        if await begin_term(store.connection, stored):
            log.warning("relay: the term of timeline %d began at position %d", term.timeline, stored.position)
        await self._look(store, client)

    async def _rung(self, ring: Msg) -> None:
        self._doorbell.set()
        self._new.set()
        late = b"" if self._traces is None else self._traces.rung(ring.data)
        if late and self._client is not None:
            await self._client.publish(NEWS, late)
