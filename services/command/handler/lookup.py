"""Finds the project of a grant or booking in the store, for requests whose path names only the grant or booking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from services.command.handler.errors import StoreUnavailable
from shared import postgres
from shared.event_store import EventStore
from shared.event_store.terms import Term, read_term
from shared.postgres import LOST_OR_REFUSED, told

AT_ONCE_MAX = 8


class ProjectLookup:
    """`project_of` from any number of tasks: AT_ONCE_MAX of them have a connection at the same time."""

    def __init__(self, database_url: str, patience_s: float) -> None:
        self._database_url = database_url
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def project_of(self, entity: UUID, check: Callable[[Term], None]) -> str | None:
        """The project whose stream made this id; None if no stream did. Before it returns None, calls `check` with the
        term of the store. Raises StoreUnavailable, and what `check` raises."""
        try:
            async with self._turns, asyncio.timeout(self._patience_s):
                connection = await postgres.connect(self._database_url)
                try:
                    project = await EventStore(connection).stream_of(entity)
                    if project is None:
                        check(await read_term(connection))
                    return project
                finally:
                    connection.terminate()
        except LOST_OR_REFUSED as lost:
            raise StoreUnavailable(f"the event store did not answer: {told(lost)}") from None
