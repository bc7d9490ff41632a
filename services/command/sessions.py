"""Begins and ends the sessions of the page in the database, and removes those that have expired."""

from __future__ import annotations

import asyncio
import logging

from services.command.connections import Connections
from shared import postgres
from shared.identity.credentials import Token
from shared.identity.sessions import NewSession, begin_session, end_session, end_sessions, sweep_sessions
from shared.identity.verifying import Verified
from shared.postgres import LOST_OR_REFUSED
from shared.tasks import keep_running

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 60.0


class Sessions:
    """`begin`, `end` and `end_all` from any task; `run` once. They raise StoreUnavailable."""

    def __init__(self, database_url: str, hours: int) -> None:
        self._database_url, self._hours = database_url, hours
        self._connections = Connections(database_url)

    async def begin(self, verified: Verified, token: Token | None, before: str | None) -> NewSession:
        """Begins a session. `token` and `before` as in `begin_session`."""
        async with self._connections.one() as connection, connection.transaction():
            return await begin_session(connection, verified, self._hours, token, before)

    async def end(self, secret: str) -> str | None:
        """Ends a session. Returns whose it was; None if there is no such session."""
        async with self._connections.one() as connection, connection.transaction():
            return await end_session(connection, secret)

    async def end_all(self, person: str) -> int:
        """Ends all sessions of a person. Returns how many."""
        async with self._connections.one() as connection, connection.transaction():
            return await end_sessions(connection, person)

    async def run(self) -> None:
        """Removes expired sessions, until it is cancelled."""
        await keep_running(log, "sessions", self._serve, LOST_OR_REFUSED, SWEEP_EVERY_S)

    async def _serve(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> None:
        connection = await postgres.connect(self._database_url)
        try:
            await sweep_sessions(connection)
        finally:
            connection.terminate()
