"""Keeps the states small and saves snapshots of them as they grow, one project at a time, while decisions go on.

Of a project that takes events, a snapshot is saved after EVERY of them: so a start replays few. In the same pass its
bookings are packed into blocks, and what is over leaves the state (`domain/pruning.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sized
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from services.command.domain import ProjectState
from services.command.domain.copies import Freezing
from services.command.domain.floor import floor_of
from services.command.domain.pruning import Packed, install, pack
from services.command.handler.snapshots import (
    FORMAT,
    Mark,
    PiecesLost,
    block_maker,
    encode_state,
    read_manifest,
    save_snapshot,
)
from services.command.handler.states import States
from shared import postgres
from shared.event_store.terms import Term, read_term
from shared.postgres import LOST_OR_REFUSED

log = logging.getLogger(__name__)

EVERY = 5000  # events
EVERY_BESIDE = 8000  # where another process writes the snapshots: two would replace each other's pieces
WORTH_SAVING = 1000  # events; fewer are replayed quickly
FLOOR_CHECK_S = 60.0
VERSION = "SELECT version FROM snapshot WHERE stream = $1 AND substr(state, 1, length($2::bytea)) = $2"


class Taken(NamedTuple):
    """A state of which a snapshot is made, and its frozen copy, which has events up to `position`. The state may forget
    what was before `floor`. `mark` and `term` as in `begin`."""

    project: str
    state: ProjectState
    frozen: ProjectState
    floor: int
    position: int
    mark: Mark
    term: UUID | None


class Taking(NamedTuple):
    """A state that is being frozen with what has changed since `mark`."""

    project: str
    freezing: Freezing
    mark: Mark

    def go_on(self) -> ProjectState | None:
        """As `Freezing.go_on`. All events of the state must be in the store: a batch that is being appended may yet be
        refused. So this is no task."""
        self.mark.changed(self.freezing.state.touched)
        return self.freezing.go_on()


def _taking(project: str, state: ProjectState, mark: Mark) -> Taking:
    pools = (name for name in state.pools if not mark.pools.get(name))
    accounts = (name for name in state.accounts if not mark.accounts.get(name))
    return Taking(project, Freezing(state, pools, accounts), mark)


class SnapshotWriter:
    """`note` says that a project was written to, `begin` starts the next pass. A pass may take longer than a client's
    patience, so nobody waits for it."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._wanted: dict[str, int] = {}
        self._taking: Taking | None = None
        self._saving: asyncio.Task[None] | None = None
        self._floor, self._floor_until = 0, 0.0

    def want(self, project: str, after: int = WORTH_SAVING) -> None:
        """A snapshot of a project is wanted, if it has grown by so many events."""
        self._wanted[project] = min(after, self._wanted.get(project, after))

    def note(self, states: States, projects: Iterable[str]) -> None:
        """Looks whether states that have changed are to be saved, or may forget a month."""
        for project in projects:
            if (state := states.get(project)) is not None:
                mark = states.mark(project)
                every = EVERY_BESIDE if mark.foreign else EVERY
                if state.version - mark.version >= every or self._may_forget(states, project, state):
                    self.want(project, every)

    async def begin(self, states: States, queue: Sized = (), term: UUID | None = None) -> None:
        """Begins the pass of one wanted project, unless another is in progress. Call it after each batch, when the
        store has all events of the states. While it freezes a large state, it returns early if somebody is in the
        `queue`, and the next call goes on. `term`: of the store that the states are of; nothing is saved in a store of
        another term, which may have lost some of their events."""
        while self._go_on(states, term) and not len(queue):
            await asyncio.sleep(0)

    def _go_on(self, states: States, term: UUID | None) -> bool:
        """Freezes the next part of a state. Returns whether it needs another turn."""
        while (self._saving is None or self._saving.done()) and (taking := self._taking or self._next(states)):
            self._taking = taking
            project, state = taking.project, taking.freezing.state
            if states.get(project) is state:
                if (frozen := taking.go_on()) is None:
                    return True
                floor = self._floor if self._may_forget(states, project, state) else state.floor
                taken = Taken(project, state, frozen, floor, states.head, taking.mark, term)
                self._saving = asyncio.create_task(self._pass(states, taken))
                self._saving.add_done_callback(_say_why)
            self._taking = None
        return False

    def _next(self, states: States) -> Taking | None:
        """The next state that is to be frozen; None if there is none."""
        while self._wanted:
            project = next(iter(self._wanted))
            events = self._wanted.pop(project)
            if (state := states.get(project)) is not None:
                mark = states.mark(project)
                if state.version - mark.version >= events or self._may_forget(states, project, state):
                    return _taking(project, state, mark)
        return None

    def _may_forget(self, states: States, project: str, state: ProjectState) -> bool:
        """Whether the state has hours that nobody needs any more."""
        if self._floor_until < (now := time.monotonic()):
            self._floor, self._floor_until = floor_of(datetime.now(UTC)), now + FLOOR_CHECK_S
        return state.floor < self._floor and states.may_rise(project)

    def stop(self) -> None:
        if self._saving is not None:
            self._saving.cancel()

    async def _pass(self, states: States, taken: Taken) -> None:
        """Packs a state, and saves it if it has grown."""
        project, state, frozen, floor, mark = taken.project, taken.state, taken.frozen, taken.floor, taken.mark
        packed = await asyncio.to_thread(pack, frozen, floor)
        if states.get(project) is state and state.bookings.goes_on_from(frozen.bookings):  # no replay made other blocks
            install(state, packed, floor)
        if frozen.version - mark.version < WORTH_SAVING:
            return
        try:
            await self._save(taken, _small(frozen, packed, floor))
        except LOST_OR_REFUSED as lost:
            log.info("the snapshot of %s was not saved: %s", project, lost)
        except PiecesLost:
            mark.pools, mark.accounts = {}, {}

    async def _save(self, taken: Taken, small: ProjectState) -> None:
        """Saves a packed state, on a connection of its own."""
        project, mark = taken.project, taken.mark
        connection = await postgres.connect(self._database_url)
        try:
            if taken.term is not None and not _same(await read_term(connection), taken.term):
                return
            stored = await connection.fetchval(VERSION, project, FORMAT) or 0
            if mark.version < stored and small.version - stored < EVERY_BESIDE:
                mark.version, mark.foreign = stored, True
                return
            saved = await asyncio.to_thread(encode_state, small, mark)
            make = block_maker(small.bookings.layers()[1])
            if await save_snapshot(connection, project, saved, small.version, taken.position, make):
                manifest = read_manifest(saved.manifest)
                mark.pools |= {name: key for name, key in manifest.pools.items() if name in small.pools}
                mark.accounts |= {name: key for name, key in manifest.accounts.items() if name in small.accounts}
                mark.version, mark.foreign = small.version, False
        finally:
            connection.terminate()


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a snapshot was not saved", exc_info=error)


def _same(store: Term, term: UUID) -> bool:
    """Whether the store is of this term."""
    return store.begun and store.term == term


def _small(frozen: ProjectState, packed: Packed, floor: int) -> ProjectState:
    """The frozen state as it is after `install`."""
    small = msgspec.structs.replace(frozen, bookings=packed.packed(), floor=floor)
    for series in packed.series:
        small.series.pop(series, None)
    return small
