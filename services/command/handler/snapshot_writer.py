"""Saves snapshots of states that took long to load, one at a time, while decisions go on."""

from __future__ import annotations

import asyncio
import logging

from services.command.domain import ProjectState
from services.command.domain.copies import freeze
from services.command.handler.snapshots import save_snapshot
from services.command.handler.states import States
from shared.postgres import LOST_OR_REFUSED

log = logging.getLogger(__name__)


class SnapshotWriter:
    """`want` says which project is to be saved, `begin` starts the next one. A large snapshot may take longer than a
    client's patience, so nobody waits for it."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._wanted: set[str] = set()
        self._saving: asyncio.Task[None] | None = None

    def want(self, project: str) -> None:
        self._wanted.add(project)

    def begin(self, states: States) -> None:
        """Begins to save one wanted snapshot, unless another is being saved."""
        while self._wanted and (self._saving is None or self._saving.done()):
            project = self._wanted.pop()
            if (state := states.get(project)) is not None:
                self._saving = asyncio.create_task(self._save(project, freeze(state), states.head))

    def stop(self) -> None:
        if self._saving is not None:
            self._saving.cancel()

    async def _save(self, project: str, frozen: ProjectState, position: int) -> None:
        try:
            await save_snapshot(self._database_url, project, frozen, position)
        except LOST_OR_REFUSED as lost:
            log.info("the snapshot of %s was not saved: %s", project, lost)
