"""The states of the projects that were used last, in memory: loaded from the store, forgotten when they are many."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.command.domain import ProjectState
from services.command.domain.copies import freeze
from services.command.domain.floor import floor_of
from services.command.domain.pruning import install, pack, prune
from services.command.handler.replaying import Replaying
from services.command.handler.sizes import Sizes
from services.command.handler.snapshots import Mark, load_snapshot
from shared.event_store import EventStore

PROJECTS_MAX = 1024
LOADING_MAX = 4
MANY = 2000  # bookings
LOW_S = 600.0  # the floor of a project stays low so long after somebody has recorded its past


class Loading(msgspec.Struct):
    """A state that is being brought to the store's version. If time runs out, the next attempt continues here."""

    replaying: Replaying
    first_version: int
    cold: bool

    async def run(self, store: EventStore, project: str, *, briefly: bool = False) -> bool:
        """As `Replaying.run`. A state may lack what an event changes: a clock that was ahead made it forget what was
        not over. Then all events are read."""
        try:
            whole = await self.replaying.run(store, project, briefly=briefly)
        except KeyError:
            if not self.first_version:
                raise
            self.replaying, self.first_version, self.cold = Replaying(_empty(), 0), 0, True
            whole = await self.replaying.run(store, project, briefly=briefly)
        if whole and self.cold and not self.first_version:
            await _pruned(self.replaying.state)
        return whole


async def load_from_events(store: EventStore, project: str, floor: int) -> Loading:
    """A project as its events make it, without a snapshot. It knows the hours from `floor` on."""
    loading = Loading(Replaying(ProjectState(floor=floor), 0), 0, cold=False)
    await loading.replaying.run(store, project)
    await _pruned(loading.replaying.state)
    return loading


async def _pruned(state: ProjectState) -> None:
    """Drops what is over. Another thread looks through many bookings, in a copy: time may run out meanwhile."""
    if len(state.bookings) < MANY:
        prune(state, state.floor)
    else:
        packed = await asyncio.to_thread(pack, freeze(state, {}, {}), state.floor, whole=True)
        install(state, packed, state.floor)


def _empty() -> ProjectState:
    """A state without events, with the floor of today."""
    return ProjectState(floor=floor_of(datetime.now(UTC)))


class Loaded(NamedTuple):
    """`changed`: there were events that the state in memory had not seen. `cold`: there was no state in memory."""

    changed: bool
    cold: bool


class States:
    """The states by project. `head` is the newest position that is known here.

    No project holds more than `bytes_max` (`Bounds` sees to it), unless `bytes_max` was made smaller since.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._states: OrderedDict[str, ProjectState] = OrderedDict()
        self._loading: dict[str, Loading] = {}
        self._low_until: dict[str, float] = {}
        self._marks: dict[str, Mark] = {}
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
        """The project in memory that has a grant or booking of this id. Looks first where commands came last."""
        states = reversed(self._states.items())
        held = (project for project, one in states if entity in one.bookings or entity in one.grants)
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

    def forget_loading(self) -> None:
        """Forgets the states that are half loaded."""
        self._loading.clear()

    def continue_from(self, project: str, loading: Loading) -> None:
        """Takes a state that was loaded beside, with a lower floor: the next load brings it to the store's version. Its
        floor stays low for LOW_S."""
        self.take(project, loading)
        self._marks[project] = Mark(self.mark(project).version, foreign=self.mark(project).foreign)
        self._low_until[project] = time.monotonic() + LOW_S

    def mark(self, project: str) -> Mark:
        """What is stored of the state of a project."""
        return self._marks.setdefault(project, Mark())

    def may_rise(self, project: str) -> bool:
        """Whether nobody needs the project's past any more."""
        return self._low_until.get(project, 0.0) < time.monotonic()

    async def load(self, store: EventStore, project: str) -> Loaded:
        """Folds the events that the state in memory has not seen. If there is no state, reads a snapshot first."""
        loaded = await self._load(store, project, briefly=False)
        assert isinstance(loaded, Loaded)
        return loaded

    async def load_briefly(self, store: EventStore, project: str) -> Loaded | Loading:
        """As `load`. If that would take long, returns what is to be loaded beside and given to `take`."""
        return await self._load(store, project, briefly=True)

    def take(self, project: str, loading: Loading) -> None:
        """Takes a state that was loaded beside: the next load brings it to the store's version."""
        self._states.pop(project, None)
        self._loading[project] = loading

    async def _load(self, store: EventStore, project: str, *, briefly: bool) -> Loaded | Loading:
        loading = self._loading.get(project) or await self._begin(store, project)
        try:
            if not await loading.run(store, project, briefly=briefly):
                return self._loading.pop(project)
        finally:
            if loading.replaying.broken:
                self._loading.pop(project, None)
        self.saw(loading.replaying.position)
        state = self._states[project] = self._loading.pop(project).replaying.state
        return Loaded(state.version > loading.first_version, loading.cold)

    async def _begin(self, store: EventStore, project: str) -> Loading:
        cached = self._states.pop(project, None)
        state, position = (cached, 0) if cached else await self._stored(store, project)
        while len(self._loading) >= LOADING_MAX:  # nobody waits for these any more
            del self._loading[next(iter(self._loading))]
        loading = self._loading[project] = Loading(Replaying(state, position), state.version, cold=cached is None)
        return loading

    async def _stored(self, store: EventStore, project: str) -> tuple[ProjectState, int]:
        """The state of a snapshot and its position; without a snapshot, a new state with the floor of today. A snapshot
        whose floor is yet to come is of a time when the clock was wrong: it is not used."""
        state, position, self._marks[project] = await load_snapshot(store.connection, project)
        if not state.version or state.floor > floor_of(datetime.now(UTC) + timedelta(days=1)):
            self._marks[project] = Mark()
            return _empty(), 0
        return state, position

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
