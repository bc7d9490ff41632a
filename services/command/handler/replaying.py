"""Brings a state in memory to the version of its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from services.command.domain import ProjectState, evolve
from services.command.domain.replay import Replay
from shared.event_store import EventStore
from shared.events import BookingCreated, decode_event
from shared.hours import hour_of

READ_MAX = 10_000  # events at once: some megabytes
FEW = 500  # so many are folded one by one: that is quicker, and needs no other thread


class Replaying:
    """`run` folds the events that `state` has not seen. If it is cancelled, or the store is lost, `run` it again: it
    goes on where it was. `state` is whole when `run` returns. `position` is that of the last event.

    `broken`: an event could not be folded, and the state may have half of it. Do not use it again."""

    def __init__(self, state: ProjectState, position: int) -> None:
        self.state, self.position, self.broken = state, position, False
        self._replay: Replay | None = None  # that has folded events, and is not finished
        self._work: asyncio.Task[list[UUID]] | None = None

    async def run(self, store: EventStore, stream: str, *, briefly: bool = False) -> bool:
        """Whether the state is whole: with `briefly`, folds nothing if READ_MAX events are there. Raises asyncpg's
        errors and PositionGap; and what `decode_event` and `evolve` raise, then it is broken."""
        await self._done()
        version = self.state.version
        stored, position = await store.stream_data_after(stream, version, READ_MAX)
        if briefly and len(stored) >= READ_MAX:
            return False
        if len(stored) < FEW and self._replay is None:
            self._fold(self._one_by_one, stored, position)
            return True
        replay = self._replay = self._replay or Replay(self.state)
        while stored:
            self._begin(replay.take, stored, position)
            version += len(stored)
            following, last = await store.stream_data_after(stream, version, READ_MAX)
            if unknown := await self._done():
                replay.learn(began_of(await store.booked_with(unknown)))
                self._begin(replay.take, stored, position)
            stored, position = following, last
            await self._done()
        self._begin(self._finish)
        await self._done()
        return True

    def _begin(
        self, fold: Callable[[Sequence[bytes]], list[UUID]], stored: Sequence[bytes] = (), last: int = 0
    ) -> None:
        self._work = asyncio.create_task(asyncio.to_thread(self._fold, fold, stored, last))

    async def _done(self) -> list[UUID]:
        """Waits for the thread that folds events; one that was begun by a cancelled `run` too. Returns what `take`
        returns."""
        work, unknown = self._work, list[UUID]()
        if work is not None:
            unknown = await asyncio.shield(work)
            self._work = None
        return unknown

    def _fold(self, fold: Callable[[Sequence[bytes]], list[UUID]], stored: Sequence[bytes], last: int) -> list[UUID]:
        try:
            unknown = fold(stored)
        except Exception:
            self.broken = True
            raise
        if not unknown:
            self.position = max(self.position, last)
        return unknown

    def _one_by_one(self, stored: Sequence[bytes]) -> list[UUID]:
        for data in stored:
            evolve(self.state, decode_event(data))
        return []

    def _finish(self, _: Sequence[bytes]) -> list[UUID]:
        if self._replay is not None:
            self._replay.finish()
            self._replay = None
        return []


def began_of(stored: Sequence[bytes]) -> dict[UUID, int]:
    """The first hours of the bookings that these events created."""
    events = map(decode_event, stored)
    return {event.booking: hour_of(event.start) for event in events if isinstance(event, BookingCreated)}
