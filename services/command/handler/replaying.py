"""Brings a state in memory to the version of its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.command.domain import ProjectState, evolve
from services.command.domain.replay import Replay
from shared.event_store import EventStore
from shared.events import decode_event

READ_MAX = 10_000  # events at once: some megabytes
FEW = 500  # so many are folded one by one: that is quicker, and needs no other thread


class Replaying:
    """`run` folds the events that `state` has not seen. If it is cancelled, or the store is lost, `run` it again: it
    goes on where it was. `state` is whole when `run` returns. `position` is that of the last event.

    `broken`: an event could not be folded, and the state may have half of it. Do not use it again."""

    def __init__(self, state: ProjectState, position: int) -> None:
        self.state, self.position, self.broken = state, position, False
        self._replay: Replay | None = None  # that has folded events, and is not finished
        self._work: asyncio.Task[None] | None = None

    async def run(self, store: EventStore, stream: str) -> None:
        """Raises asyncpg's errors and PositionGap; and what `decode_event` and `evolve` raise, then it is broken."""
        await self._done()
        stored, position = await store.stream_data_after(stream, self.state.version, READ_MAX)
        if len(stored) < FEW and self._replay is None:
            self._fold(self._one_by_one, stored, position)
            return
        while stored:
            last = self.state.version + len(stored)
            self._work = asyncio.create_task(asyncio.to_thread(self._fold, self._by_columns, stored, position))
            stored, position = await store.stream_data_after(stream, last, READ_MAX)
            await self._done()
        self._work = asyncio.create_task(asyncio.to_thread(self._fold, self._finish))
        await self._done()

    async def _done(self) -> None:
        """Waits for the thread that folds events; one that was begun by a cancelled `run` too."""
        if self._work is not None:
            await asyncio.shield(self._work)
            self._work = None

    def _fold(self, fold: Callable[[Sequence[bytes]], None], stored: Sequence[bytes] = (), position: int = 0) -> None:
        try:
            fold(stored)
        except Exception:
            self.broken = True
            raise
        self.position = max(self.position, position)

    def _one_by_one(self, stored: Sequence[bytes]) -> None:
        for data in stored:
            evolve(self.state, decode_event(data))

    def _by_columns(self, stored: Sequence[bytes]) -> None:
        if self._replay is None:
            self._replay = Replay(self.state)
        self._replay.take(stored)

    def _finish(self, _: Sequence[bytes]) -> None:
        if self._replay is not None:
            self._replay.finish()
            self._replay = None
