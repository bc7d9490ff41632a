"""Commands that need more than the state in memory holds. They step aside while it is read, and then wait for their
turn again: nobody else waits for them.

A command may name what is over: its events are looked up. Or it may record the past: the project is loaded again with
a lower floor, which stays low for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from services.command.domain import ProjectState
from services.command.domain.access import authorise
from services.command.domain.ended import standing
from services.command.domain.floor import lower_floor
from services.command.domain.reach import looks_back_to, not_held
from services.command.handler.errors import StoreUnavailable
from services.command.handler.first_load import FirstLoads
from services.command.handler.lookup import ProjectLookup
from services.command.handler.queue import Submitted, refuse
from services.command.handler.states import Loading, States
from shared.errors import HourbookError
from shared.identity.roles import Policy

Work = Callable[[], Coroutine[Any, Any, None]]
RECONNECT_DELAY_S = 0.1
STILL_READING = "the past of the project is still being read; send the command again in some seconds"

MANY_WAIT = "too many commands wait until the past is read; send the command again in some seconds"


class Aside:
    """`again` puts a command back into the queue. One project at a time is loaded with a lower floor, and goes on being
    loaded when nobody waits for it any more: whoever asks next finds it."""

    def __init__(
        self,
        lookup: ProjectLookup,
        policy: Policy,
        again: Callable[[Submitted], None],
        patience_s: float,
        waiting_max: int = 10_000,
    ) -> None:
        self._lookup, self._policy, self._again, self._patience_s = lookup, policy, again, patience_s
        self._waiting_max = waiting_max
        self.first_loads = FirstLoads(lookup, again, patience_s, waiting_max)
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._loaded: dict[str, Loading] = {}
        self._one_load = asyncio.Lock()
        self._term: UUID | None = None
        self._tasks = set[asyncio.Task[None]]()
        self._away = set[int]()  # the commands that have stepped aside, by `id()`

    def take_loaded(self, states: States, term: UUID | None = None) -> None:
        """Gives `states` what was loaded with a lower floor. What was loaded, or half loaded, from a store of another
        term than this one is forgotten: the store may have lost some of these events."""
        if term != self._term:
            self._term = term
            self._loaded.clear()
            self.first_loads.forget()
            states.forget_loading()
        self.first_loads.take_loaded(states)
        while self._loaded:
            states.continue_from(*self._loaded.popitem())

    def step(self, states: States, batch: list[Submitted], *, sent: bool, fresh: bool = False) -> list[Submitted]:
        """The commands that can be decided now on the states, which are loaded, or being loaded by `first_loads`; the
        others step aside. `sent`: an append of them may have been sent. `fresh`: the states are those of the store, and
        nobody else can append.

        A batch that is tried again has those that stepped aside before: they come again by themselves."""
        ready = []
        for submitted in self.first_loads.step(batch, sent=sent):
            if id(submitted) in self._away:
                continue
            work = self._work(states[submitted.project], submitted, fresh=fresh)
            if work is None:
                ready.append(submitted)
            elif len(self._tasks) < self._waiting_max:
                submitted.sent = submitted.sent or sent
                self._away.add(id(submitted))
                self._start(self._then_again(submitted, work))
            else:
                refuse(submitted, StoreUnavailable(MANY_WAIT))
        return ready

    def stop(self) -> None:
        self.first_loads.stop()
        for task in (*self._tasks, *self._loading.values()):
            task.cancel()

    def _work(self, state: ProjectState, submitted: Submitted, *, fresh: bool) -> Work | None:
        """What must be read before the command can be decided; None: nothing."""
        if not state.floor:
            return None
        looked_up = set[UUID]() if submitted.ended is None else submitted.ended.asked
        if fresh and submitted.ended is not None:  # what was not over when it was looked up is over by now
            looked_up = looked_up - submitted.ended.still_going(state.floor)
        unknown = [one for one in not_held(state, submitted.command) if one not in looked_up]
        if unknown:
            return partial(self._look_up, submitted, unknown)
        first = looks_back_to(submitted.command, submitted.context)
        if first < state.floor and self._may(state, submitted):
            return partial(self._lower, submitted.project, first)
        return None

    def _may(self, state: ProjectState, submitted: Submitted) -> bool:
        """Whether the command would not be denied: else its decision says so, and nothing is read for it."""
        seen = standing(state, submitted.ended, submitted.command)
        try:
            authorise(seen, submitted.project, submitted.command, submitted.context.principal, self._policy)
        except HourbookError:
            return False
        return state.name is not None

    async def _look_up(self, submitted: Submitted, ids: list[UUID]) -> None:
        asked = [*ids, *(submitted.ended.asked if submitted.ended else ())]
        submitted.ended = await self._lookup.ended(submitted.project, asked)

    async def _lower(self, project: str, first: int) -> None:
        """Loads a project with a floor at or below the hour `first`."""
        if project not in self._loading:
            floor = lower_floor(first, datetime.now(UTC))
            task = self._loading[project] = asyncio.create_task(self._load(project, floor))
            task.add_done_callback(lambda _: self._loading.pop(project))
        await asyncio.shield(self._loading[project])

    async def _load(self, project: str, floor: int) -> None:
        async with self._one_load:
            term = self._term
            loaded = await self._lookup.loaded(project, floor)
            if term == self._term:
                self._loaded[project] = loaded

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _then_again(self, submitted: Submitted, work: Work) -> None:
        """Does the work, over lost connections too, and lets the command take its turn again."""
        why: HourbookError = StoreUnavailable(STILL_READING)
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        await work()
                        break
                    except StoreUnavailable as lost:
                        why = lost
                    await asyncio.sleep(RECONNECT_DELAY_S)
            self._again(submitted)
        except TimeoutError:
            refuse(submitted, why)
        except HourbookError as error:
            unknown = StoreUnavailable(f"it is not known whether the command was stored: {error.detail}")
            refuse(submitted, unknown if submitted.sent else error)
        except Exception as error:
            refuse(submitted, error)
        finally:
            self._away.discard(id(submitted))
