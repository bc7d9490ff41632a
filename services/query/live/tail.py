"""The newest events, read once for all live subscribers of a process.

The tail keeps the newest events once. A subscriber is a position in it and holds no events of its own, so a slow one
costs no memory: when it falls behind the kept events, it reads from the store, a few such reads at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping

from services.query.database import UNREACHABLE, Database, NoGeneration
from services.query.live.sources import LiveSource
from services.query.questions.events import SubscriptionFilter
from services.query.views.history import check_after
from services.query.views.live_events import StreamEvent
from shared.errors import HourbookError
from shared.event_store.store import PositionGap
from shared.http.responses import StreamedResponse

log = logging.getLogger(__name__)

SERVER_SENT = "text/event-stream"
KEPT_MAX = 10_000  # events
READ_MAX = 500
PIECE_MAX = 250  # events sent at once: all that a reader who takes nothing can make us hold
POLL_MIN_S, POLL_MAX_S = 0.01, 0.05
# Extra poll delay per subscriber, about 5 times the cost of one send: many subscribers get fewer, larger pieces.
TELLING_S = 0.0004
HEARTBEAT_S = 15.0
WAKE_S = 1.0
RECONNECT_S = 0.5
CATCHING_UP_MAX = 2
LAST_EVENT_ID = "Last-Event-ID"


class TooManySubscribers(HourbookError):
    """This process tells as many subscribers as it may. Try again in a second, or at another process."""

    code = "too_many_subscribers"
    status = 503
    title = "Too many subscribers"


class Tail:
    """`follow` from any number of tasks, `subscribers_max` at once. It reads only while somebody follows."""

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
        self._closed = False
        self._woken = 0.0
        self.subscribers = 0

    async def begin(self, after: int | None, field: str = "after") -> int:
        """The position to `follow` from: the one given, in `field`, or what is visible now. The subscriber counts from
        now on, until `leave`. Raises InvalidField for one that is beyond the last one, TooManySubscribers, and
        asyncpg's errors; then nobody is to leave."""
        if self._closed or self.subscribers >= self._subscribers_max:
            raise TooManySubscribers(f"{self.subscribers} subscribers are told already; try again in a second")
        self.subscribers += 1  # before anything is waited for, or as many as come meanwhile would find room
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

    def leave(self) -> None:
        """Once for each `begin`. When nobody is left, nothing is read or kept."""
        self.subscribers -= 1
        if not self.subscribers and self._task is not None:
            self._task.cancel()
            self._task = None
            self._kept, self._position = [], None

    def streamed(self, begin: int, where: SubscriptionFilter, headers: Mapping[str, str]) -> StreamedResponse[bytes]:
        """The answer to one who has begun, who leaves with it."""
        return StreamedResponse(
            self.follow(begin, where),
            media_type=SERVER_SENT,
            on_end=self.leave,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers},
        )

    async def follow(self, after: int, where: SubscriptionFilter) -> AsyncGenerator[bytes]:
        """The events after a position as server-sent events, for ever. A heartbeat carries the position that was
        looked at, so that a reader whose filter takes little does not begin again far back."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        yield b"retry: %d\nid: %d\n\n" % (RECONNECT_S * 1000, after)
        beaten = time.monotonic()
        while not self._closed:
            moved, events, before = self._moved, self._after(after), after
            if events is None:  # not kept any more, or the tail has only begun
                after, events = await self._from_store(after, where)
            elif events:
                after = events[-1].position
            frames = b"".join([event.frame for event in events if where.takes(event.project, event.type)])
            now = time.monotonic()
            if frames or now - beaten >= self.heartbeat_s:
                beaten = now
                yield frames or b": still here\nid: %d\n\n" % after
            if after == before:
                await moved.wait()

    def close(self) -> None:
        """Ends what all subscribers are told; they connect again where they left off."""
        self._closed = True
        self._wake()

    def _after(self, position: int) -> list[StreamEvent] | None:
        """The kept events after a position, as many as are sent at once; None when they are not all kept."""
        if self._position is None or (start := position - (self._position - len(self._kept))) < 0:
            return None
        return self._kept[start : start + PIECE_MAX]

    async def _from_store(self, position: int, where: SubscriptionFilter) -> tuple[int, list[StreamEvent]]:
        """Some of the wanted that follow a position, and up to where they are all of them; none while the store cannot
        be reached."""
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
                busy = min(POLL_MAX_S, POLL_MIN_S + self.subscribers * TELLING_S)
                delay = busy if events else min(POLL_MAX_S, delay * 1.2)
            if events or time.monotonic() - self._woken >= WAKE_S:
                self._wake()
            if len(events) < READ_MAX:
                await asyncio.sleep(delay)

    async def _read(self) -> list[StreamEvent]:
        """Keeps what has become visible since the last look; the first look only says where to begin."""
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
        """Those who wait look again: at what has come, or whether it is time for a heartbeat."""
        self._woken = time.monotonic()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
