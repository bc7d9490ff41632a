"""The memory that one process holds for large answers while clients read them. It has one limit for all answers.

A client that reads keeps its answer. When a new answer needs memory, the process gives up clients that have read
nothing for some seconds, the longest first. If that is not enough, the new request gets a 503.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from shared.errors import HourbookError

BYTES_MAX = 128 * 1024 * 1024
STALLED_S = 2.0


class TooMuchUnderWay(HourbookError):
    """The service is sending too many large responses at this moment. Retry after the seconds in Retry-After."""

    code = "too_much_under_way"
    status = 503
    title = "The service is sending too many large responses"


class Transfer:
    """One answer that is being sent. `held` are the bytes that are held for all of it, `piece` those of the piece that
    the client is reading."""

    def __init__(self, memory: SendMemory, held: int) -> None:
        self._memory, self.held, self.piece = memory, held, 0
        self._limit: asyncio.Timeout | None = None

    @asynccontextmanager
    async def sending_piece(self, size: int, timeout_s: float) -> AsyncIterator[None]:
        """A block that waits until the client has read a piece of `size` bytes. Raises TimeoutError after `timeout_s`,
        or earlier if another answer needs the memory."""
        self._memory.begin_waiting(self, size)
        try:
            async with asyncio.timeout(timeout_s) as self._limit:
                yield
        finally:
            self._limit = None
            self._memory.end_waiting(self)

    def break_off(self) -> None:
        """Has `sending_piece` raise TimeoutError now."""
        if self._limit is not None and not self._limit.expired():  # an expired timeout raises without this
            self._limit.reschedule(asyncio.get_running_loop().time())


class SendMemory:
    """`held` is the sum of bytes that all transfers hold. `_waiting` has the transfers that wait for their client, the
    longest waiting first, and since when (the loop's time in seconds)."""

    def __init__(self, bytes_max: int = BYTES_MAX, stalled_s: float = STALLED_S) -> None:
        self._bytes_max, self._stalled_s = bytes_max, stalled_s
        self._waiting: dict[Transfer, float] = {}
        self.held = 0

    @contextmanager
    def transfer(self, held: int) -> Iterator[Transfer]:
        """Holds `held` bytes during the block. Raises TooMuchUnderWay if there is no memory for them. An answer that is
        larger than the limit is sent alone."""
        self._make_room(held)
        if self.held and self.held + held > self._bytes_max:
            raise TooMuchUnderWay("the service is sending too many large responses; retry in a second")
        transfer = Transfer(self, held)
        self.held += held
        try:
            yield transfer
        finally:
            self.held -= transfer.held

    def begin_waiting(self, transfer: Transfer, size: int) -> None:
        self._make_room(size)
        transfer.piece = size
        self.held += size
        self._waiting[transfer] = asyncio.get_running_loop().time()

    def end_waiting(self, transfer: Transfer) -> None:
        self.held -= transfer.piece
        transfer.piece = 0
        self._waiting.pop(transfer, None)

    def _make_room(self, wanted: int) -> None:
        """Gives up transfers until `wanted` bytes are free, but only those whose client read nothing for
        `stalled_s`."""
        excess = self.held + wanted - self._bytes_max
        while excess > 0 and self._waiting:
            longest, since = next(iter(self._waiting.items()))
            if asyncio.get_running_loop().time() - since < self._stalled_s:
                return
            excess -= longest.held + longest.piece
            self._give_up(longest)

    def _give_up(self, transfer: Transfer) -> None:
        """Frees the transfer's memory at once and ends it."""
        self.end_waiting(transfer)
        self.held -= transfer.held
        transfer.held = 0
        transfer.break_off()


SEND_MEMORY = SendMemory()
