"""Reads in the store what no state in memory has: the project of a grant or booking that a path names, what became of
one that is over, and a project with its past.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from services.command.domain.ended import Ended, ended_of
from services.command.handler.errors import StoreUnavailable
from services.command.handler.states import Loading, load_from_events
from shared import postgres
from shared.errors import HourbookError
from shared.event_store import EventStore
from shared.event_store.terms import Term, read_term
from shared.events import decode_event
from shared.postgres import LOST_OR_REFUSED, told

AT_ONCE_MAX = 8


class IndexBehind(HourbookError):
    """What the request names is over, and the index of the history, which tells what became of it, is behind. Try again
    in a minute."""

    code = "index_behind"
    status = 503
    title = "The index of the history is behind"


class ProjectLookup:
    """Call it from any number of tasks: AT_ONCE_MAX of them have a connection at the same time."""

    def __init__(self, database_url: str, patience_s: float) -> None:
        self._database_url = database_url
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def project_of(self, entity: UUID, check: Callable[[Term], None]) -> str | None:
        """The project whose stream made this id; None if no stream did. Before it returns None, calls `check` with the
        term of the store. Raises StoreUnavailable, and what `check` raises."""
        async with self._store() as store:
            project = await store.stream_of(entity)
            if project is None:
                check(await read_term(store.connection))
            return project

    async def ended(self, project: str, ids: list[UUID]) -> Ended:
        """What became of bookings, grants and series that the project's state does not hold. Raises StoreUnavailable,
        and IndexBehind."""
        async with self._store() as store:
            found = await store.about(project, ids)
        if found is None:
            raise IndexBehind("the index of the history is behind; try again in a minute")
        return ended_of(ids, project, ((version, decode_event(data)) for version, data in found))

    async def loaded(self, project: str, floor: int) -> Loading:
        """The project with all that it knows from the hour `floor` on. It takes as long as its history is. Raises
        StoreUnavailable."""
        async with self._store(patience_s=None) as store:
            return await load_from_events(store, project, floor)

    async def load_on(self, project: str, loading: Loading) -> None:
        """Brings a state that is being loaded to the store's version. Raises StoreUnavailable: call it again, and it
        goes on where it was."""
        async with self._store(patience_s=None) as store:
            await loading.run(store, project)

    @contextlib.asynccontextmanager
    async def _store(self, **limit: float | None) -> AsyncIterator[EventStore]:
        """A store over a connection of its own."""
        try:
            async with self._turns, asyncio.timeout(limit.get("patience_s", self._patience_s)):
                connection = await postgres.connect(self._database_url)
                try:
                    yield EventStore(connection)
                finally:
                    connection.terminate()
        except LOST_OR_REFUSED as lost:
            raise StoreUnavailable(f"the event store did not answer: {told(lost)}") from None
