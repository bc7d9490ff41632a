"""The scheduler: once an hour, it sends SettleConflicts to each project that may over-commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.command.domain import SettleConflicts
from services.command.domain.commands import Context
from services.command.handler.handler import CommandHandler
from shared import postgres
from shared.clock import ClockWatch
from shared.errors import HourbookError
from shared.hours import hour_of
from shared.identity.principals import CLOCK
from shared.postgres import LOST_OR_REFUSED
from shared.tasks import keep_running

log = logging.getLogger(__name__)

REASON = "the hours that had come near were over-committed"

# Reads the index event_overcommit. A project whose name happens to contain the word costs one command without events.
OVERCOMMITTING = """
SELECT position, stream FROM event
WHERE type IN ('ProjectCreated', 'ClusterCreated') AND position('beyond_hours'::bytea IN data) > 0 AND position > $1
ORDER BY position
"""


class Scheduler:
    """Every command process runs one. Whichever is second in an hour finds nothing over-committed, and changes nothing.

    `now` gives the time and `new_id` the id of each command. `clock` watches that time. `poll_s` is how late after the
    hour it may notice it.
    """

    def __init__(
        self,
        database_url: str,
        handler: CommandHandler,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        *,
        poll_s: float = 15.0,
        clock: ClockWatch | None = None,
    ) -> None:
        self._database_url = database_url
        self._handler = handler
        self._now = now
        self._new_id = new_id
        self._poll_s = poll_s
        self._clock = clock
        self._position = 0
        self._settled_at: dict[str, int] = {}

    async def run(self) -> None:
        """Until it is cancelled, over lost connections."""
        await keep_running(log, "scheduler", self._serve, (*LOST_OR_REFUSED, HourbookError), self._poll_s)

    async def _serve(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(self._poll_s)

    async def tick(self) -> None:
        """Settles each project that may over-commit, unless that was done in this hour. Does nothing while the clock is
        doubtful: what lapses stays so."""
        if self._clock is not None and self._clock.doubtful is not None:
            return
        await self._find_projects()
        hour = hour_of(self._now())
        for project, settled_at in list(self._settled_at.items()):
            if settled_at < hour:
                try:
                    await self._settle_conflicts(project)
                except Exception as error:  # the other projects go on; the next poll tries this one again
                    log.warning("scheduler: %s: %s: %s", project, type(error).__name__, error)
                else:
                    self._settled_at[project] = hour

    async def _settle_conflicts(self, project: str) -> None:
        """Sends SettleConflicts until it changes nothing: one command settles a bounded number of conflicts."""
        while True:
            context = Context(command=self._new_id(), principal=CLOCK, at=self._now(), reason=REASON)
            result = await self._handler.submit(project, SettleConflicts(), context)
            if not result.decided:
                return
            log.info("scheduler: %s was over-committed: %d events", project, len(result.decided))

    async def _find_projects(self) -> None:
        """Adds the projects that got an over-commit policy since the last look."""
        connection = await postgres.connect(self._database_url)
        try:
            for record in await connection.fetch(OVERCOMMITTING, self._position):
                self._position = record["position"]
                self._settled_at.setdefault(record["stream"], 0)
        finally:
            await connection.close()
