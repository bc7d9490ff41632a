"""Reads from a standby: how far the database that is read stands behind the primary, and until when it may be trusted.

A standby shows what the primary committed a moment ago. One that stands still would show the same for ever, also a role
that was revoked meanwhile. So the query service asks both once a second what they have, and stops answering when the
standby has been behind for too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from weakref import WeakSet

from services.query.database import SERVER_SETTINGS
from shared.errors import HourbookError
from shared.one_connection import OneConnection
from shared.postgres import LOST_OR_REFUSED, WatchedConnection
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

LOOK_S = 1.0
ASK_TIMEOUT_S = 2.0
POLL_S = 0.02
UNREACHED_MAX = 100  # looks at the primary that are kept until the standby has what they saw


class StandbyBehind(HourbookError):
    """The reads come from a standby of the database, and it does not have what the primary has had for some seconds.
    Try again in a second, or at another query service."""

    code = "standby_behind"
    status = 503
    title = "The standby is behind the primary"


class Marks(NamedTuple):
    """What a database has: the last event, the position of the live read models, the number of the credentials that
    were revoked, the last notice and the last refusal. Each grows."""

    head: int
    position: int
    revoked: int
    notice: int
    refusal: int

    def reach(self, other: Marks) -> bool:
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))

    def at_most(self, other: Marks) -> Marks:
        """The lower of each. A new primary may have less than the lost one had."""
        return Marks(*map(min, self, other))


MARKS = """
SELECT (SELECT position FROM event_head),
    coalesce((SELECT position FROM generation WHERE live), 0),
    (SELECT version FROM identity_head),
    (SELECT seq FROM notice_head),
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('refusal', 'id')::regclass), 0)
"""


class Look(NamedTuple):
    """What the primary had at the time `at`, in seconds of the loop's clock."""

    at: float
    marks: Marks


class Lag:
    """How far the standby is behind, from what both were seen to have. No I/O.

    `behind_s` is the time for which the standby has not had all that the primary had. `compared_at` is when the primary
    was seen last; None: never. No read may show a position before `floor`: the primary had it `max_s` ago.
    """

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._unreached: deque[Look] = deque()
        self._recent: deque[Look] = deque()
        self.newest: Look | None = None
        self.compared_at: float | None = None
        self.behind_s, self.floor = 0.0, 0

    @property
    def too_far(self) -> bool:
        return self.behind_s > self._max_s

    def note(self, at: float, primary: Marks | None, standby: Marks | None) -> None:
        """Notes what the primary had at the time `at`, and what the standby had after that; None: it did not answer.
        While the primary does not answer, the standby does not fall further behind."""
        if primary is not None:
            self._see(Look(at, primary))
        if standby is not None:
            while self._unreached and standby.reach(self._unreached[0].marks):
                self._unreached.popleft()
        if not self._unreached:
            self.behind_s = 0.0
        elif self.compared_at is not None:
            self.behind_s = self.compared_at - self._unreached[0].at

    def _see(self, look: Look) -> None:
        for looks in (self._unreached, self._recent):
            for place, (at, marks) in enumerate(looks):
                looks[place] = Look(at, marks.at_most(look.marks))
            looks.append(look)
        if len(self._unreached) > UNREACHED_MAX:
            del self._unreached[-2]  # the oldest says since when, the newest up to where
        self.floor = min(self.floor, look.marks.position)
        while self._recent and self._recent[0].at <= look.at - self._max_s:
            self.floor = self._recent.popleft().marks.position
        self.newest, self.compared_at = look, look.at


class Standby:
    """Watches the database `read_url`, whose primary is at `primary_url`. `timeout_s` bounds each wait of a request."""

    def __init__(self, primary_url: str, read_url: str, max_s: float, timeout_s: float) -> None:
        settings = {**SERVER_SETTINGS, "application_name": "hourbook-standby"}
        self._primary, self._read = (OneConnection(url, ASK_TIMEOUT_S, settings) for url in (primary_url, read_url))
        self._timeout_s = timeout_s
        self.lag = Lag(max_s)
        self._began = 0.0
        self._readers: WeakSet[WatchedConnection] = WeakSet()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Looks once a second until the block ends. It opens without the servers too."""
        self._began = asyncio.get_running_loop().time()
        async with self._primary.opened(), self._read.opened():
            watching = asyncio.create_task(self._watch())
            try:
                yield
            finally:
                await end_tasks(watching)

    async def admit(self, connection: Any) -> None:
        """Takes a connection for reads. It is ended when another host of its address is watched."""
        if connection.host_name:  # the address has several
            self._readers.add(connection)

    def check(self) -> None:
        """Raises StandbyBehind while the standby is too far behind."""
        if self.lag.too_far:
            raise StandbyBehind(f"the standby has been behind the primary for {self.lag.behind_s:.0f} s")

    def check_shown(self, position: int) -> None:
        """Raises StandbyBehind for a position that was passed long ago. Each host of an address stands elsewhere."""
        if position < self.lag.floor:
            detail = f"the standby shows position {position}, and the primary has shown {self.lag.floor} for long"
            raise StandbyBehind(detail)

    @property
    def unasked_s(self) -> float:
        """The seconds since the primary answered last, or since the start."""
        since = self._began if self.lag.compared_at is None else self.lag.compared_at
        return asyncio.get_running_loop().time() - since

    def is_beyond(self, position: int, asked_at: float) -> bool:
        """Whether the primary was seen after `asked_at`, and has no event at the position."""
        newest = self.lag.newest
        return newest is not None and newest.at >= asked_at and position > newest.marks.head

    async def caught_up(self) -> None:
        """Waits until the standby has all that the primary has now. Raises StandbyBehind when that takes too long, or
        when the primary does not say what it has."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        wanted = await marks_of(self._primary)
        if wanted is None:
            raise StandbyBehind("the primary does not say whether it has more than the standby; try again in a second")
        while (shown := await marks_of(self._read)) is None or not shown.reach(wanted):
            if asyncio.get_running_loop().time() > deadline:
                raise StandbyBehind(f"the standby has not got all in {self._timeout_s:g} s; try again in a second")
            await asyncio.sleep(POLL_S)

    def _gather(self, watched: str | None) -> None:
        """Ends the connections for reads to other hosts than the one that is watched. A host that stands still would
        answer none of them, and of one that is behind nobody would know it."""
        away = [one for one in self._readers if not one.is_closed() and one.host_name != watched]
        if watched is None or not away:
            return
        for connection in away:
            connection.terminate()
        log.warning("standby: %d connections to other hosts ended; reads ask %s", len(away), watched)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            began, was = clock.time(), self.lag.too_far
            primary = await marks_of(self._primary)  # first: what the standby is to have
            self.lag.note(began, primary, await marks_of(self._read))
            self._gather(self._read.host_name)
            if self.lag.too_far and not was:
                log.error("standby: it has been behind the primary for %.0f s; no read is answered", self.lag.behind_s)
            elif was and not self.lag.too_far:
                log.warning("standby: it has caught up with the primary; reads are answered")
            await asyncio.sleep(LOOK_S)


async def marks_of(connection: OneConnection) -> Marks | None:
    """What a database has; None if it does not answer."""
    try:
        return Marks(*(await connection.fetchrow(MARKS) or ()))
    except (*LOST_OR_REFUSED, TypeError) as lost:  # TypeError: a row is missing
        log.debug("standby: %s: %s", type(lost).__name__, lost)
        return None
