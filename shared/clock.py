"""Whether this machine's clock can be trusted. What is decided by a wrong clock stays wrong.

A watch compares the clock with two others every few seconds: that of the database, and the instant of the newest event.
It also sees a clock that is set while it runs, because the time since the machine's start does not jump with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable
from typing import Annotated

import msgspec

from shared import postgres
from shared.errors import HourbookError
from shared.events import decode_envelope
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import keep_running
from shared.trouble import Trouble

log = logging.getLogger(__name__)

Tolerance = Annotated[float, msgspec.Meta(ge=0)]  # of a setting, in seconds
TOLERANCE_S: Tolerance = 300.0
HOLD_S = 900.0
LOOK_S = 5.0
READ = """
SELECT extract(epoch FROM clock_timestamp())::float8, (SELECT data FROM event ORDER BY position DESC LIMIT 1)
"""


class ClockWrong(HourbookError):
    """The clock of this service and that of the database differ by minutes. The command was not carried out, because
    its event would say a wrong time. Send it again later."""

    code = "clock_wrong"
    status = 503
    title = "The clock of the service is wrong"


def since_boot() -> float:
    """Seconds since the machine has started. Nobody sets this clock; on Linux it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class ClockWatch:
    """`run` once. `wrong` and `doubtful` say what follows, at any moment.

    `tolerance_s`: a difference or a step of this many seconds is trouble; 0: the watch trusts the clock. `hold_s`: for
    so long after the clock was set, it is doubtful. `now` is the clock, in seconds since 1970.
    """

    def __init__(
        self,
        database_url: str,
        *,
        tolerance_s: float = TOLERANCE_S,
        hold_s: float = HOLD_S,
        look_s: float = LOOK_S,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._database_url, self._tolerance_s, self._hold_s, self._look_s = database_url, tolerance_s, hold_s, look_s
        self._now, self._steady = now, steady
        self._offset: float | None = None  # the clock less the time since boot, at the last look
        self._ahead_s = self._newest_s = self._step_s = 0.0
        self._held_until = float("-inf")
        self._looked, self._look = asyncio.Event(), asyncio.Event()
        self.trouble = Trouble(log, "clock")

    @property
    def difference_s(self) -> float:
        """How far this clock is ahead of the database's, in seconds, at the last look; negative: behind."""
        return self._ahead_s

    @property
    def wrong(self) -> str | None:
        """Why no command may be decided: one of the two clocks is wrong. None if they agree."""
        if not self._tolerance_s:
            return None
        if self._offset is not None and abs(step := self._now() - self._steady() - self._offset) > self._tolerance_s:
            self._look.set()
            return f"this machine's clock was just set {forward(step)}; it is compared with the database's"
        if abs(self._ahead_s) > self._tolerance_s:
            return (
                f"this machine's clock is {length(self._ahead_s)} {'ahead of' if self._ahead_s > 0 else 'behind'} the "
                "database's: set the clock of the machine that is wrong"
            )
        return None

    @property
    def doubtful(self) -> str | None:
        """Why nothing may be done that only the clock asks for, such as lapses, notices and deletions. None: it may."""
        if (wrong := self.wrong) is not None or not self._tolerance_s:
            return wrong
        if self._held_until > self._steady():
            return (
                f"this machine's clock was set {forward(self._step_s)}: what Hourbook does by the clock (lapses, "
                f"notices, deletions) waits for {length(self._hold_s)}; if the clock is wrong, set it right before"
            )
        if (ahead_s := self._newest_s - self._now()) > self._tolerance_s:
            return (
                f"the newest event is {length(ahead_s)} ahead of this machine's clock: the clock is wrong, or it was "
                "when that event was stored; what Hourbook does by the clock (lapses, notices, deletions) waits"
            )
        return None

    async def first_look(self) -> None:
        """Returns when the clock was compared once."""
        await self._looked.wait()

    async def run(self) -> None:
        """Looks until it is cancelled, over lost connections."""
        await keep_running(log, "clock", self._serve, LOST_OR_REFUSED, 1.0)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=self._look_s)
        try:
            while True:
                self._look.clear()
                await self._compare(connection)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):
                        await self._look.wait()
        finally:
            connection.terminate()

    async def _compare(self, connection: Connection) -> None:
        began, offset = self._steady(), self._now() - self._steady()
        there, newest = await connection.fetchrow(READ) or (0.0, None)
        asked = (began + self._steady()) / 2
        if self._offset is not None and abs(step := offset - self._offset) > self._tolerance_s:
            self._step_s, self._held_until = step, self._steady() + self._hold_s
        self._offset, self._ahead_s = offset, asked + offset - there
        self._newest_s = instant_of(newest)
        self._looked.set()
        if (why := self.doubtful) is None:
            self.trouble.clear()
        else:
            self.trouble.report(why)


def instant_of(event: bytes | None) -> float:
    """When a stored event was decided, in seconds since 1970; 0 if there is none or it does not say."""
    try:
        return 0.0 if event is None else decode_envelope(event).instant.timestamp()
    except (msgspec.MsgspecError, ValueError):
        return 0.0


def forward(step_s: float) -> str:
    return f"{length(step_s)} {'forward' if step_s > 0 else 'back'}"


def length(seconds: float) -> str:
    """A length of time in one unit, without its sign: `-7200` is `2 h`."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= 2 * unit_s:
            return f"{abs(seconds) / unit_s:.0f} {unit}"
    return f"{abs(seconds):.0f} s"
