"""Admission of costly reads: a limited amount at once. The others wait in a queue of limited length and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from litestar.types import Receive

from shared.errors import HourbookError
from shared.http.responses import client_left
from shared.tasks import end_tasks


class TooBusy(HourbookError):
    """Too many costly reads are asked for at once: reads of many years, or of the past. Ask again after the time in
    Retry-After."""

    code = "too_busy"
    status = 503
    title = "Too many costly reads at once"


class _Waiter(msgspec.Struct, eq=False):
    weight: int
    turn: asyncio.Future[None]
    let_in: bool = False


class Admission:
    """Admits reads while the sum of their weights is at most `capacity`. The others wait in a queue: at most
    `waiting_max` of them, each for at most `patience_s` seconds. `what` is the name of such reads in an error."""

    def __init__(self, capacity: int, waiting_max: int, patience_s: float, what: str) -> None:
        self._capacity, self._waiting_max, self._patience_s, self._what = capacity, waiting_max, patience_s, what
        self._free = capacity
        self._line: deque[_Waiter] = deque()

    @property
    def waiting(self) -> int:
        """The number of reads in the queue."""
        return len(self._line)

    @contextlib.asynccontextmanager
    async def admitted(self, weight: int = 1, receive: Receive | None = None) -> AsyncIterator[None]:
        """Waits until the weight is admitted, and holds it while the block runs. A weight of 0 never waits. A weight
        above the capacity counts as the capacity. With `receive`, a client that disconnects leaves the queue. Raises
        TooBusy."""
        weight = min(weight, self._capacity)
        if weight and (self._line or weight > self._free):
            await self._wait(weight, receive)
        else:
            self._free -= weight
        try:
            yield
        finally:
            self._free += weight
            self._let_in()

    async def _wait(self, weight: int, receive: Receive | None) -> None:
        if len(self._line) >= self._waiting_max:
            raise TooBusy(f"{self._waiting_max} {self._what} are waiting; ask again in a second")
        waiter = _Waiter(weight, asyncio.get_running_loop().create_future())
        self._line.append(waiter)
        leaving = None if receive is None else asyncio.create_task(leave(receive, waiter.turn))
        try:
            try:
                async with asyncio.timeout(self._patience_s):
                    await waiter.turn
            finally:
                if leaving is not None:
                    await end_tasks(leaving)
        except BaseException as error:
            self._step_out(waiter)
            if isinstance(error, TimeoutError):
                raise TooBusy(f"{self._what} are so many that {self._patience_s:g} s went by") from None
            raise

    def _step_out(self, waiter: _Waiter) -> None:
        if waiter.let_in:  # it was admitted at the moment when its time was over
            self._free += waiter.weight
        elif waiter in self._line:
            self._line.remove(waiter)
        self._let_in()

    def _let_in(self) -> None:
        while self._line and self._line[0].weight <= self._free:
            waiter = self._line.popleft()
            if not waiter.turn.done():  # else it has given up already
                self._free -= waiter.weight
                waiter.let_in = True
                waiter.turn.set_result(None)


async def leave(receive: Receive, turn: asyncio.Future[None]) -> None:
    """Ends the wait for `turn` when the client disconnects."""
    await client_left(receive)
    if not turn.done():
        turn.set_exception(TooBusy("the reader has gone"))
