"""The projector: brings the live generation up to the store's head, and keeps it there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Sequence

import asyncpg
import msgspec
import nats.errors
from nats.aio.client import Client

from services.projector.rows.copying import Connection
from services.projector.source import Source
from services.projector.tables import (
    HOURS_MAX,
    Generation,
    Moved,
    TooManyHours,
    load_generation,
    park,
    prepare,
    write_batch,
)
from shared import postgres
from shared.event_store import EventStore
from shared.jetstream import leave

log = logging.getLogger(__name__)

BATCH_MAX = 8192
MANY = 2048
RETRY_DELAY_S = 0.2
PARKED_DELAY_S = 1.0
# What writing an event can raise that is the event's own fault, and would be again.
UNAPPLICABLE = (
    msgspec.MsgspecError, struct.error, KeyError, IndexError, ValueError, TypeError, OverflowError,
    AssertionError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError,
)  # fmt: skip


class Parked(Exception):
    """An event cannot be applied. The generation stays before it; queries go on, and say how old they are."""


class Projector:
    """Several may run: the checkpoint moves by compare-and-set, so one does the work and the others' is undone."""

    def __init__(
        self,
        database_url: str,
        nats_url: str,
        *,
        poll_s: float = 1.0,
        on_batch: Callable[[int, float], None] = lambda _events, _seconds: None,
    ) -> None:
        self._database_url, self._nats_url, self._poll_s = database_url, nats_url, poll_s
        self._on_batch = on_batch
        self.position = 0
        self.catching_up = False  # many events wait: nobody else in this process should take the loop now

    async def run(self) -> None:
        """Projects until it is cancelled, over lost connections."""
        while True:
            try:
                await self._serve()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
                    OSError, TimeoutError, nats.errors.Error, LookupError) as lost:  # fmt: skip
                log.warning("projector: %s: %s; it goes on", type(lost).__name__, lost)
                await asyncio.sleep(RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url)
        client = Client()
        try:
            await prepare(connection)
            with contextlib.suppress(OSError, nats.errors.Error, TimeoutError):
                await client.connect(self._nats_url, max_reconnect_attempts=-1, connect_timeout=2)
            source = Source(EventStore(connection), client, poll_s=self._poll_s)
            while True:
                await self._follow(connection, source)
        finally:
            connection.terminate()
            await leave(client)

    async def _follow(self, connection: Connection, source: Source) -> None:
        """Follows the generation that is live now, until it is not, or an event of it is parked."""
        generation = await load_generation(connection)
        self.position, self.catching_up = generation.position, False
        try:
            while True:
                stored = await source.after(generation.position, BATCH_MAX)
                self.catching_up = len(stored) >= MANY
                if stored:
                    began = asyncio.get_running_loop().time()
                    await apply(connection, generation, stored)
                    self.position = generation.position
                    self._on_batch(len(stored), asyncio.get_running_loop().time() - began)
        except Moved as moved:
            log.info("projector: %s", moved)
        except Parked as parked:
            log.error("projector: %s", parked)
            self.catching_up = False
            await asyncio.sleep(PARKED_DELAY_S)


async def apply(
    connection: Connection,
    generation: Generation,
    stored: Sequence[bytes],
    *,
    live: bool = True,
    hours_max: int = HOURS_MAX,
) -> None:
    """Writes a batch. One that fails is halved, whatever the reason, down to one event. If that cannot be applied by
    its own fault, it is Parked; what else is wrong (the server is out of memory, or of disc) is raised as it is."""
    try:
        await write_batch(connection, generation, stored, live=live, hours_max=hours_max)
    except Exception as error:
        if isinstance(error, Moved) or connection.is_closed():
            raise
        if len(stored) == 1:
            if not isinstance(error, UNAPPLICABLE):
                raise
            await park(connection, generation, error)
            raise Parked(f"position {generation.parked_position} cannot be applied: {error!r}") from error
        if not isinstance(error, TooManyHours):
            log.warning("projector: %d events together: %s: %s; in halves", len(stored), type(error).__name__, error)
        middle = len(stored) // 2
        await apply(connection, generation, stored[:middle], live=live, hours_max=hours_max)
        await apply(connection, generation, stored[middle:], live=live, hours_max=hours_max)
