"""Up to which position the stream has the events. With HOURBOOK_ACKNOWLEDGE=stream, answers wait for it.

The relay that leads says it after each batch: in its own process, and to the others on NATS. If such a message is lost,
a look at the stream makes up for it. What is said counts in one term only: after a failover, another primary's event
may have the same position.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from uuid import UUID

from services.command.handler.errors import NotOnStream

LOOK_S = 0.1  # while answers wait, the stream is looked at as often as that
PATIENCE_S = 10.0


class OnStream:
    """`has` from any number of tasks; the relay calls `reached`. `want_look` asks it to look at the stream."""

    def __init__(self, patience_s: float = PATIENCE_S, want_look: Callable[[], None] = lambda: None) -> None:
        self._patience_s = patience_s
        self.want_look = want_look
        self.term: UUID | None = None
        self.position = 0
        # The position, a number that makes each entry another, the term, when to give up, and the answer that waits.
        self._waiting: list[tuple[int, int, UUID, float, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many answers wait."""
        return len(self._waiting)

    async def has(self, term: UUID, position: int) -> None:
        """Returns when the stream has the event at `position`, which was stored in `term`. Raises NotOnStream."""
        if term == self.term and position <= self.position:
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (position, next(self._numbers), term, loop.time() + self._patience_s, answer))
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._look)
        await answer

    def reached(self, term: UUID, position: int) -> None:
        """The stream has the events of the store up to `position`, in this term."""
        self.term, self.position = term, position
        while self._waiting and self._waiting[0][0] <= position:
            _, _, stored_in, _, answer = heapq.heappop(self._waiting)
            if answer.done():
                continue
            if stored_in == term:
                answer.set_result(None)
            else:
                answer.set_exception(NotOnStream("the database was promoted or restored meanwhile"))

    def _look(self) -> None:
        """Asks for a look while answers wait, and refuses those that have waited too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = f"the stream did not get it within {self._patience_s:.0f} s; send it again with its Idempotency-Key"
        for *_, until, answer in self._waiting:
            if until <= now and not answer.done():
                answer.set_exception(NotOnStream(late))
        self._waiting = [one for one in self._waiting if not one[-1].done()]
        heapq.heapify(self._waiting)
        self._timer = loop.call_later(LOOK_S, self._look) if self._waiting else None
        if self._waiting:
            self.want_look()
