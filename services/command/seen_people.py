"""Fills the directory of people: whoever proved by an issuer's token who they are is written a second later.

A request never waits for it. If the database is away, or if more people come than there is room for, some are left out
until their token is verified again.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice

from shared import postgres
from shared.identity.authenticator import Authenticator
from shared.identity.people import note_people
from shared.identity.verifying import Verified
from shared.postgres import LOST_OR_REFUSED

log = logging.getLogger(__name__)

WAITING_MAX = 5000
BATCH_MAX = 500
INTERVAL_S = 1.0
WRITE_TIMEOUT_S = 5.0


class SeenPeople:
    """`note` from any task, `run` once. A person who comes several times before the next write is written once."""

    def __init__(self, database_url: str, interval_s: float = INTERVAL_S) -> None:
        self._database_url, self._interval_s = database_url, interval_s
        self._waiting: dict[str, Verified] = {}
        self._arrived = asyncio.Event()

    def note(self, verified: Verified) -> None:
        """Puts a person into the queue. Does nothing if it is full, or if a program acts for the person."""
        if not verified.principal.is_person:
            return
        if len(self._waiting) < WAITING_MAX or verified.principal.id in self._waiting:
            self._waiting[verified.principal.id] = verified
            self._arrived.set()

    async def run(self, authenticator: Authenticator) -> None:
        """Writes until it is cancelled."""
        while True:
            await self._arrived.wait()
            since = authenticator.version  # whoever is forgotten from now on is not written by this batch
            await asyncio.sleep(self._interval_s)
            batch = [self._waiting.pop(id_) for id_ in list(islice(self._waiting, BATCH_MAX))]
            if not self._waiting:
                self._arrived.clear()
            await self._write(batch, since)

    async def _write(self, batch: list[Verified], since: int | None) -> None:
        try:
            async with asyncio.timeout(2 * WRITE_TIMEOUT_S):
                connection = await postgres.connect(self._database_url, command_timeout=WRITE_TIMEOUT_S)
                try:
                    async with connection.transaction():
                        await note_people(connection, batch, since)
                finally:
                    connection.terminate()
        except LOST_OR_REFUSED as lost:
            log.warning("%d people are not in the directory yet: %s", len(batch), type(lost).__name__)
