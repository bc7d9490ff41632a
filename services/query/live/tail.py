"""The newest events, read once for all live subscribers of a process.

The tail keeps the newest events once. A subscriber is a position in it and holds no events of its own, so a slow one
costs no memory: when it falls behind the kept events, it reads from the store, a few such reads at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from services.query.database import UNREACHABLE, Database, NoGeneration
from services.query.live.sources import LiveSource
from services.query.questions.events import SubscriptionFilter
from services.query.questions.sight import EVERYWHERE, Sight
from services.query.views.history import check_after
from services.query.views.live_events import StreamEvent
from shared.errors import HourbookError
from shared.event_store.store import PositionGap
from shared.http.responses import StreamedResponse

log = logging.getLogger(__name__)

SERVER_SENT = "text/event-stream"
KEPT_MAX = 10_000  # events
READ_MAX = 500
PIECE_MAX = 250  # events sent at once; a client that does not read makes us hold no more than these
POLL_MIN_S, POLL_MAX_S = 0.01, 0.05
# Extra delay of a poll for each subscriber, about 5 times the cost of one send. So many subscribers get fewer, larger
# pieces.
SEND_DELAY_S = 0.0004
HEARTBEAT_S = 15.0
WAKE_S = 1.0
RECONNECT_S = 0.5
CATCHING_UP_MAX = 2

# Answers what the subscriber may see now: nothing when its right or its credential has ended, None while that cannot be
# known.
Watch = Callable[[], Awaitable[Sight | None]]


class TooManySubscribers(HourbookError):
    """This process has as many live subscribers as it may have. Try again in a second, or at another process."""

    code = "too_many_subscribers"
    status = 503
    title = "Too many subscribers"


class Tail:
    """The kept events, and the subscribers that follow them: at most `subscribers_max`. Without subscribers it does not
    poll the database."""

    def __init__(
        self,
        database: Database,
        source: LiveSource,
        subscribers_max: int,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        kept_max: int = KEPT_MAX,
    ) -> None:
        self._database, self._source, self._subscribers_max = database, source, subscribers_max
        self.heartbeat_s, self.kept_max = heartbeat_s, kept_max
        self._kept: list[StreamEvent] = []
        self._position: int | None = None
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._catching_up = asyncio.Semaphore(CATCHING_UP_MAX)
        self.closed = False
        self._woken = 0.0
        self.subscribers = 0

    async def begin(self, after: int | None, field: str = "after") -> int:
        """Counts a subscriber until `leave`, and returns the position to `follow` from: `after`, or the visible one.
        `field` is the name of the parameter that gave `after`. Raises InvalidField for an `after` beyond the last
        event, TooManySubscribers, and asyncpg's errors; after an error the subscriber is not counted."""
        if self.closed or self.subscribers >= self._subscribers_max:
            raise TooManySubscribers(f"{self.subscribers} subscribers are told already; try again in a second")
        self.subscribers += 1  # before the first await, so that requests which come meanwhile see it
        try:
            return await self._begin(after, field)
        except BaseException:
            self.leave()
            raise

    async def _begin(self, after: int | None, field: str) -> int:
        if after is None:
            return (await self._source.read(self._database, 0, 0))[0]
        check_after(after, await self._source.last(self._database), self._source.what, field)
        return after

    def forget(self) -> None:
        """The kept events may not be those of the store any more: it begins again where the store stands."""
        self._kept, self._position = [], None

    def leave(self) -> None:
        """Ends what `begin` began; call it once. Without subscribers the tail polls nothing and keeps nothing."""
        self.subscribers -= 1
        if not self.subscribers and self._task is not None:
            self._task.cancel()
            self._task = None
            self.forget()

    def streamed(
        self, begin: int, where: SubscriptionFilter, headers: Mapping[str, str], watch: Watch | None = None
    ) -> StreamedResponse[bytes]:
        """The response to a subscriber after `begin`. The subscriber leaves when the response ends."""
        return self.response(self.follow(begin, where, watch), headers)

    def response(self, frames: AsyncGenerator[bytes], headers: Mapping[str, str]) -> StreamedResponse[bytes]:
        """The response with these frames, to a subscriber whom `begin` counted. It leaves when the response ends."""
        return StreamedResponse(
            frames,
            media_type=SERVER_SENT,
            on_end=self.leave,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers},
        )

    async def follow(self, after: int, where: SubscriptionFilter, watch: Watch | None = None) -> AsyncGenerator[bytes]:
        """The events after a position as server-sent events, without an end. A heartbeat carries the last position that
        was looked at. So a client whose filter matches few events does not reconnect far back.

        With `watch`, the subscriber gets the events of the pools that it may see, and the stream ends when it may see
        none. `watch` is asked after the events were read, so it knows of every role that was revoked before them."""
        yield retry_frame(after)
        beaten = time.monotonic()
        while not self.closed:
            moved, before = self.moved, after
            after, events = await self.look(after, where)
            if (sight := EVERYWHERE if watch is None else await watch()) is not None:
                if not sight:
                    return
                frames = frames_of(events, where, sight)
            else:  # nobody knows what it may see: it waits where it was
                after, frames = before, b""
            now = time.monotonic()
            if frames or now - beaten >= self.heartbeat_s:
                beaten = now
                yield frames or heartbeat_frame(after)
            if after == before:
                await wait_for(moved, None if watch is None else WAKE_S)

    async def look(self, after: int, where: SubscriptionFilter) -> tuple[int, list[StreamEvent]]:
        """(The last position that was looked at, events up to there) after a position: all that match are among them,
        and others may be. For a subscriber whom `begin` counted."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        events = self._after(after)
        if events is None:  # not kept any more, or the tail has not read its first position
            return await self._from_store(after, where)
        return (events[-1].position if events else after), events

    @property
    def moved(self) -> asyncio.Event:
        """It is set when there may be events that `look` has not given yet. Take it before you look."""
        return self._moved

    def close(self) -> None:
        """Ends the streams of all subscribers. They reconnect at the position where they stopped."""
        self.closed = True
        self._wake()

    def _after(self, position: int) -> list[StreamEvent] | None:
        """The kept events after a position, at most PIECE_MAX; None when some of them are not kept."""
        if self._position is None or (start := position - (self._position - len(self._kept))) < 0:
            return None
        return self._kept[start : start + PIECE_MAX]

    async def _from_store(self, position: int, where: SubscriptionFilter) -> tuple[int, list[StreamEvent]]:
        """(The last position that was looked at, the matching events up to there) after a position. No events while the
        database cannot be reached."""
        types = None if where.types is None else sorted(where.types)
        try:
            async with self._catching_up:
                return await self._source.find(self._database, position, where.project, types, PIECE_MAX)
        except (*UNREACHABLE, NoGeneration) as lost:
            log.warning("tail: %s: %s; a subscriber waits", type(lost).__name__, lost)
            return position, []

    async def _run(self) -> None:
        delay = POLL_MIN_S
        while True:  # not `keep_running`: while the database is lost, the subscribers get their heartbeats
            try:
                events = await self._read()
            except (*UNREACHABLE, NoGeneration, PositionGap) as lost:
                log.warning("tail: %s: %s; it goes on", type(lost).__name__, lost)
                events, delay = [], RECONNECT_S
            else:
                busy = min(POLL_MAX_S, POLL_MIN_S + self.subscribers * SEND_DELAY_S)
                delay = busy if events else min(POLL_MAX_S, delay * 1.2)
            if events or time.monotonic() - self._woken >= WAKE_S:
                self._wake()
            if len(events) < READ_MAX:
                await asyncio.sleep(delay)

    async def _read(self) -> list[StreamEvent]:
        """Keeps and returns the events that became visible since the last read. The first read finds the position."""
        if self._position is None:
            self._position, _ = await self._source.read(self._database, 0, 0)
            self._wake()
            return []
        _, events = await self._source.read(self._database, self._position, READ_MAX)
        self._kept += events
        self._position += len(events)
        if len(self._kept) > 2 * self.kept_max:
            del self._kept[: -self.kept_max]
        return events

    def _wake(self) -> None:
        """Wakes all waiting subscribers: there are new events, or it may be time for a heartbeat."""
        self._woken = time.monotonic()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def retry_frame(position: int) -> bytes:
    """The first frame: how soon a client reconnects, and the position from which it goes on."""
    return b"retry: %d\nid: %d\n\n" % (RECONNECT_S * 1000, position)


def heartbeat_frame(position: int) -> bytes:
    return b": still here\nid: %d\n\n" % position


async def wait_for(moved: asyncio.Event, timeout_s: float | None) -> None:
    """Waits until the event is set, at most `timeout_s`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await moved.wait()


def frames_of(events: list[StreamEvent], where: SubscriptionFilter, sight: Sight) -> bytes:
    """The server-sent events of those that match, and that the subscriber may see."""
    matching = [event for event in events if where.takes(event.project, event.type)]
    if sight.everything:
        return b"".join([event.frame for event in matching])
    return b"".join([event.frame for event in matching if sight.has(event.pool)])
