"""What time brings: in every hour, over-committed hours that have come near are settled, as commands like any other.

Every command process runs it. Whoever is second finds the hours whole, and decides nothing.
"""

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
from shared.errors import HourbookError
from shared.hours import hour_of
from shared.postgres import LOST_OR_REFUSED
from shared.tasks import keep_running

log = logging.getLogger(__name__)

ACTOR = "hourbook"
REASON = "the hours that had come near were over-committed"

# By the index event_overcommit. A name that happens to hold the word costs one decision that finds nothing to do.
OVERCOMMITTING = """
SELECT position, stream FROM event
WHERE type IN ('ProjectCreated', 'ClusterCreated') AND position('beyond_hours'::bytea IN data) > 0 AND position > $1
ORDER BY position
"""


class Clock:
    """`now` and `new_id` come in; `poll_s` is how long after the hour has struck it may be noticed."""

    def __init__(
        self,
        database_url: str,
        handler: CommandHandler,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        *,
        poll_s: float = 15.0,
    ) -> None:
        self._database_url, self._handler, self._now, self._new_id = database_url, handler, now, new_id
        self._poll_s = poll_s
        self._position = 0
        self._settled: dict[str, int] = {}

    async def run(self) -> None:
        """Until it is cancelled, over lost connections."""
        await keep_running(log, "clock", self._serve, (*LOST_OR_REFUSED, HourbookError), self._poll_s)

    async def _serve(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(self._poll_s)

    async def tick(self) -> None:
        """Settles each project that may over-commit, once an hour."""
        await self._look()
        hour = hour_of(self._now())
        for project, settled in list(self._settled.items()):
            if settled < hour:
                try:
                    await self._settle(project)
                except Exception as error:  # one project's trouble is not the others'; the next poll tries again
                    log.warning("clock: %s: %s: %s", project, type(error).__name__, error)
                else:
                    self._settled[project] = hour

    async def _settle(self, project: str) -> None:
        """Until there is nothing left to settle: a command settles so much at most."""
        while True:
            context = Context(command=self._new_id(), actor=ACTOR, at=self._now(), reason=REASON)
            answer = await self._handler.submit(project, SettleConflicts(), context)
            if not answer.decided:
                return
            log.info("clock: %s was over-committed: %d events", project, len(answer.decided))

    async def _look(self) -> None:
        """Finds the projects with a policy that are new since the last look."""
        connection = await postgres.connect(self._database_url)
        try:
            for record in await connection.fetch(OVERCOMMITTING, self._position):
                self._position = record["position"]
                self._settled.setdefault(record["stream"], 0)
        finally:
            await connection.close()
