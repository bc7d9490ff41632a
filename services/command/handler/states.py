"""The states of the projects that were used last, in memory: loaded from the store, forgotten when they are many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.command.domain import ProjectState, evolve
from services.command.handler.sizes import Sizes
from services.command.handler.snapshots import load_snapshot, worth_saving
from shared.event_store import EventStore
from shared.events import decode_event

PROJECTS_MAX = 1024
LOADING_MAX = 4


class Loading(msgspec.Struct):
    """A state that is being brought to the store's version. If time runs out, the next attempt continues here."""

    state: ProjectState
    position: int
    first_version: int
    cold: bool


class Loaded(NamedTuple):
    """`changed`: there were events that the state in memory had not seen. `slow`: the replay was so long that a
    snapshot should spare it the next process."""

    changed: bool
    slow: bool


class States:
    """The states by project. `head` is the newest position that is known here.

    No project holds more than `bytes_max` (`Bounds` sees to it), unless `bytes_max` was made smaller since.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._states: OrderedDict[str, ProjectState] = OrderedDict()
        self._loading: dict[str, Loading] = {}
        self._sizes = Sizes()
        self.head = 0

    def __getitem__(self, project: str) -> ProjectState:
        return self._states[project]

    def __contains__(self, project: str) -> bool:
        return project in self._states

    def __iter__(self) -> Iterator[str]:
        """The projects, beginning with the one that was used longest ago."""
        return iter(self._states)

    def get(self, project: str) -> ProjectState | None:
        return self._states.get(project)

    def used(self, project: str) -> ProjectState:
        """The state of a project, which counts as used now."""
        self._states.move_to_end(project)
        return self._states[project]

    def holding(self, entity: UUID) -> str | None:
        """The project in memory that has a grant or booking of this id."""
        held = (project for project, one in self._states.items() if entity in one.bookings or entity in one.grants)
        return next(held, None)

    def saw(self, position: int) -> None:
        """The store holds an event at this position."""
        self.head = max(self.head, position)

    def drop(self, projects: Iterable[str]) -> None:
        """Forgets states that are no longer those of the store."""
        for project in projects:
            self._states.pop(project, None)

    def clear(self) -> None:
        self._states.clear()

    async def load(self, store: EventStore, project: str) -> Loaded:
        """Folds the events that the state in memory has not seen. If there is no state, reads a snapshot first."""
        loading = self._loading.get(project) or await self._begin(store, project)
        state = loading.state
        async for event in store.stream_after(project, state.version):
            try:
                evolve(state, decode_event(event.data))
            except Exception:  # the state may have half of the event: do not use it again
                del self._loading[project]
                raise
            loading.position = event.position
        self.saw(loading.position)
        self._states[project] = self._loading.pop(project).state
        replayed = state.version - loading.first_version
        return Loaded(replayed > 0, loading.cold and worth_saving(replayed, state.version))

    async def _begin(self, store: EventStore, project: str) -> Loading:
        cached = self._states.pop(project, None)
        state, position = (cached, 0) if cached else await load_snapshot(store.connection, project)
        while len(self._loading) >= LOADING_MAX:  # nobody waits for these any more
            del self._loading[next(iter(self._loading))]
        loading = self._loading[project] = Loading(state, position, state.version, cold=cached is None)
        return loading

    def forget_oldest(self, touched: Iterable[str]) -> None:
        """Measures the states that were `touched`. Forgets those that were used longest ago while there are too many,
        or while they hold too much memory. The one used last always stays."""
        for project in touched:
            if (state := self._states.get(project)) is None:
                continue
            if state.version:
                self._sizes.measure(project, state)
            else:  # the project does not exist, and must not take the place of one that does
                del self._states[project]
        held = self._sizes.of(self._states)
        while len(self._states) > 1 and (len(self._states) > PROJECTS_MAX or held > self._bytes_max):
            forgotten, _ = self._states.popitem(last=False)
            held -= self._sizes.forget(forgotten)
