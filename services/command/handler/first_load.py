"""Long loads of projects that are not in memory. They go on beside the writer, so that no command of another project
waits for them. The commands of the project wait here, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.command.handler.errors import StoreUnavailable
from services.command.handler.lookup import ProjectLookup
from services.command.handler.queue import Submitted, refuse
from services.command.handler.states import Loading, States
from shared.errors import HourbookError

RECONNECT_DELAY_S = 0.1
STILL_LOADING = "the project is still being read; send the command again in some seconds"
MANY_WAIT = "too many commands wait until the project is read; send the command again in some seconds"


class FirstLoads:
    """`again` puts a command back into the queue. One project at a time is loaded, and goes on being loaded when nobody
    waits for it any more."""

    def __init__(
        self, lookup: ProjectLookup, again: Callable[[Submitted], None], patience_s: float, waiting_max: int
    ) -> None:
        self._lookup, self._again, self._patience_s, self._waiting_max = lookup, again, patience_s, waiting_max
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, dict[int, tuple[Submitted, asyncio.TimerHandle]]] = {}
        self._loaded: dict[str, Loading] = {}
        self._one_load = asyncio.Lock()

    def __contains__(self, project: str) -> bool:
        return project in self._tasks

    def forget(self) -> None:
        """Forgets what was read. Those who wait take their turn again."""
        self._loaded.clear()
        for project, task in [*self._tasks.items()]:
            task.cancel()
            self._end(project)

    def take_loaded(self, states: States) -> None:
        """Gives `states` what was loaded."""
        while self._loaded:
            states.take(*self._loaded.popitem())

    def begin(self, project: str, loading: Loading) -> None:
        """Begins to load a project."""
        self._tasks[project] = asyncio.create_task(self._load(project, loading))
        self._waiting[project] = {}

    def step(self, batch: list[Submitted], *, sent: bool) -> list[Submitted]:
        """The commands whose projects are not being loaded; the others wait. `sent`: an append of them may have been
        sent. A batch that is tried again has those that wait already."""
        for submitted in batch:
            if (waiting := self._waiting.get(submitted.project)) is None or id(submitted) in waiting:
                continue
            if len(waiting) < self._waiting_max:
                submitted.sent = submitted.sent or sent
                timer = asyncio.get_running_loop().call_later(self._patience_s, self._give_up, submitted)
                waiting[id(submitted)] = submitted, timer
            else:
                refuse(submitted, StoreUnavailable(MANY_WAIT))
        return [submitted for submitted in batch if submitted.project not in self._tasks]

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _load(self, project: str, loading: Loading) -> None:
        error: Exception | None = None
        try:
            async with self._one_load:
                await self._load_over_lost_connections(project, loading)
            loading.first_version = loading.replaying.state.version  # it is pruned
            self._loaded[project] = loading
        except Exception as broken:
            error = broken
        self._end(project, error)

    async def _load_over_lost_connections(self, project: str, loading: Loading) -> None:
        while True:
            try:
                return await self._lookup.load_on(project, loading)
            except StoreUnavailable:
                await asyncio.sleep(RECONNECT_DELAY_S)

    def _end(self, project: str, error: Exception | None = None) -> None:
        """Lets those who wait take their turn again, in order; or refuses them."""
        del self._tasks[project]
        for submitted, timer in self._waiting.pop(project).values():
            timer.cancel()
            try:
                if error is not None:
                    raise error
                self._again(submitted)
            except HourbookError as refusal:
                unknown = StoreUnavailable(f"it is not known whether the command was stored: {refusal.detail}")
                refuse(submitted, unknown if submitted.sent else refusal)
            except Exception as broken:
                refuse(submitted, broken)

    def _give_up(self, submitted: Submitted) -> None:
        """The patience of a command is over."""
        del self._waiting[submitted.project][id(submitted)]
        refuse(submitted, StoreUnavailable(STILL_LOADING))
