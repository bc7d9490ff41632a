"""What is held for readers while they take it: bounded in bytes, over all answers of the process.

Whoever takes what is sent is never broken off. When there is no room for one more, those are whose readers have taken
nothing for longest; and where all of them take, the one that comes is told to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from shared.errors import HourbookError

BYTES_MAX = 128 * 1024 * 1024
STALLED_S = 2.0


class TooMuchUnderWay(HourbookError):
    """Too many large answers are on their way to readers. Ask again when Retry-After says."""

    code = "too_much_under_way"
    status = 503
    title = "Too many large answers are under way"


class Sending:
    """An answer on its way, and the bytes that are held for it."""

    def __init__(self, room: UnderWay, held: int) -> None:
        self._room, self.held, self.piece = room, held, 0
        self._limit: asyncio.Timeout | None = None

    @asynccontextmanager
    async def handing_over(self, size: int, patience_s: float) -> AsyncIterator[None]:
        """While the reader is to take a piece of `size`. Raises TimeoutError when that lasts for `patience_s`, or room
        is needed before."""
        self._room.begin_waiting(self, size)
        try:
            async with asyncio.timeout(patience_s) as self._limit:
                yield
        finally:
            self._limit = None
            self._room.end_waiting(self)

    def break_off(self) -> None:
        if self._limit is not None and not self._limit.expired():  # or else it is on its way out
            self._limit.reschedule(asyncio.get_running_loop().time())


class UnderWay:
    """`held` is what all answers under way hold; those that wait for their readers stand in the order since when."""

    def __init__(self, bytes_max: int = BYTES_MAX, stalled_s: float = STALLED_S) -> None:
        self._bytes_max, self._stalled_s = bytes_max, stalled_s
        self._waiting: dict[Sending, float] = {}
        self.held = 0

    @contextmanager
    def sending(self, held: int) -> Iterator[Sending]:
        """Raises TooMuchUnderWay when there is no room for `held` bytes more."""
        self._make_room(held)
        if self.held and self.held + held > self._bytes_max:
            raise TooMuchUnderWay("too many large answers are under way; ask again in a second")
        sending = Sending(self, held)
        self.held += held
        try:
            yield sending
        finally:
            self.held -= sending.held

    def begin_waiting(self, sending: Sending, size: int) -> None:
        self._make_room(size)
        sending.piece = size
        self.held += size
        self._waiting[sending] = asyncio.get_running_loop().time()

    def end_waiting(self, sending: Sending) -> None:
        self.held -= sending.piece
        sending.piece = 0
        self._waiting.pop(sending, None)

    def _make_room(self, wanted: int) -> None:
        """Breaks off as many as must be, of those who have taken nothing for `stalled_s`."""
        leaving = self.held + wanted - self._bytes_max
        while leaving > 0 and self._waiting:
            stalest, since = next(iter(self._waiting.items()))
            if asyncio.get_running_loop().time() - since < self._stalled_s:
                return
            leaving -= stalest.held + stalest.piece
            self._drop(stalest)

    def _drop(self, sending: Sending) -> None:
        """What it held is free from now on."""
        self.end_waiting(sending)
        self.held -= sending.held
        sending.held = 0
        sending.break_off()


UNDER_WAY = UnderWay()
