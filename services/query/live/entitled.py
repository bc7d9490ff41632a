"""What an account holds, live: the answer of /entitlements now, and again whenever it changes.

It changes by events, and because time passes: a booking begins or ends, a cluster has its next size. The answer knows
when that is. So a subscriber waits for an event that concerns its account, or for that hour, whichever is first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import msgspec

from services.query.answers.admission import Admission, TooBusy
from services.query.database import UNREACHABLE, Database, NoGeneration
from services.query.live.tail import RECONNECT_S, WAKE_S, Tail, Watch, heartbeat_frame, retry_frame, wait_for
from services.query.questions.events import SubscriptionFilter
from services.query.questions.model import EntitlementsQuestion
from services.query.questions.sight import EVERYWHERE, Sight, whole_or
from services.query.views.entitlements import Entitlements, find_entitlements, rendered
from services.query.views.live_events import StreamEvent
from shared.errors import UnknownId
from shared.hours import hour_of, instant_of
from shared.identity.roles import pools_above
from shared.names import spellings

log = logging.getLogger(__name__)

READ_PAUSE_S = 0.2  # between two reads for one subscriber, however many events come


def utc_now() -> datetime:
    return datetime.now(UTC)


class Entitled:
    """A subscriber to what an account holds. `asked` says which account, and which project or all; its hour does not
    count. The tail has counted the subscriber. `wide` admits reads of many bookings."""

    def __init__(
        self,
        tail: Tail,
        database: Database,
        asked: EntitlementsQuestion,
        watch: Watch | None = None,
        now: Callable[[], datetime] = utc_now,
        wide: Admission | None = None,
    ) -> None:
        self._tail, self._database, self._asked, self._watch, self._now = tail, database, asked, watch, now
        self._wide = wide
        self._names = [msgspec.json.encode(name) for name in spellings(asked.account)]
        self._shown: Entitlements | None = None
        self._around: frozenset[str] = frozenset()  # the pools of the answer, and those around them
        self._sight: Sight | None = None  # what the subscriber could see when the answer was read
        self._sent: bytes | None = None  # the part of the last answer after its position
        self._stale, self._next_read = True, 0.0

    async def follow(self, after: int) -> AsyncGenerator[bytes]:
        """Server-sent events, without an end: the answer at a position from `after` on, then each that is another. A
        heartbeat carries the last position that was looked at. The stream ends when the subscriber may see nothing."""
        yield retry_frame(after)
        where, beaten = SubscriptionFilter(self._asked.project, None), time.monotonic()
        while not self._tail.closed:
            moved, before = self._tail.moved, after
            after, events = await self._tail.look(after, where)
            self._stale = self._stale or any(map(self._concerns, events))
            sight = await self._look()
            if sight is not None and not sight:
                return
            frame = b"" if sight is None else await self._frame(after, sight)
            if frame or time.monotonic() - beaten >= self._tail.heartbeat_s:
                beaten = time.monotonic()
                yield frame or heartbeat_frame(after)
            if after == before or self._stale:
                await wait_for(moved, self._wait_s())

    async def _look(self) -> Sight | None:
        """What the subscriber may see now; None while that cannot be known."""
        return EVERYWHERE if self._watch is None else await self._watch()

    async def _frame(self, after: int, sight: Sight) -> bytes:
        """The frame with the answer as it is now, at a position from `after` on; empty if it is the one that was sent
        last, or cannot be read yet."""
        self._stale = self._stale or sight != self._sight or self._is_due()
        if not self._stale or time.monotonic() < self._next_read:
            return b""
        within = whole_or(sight, self._asked.project)
        asked = msgspec.structs.replace(self._asked, hour=hour_of(self._now()), within=within)
        self._next_read = time.monotonic() + READ_PAUSE_S
        try:
            shown = await find_entitlements(self._database, asked, self._wide)
        except (
            *UNREACHABLE,
            NoGeneration,
            TooBusy,
            UnknownId,
        ) as lost:  # UnknownId: the read models have no such project yet
            log.warning("entitlements: %s: %s; a subscriber waits", type(lost).__name__, lost)
            self._next_read = time.monotonic() + RECONNECT_S
            return b""
        if shown.position < after:  # another host of the database, which is behind
            return b""
        if await self._look() != sight:  # what was decided after a role was lost is not told
            return b""
        self._shown, self._sight, self._stale = shown, sight, False
        self._around = frozenset(above for pool in shown.pools for above in pools_above(pool))
        return self._new(shown.position, rendered(asked, shown))

    def _new(self, position: int, answer: tuple[bytes, bytes | None]) -> bytes:
        """The frame of the answer, if it is another than the last one."""
        head, tail = answer
        if tail is None or tail == self._sent:
            return b""
        self._sent = tail
        return b"event: entitlements\nid: %d\ndata: %b%d%b\n\n" % (position, head, position, tail)

    def _concerns(self, event: StreamEvent) -> bool:
        """Whether the event may change the answer: it names the account, or is about a pool of the answer, or about one
        around or inside it."""
        if self._shown is None or event.position <= self._shown.position:
            return False  # the next answer shows it, or the last one did
        about = set(pools_above(event.pool))
        return (
            event.pool in self._around
            or not about.isdisjoint(self._shown.pools)
            or any(name in event.frame for name in self._names)
        )

    def _is_due(self) -> bool:
        due = None if self._shown is None else self._shown.due
        return due is not None and self._now() >= instant_of(due)

    def _wait_s(self) -> float | None:
        """How long nothing can be new, if no event comes."""
        waits = []
        if self._watch is not None:
            waits.append(WAKE_S)
        if self._stale:
            waits.append(self._next_read - time.monotonic())
        elif self._shown is not None and self._shown.due is not None:
            waits.append((instant_of(self._shown.due) - self._now()).total_seconds())
        return max(0.0, min(waits)) if waits else None
