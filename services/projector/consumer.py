"""The projector: writes new events to the live generation, and parks an event that cannot be applied."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest

import asyncpg
import msgspec

from services.projector.bell import Bell
from services.projector.generation import (
    HOURS_MAX,
    CheckpointConflict,
    Generation,
    TooManyHours,
    load_generation,
    park,
    prepare,
    write_batch,
)
from services.projector.source import Source
from services.projector.traces import FoldTraces
from shared import postgres
from shared.batch_size import BatchSize
from shared.event_store import EventStore
from shared.event_store.store import PositionGap
from shared.events.batch import EventBatch, decode_batch
from shared.nats_server import NatsServer
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import end_tasks, keep_running

log = logging.getLogger(__name__)

BATCH_MAX = 120_000  # read at a time
PART_MAX = 40_000  # written at a time: in a larger part more events share a row of an hour, which is written once
STATEMENT_TIMEOUT_S = 120.0  # for a server that is there and does not answer
LIMIT_TRANSACTIONS = f"SET transaction_timeout = '{STATEMENT_TIMEOUT_S:.0f}s'"
# The statements that write a small batch take less time than to plan them anew for each.
PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"
CATCHING_UP_EVENTS = 2048  # a batch of this many events or more: the projector is behind
REST_S = 0.008  # after a batch, so that the next one is larger: one event costs nearly as much as ten
RETRY_DELAY_S = 0.2
PARKED_DELAY_S = 1.0
# LookupError: no generation is live yet, as before the migrations. PositionGap: the store is not whole; a restored
# backup may mend it. MemoryError: the next batch is smaller.
GOES_ON_AFTER = (*LOST_OR_REFUSED, LookupError, PositionGap, MemoryError)
# An event raises one of these because of what it says. It would raise it again, so it is parked.
UNAPPLICABLE = (
    msgspec.MsgspecError,
    struct.error,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    AssertionError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


class Parked(Exception):
    """An event cannot be applied. The generation stays before it; queries go on and answer with that position."""


class Projector:
    """Several may run: the checkpoint moves by compare-and-set, so each batch is written by one of them.

    `position` is the checkpoint. `catching_up` is true while many events wait: other tasks of this process should
    pause. `on_batch` is called after each batch with the number of its events and its seconds. `bells` ring when there
    are new events.
    """

    def __init__(
        self,
        database_url: str,
        nats: NatsServer,
        *,
        poll_s: float = 1.0,
        hours_max: int = HOURS_MAX,
        on_batch: Callable[[int, float], None] = lambda _events, _seconds: None,
        traces: FoldTraces | None = None,
        bells: Sequence[Bell] = (),
    ) -> None:
        self._database_url, self._nats, self._poll_s = database_url, nats, poll_s
        self._on_batch, self._hours_max, self._traces = on_batch, hours_max, traces
        self._bells = bells
        self._size = BatchSize(BATCH_MAX)
        self._parked: int | None = None  # this position was logged; the monitor repeats it
        self.position = 0
        self.catching_up = False

    async def run(self) -> None:
        """Runs until it is cancelled. It connects again after an error."""
        await keep_running(log, "projector", self._serve, GOES_ON_AFTER, RETRY_DELAY_S)

    async def _serve(self) -> None:
        connection = await postgres.connect(self._database_url, command_timeout=STATEMENT_TIMEOUT_S)
        await connection.execute(PLAN_ONCE)
        if connection.get_server_version() >= (17,):  # a projector that stands still in a COPY holds up all others
            await connection.execute(LIMIT_TRANSACTIONS)
        on_news = None if self._traces is None else self._traces.heard
        source = Source(EventStore(connection), poll_s=self._poll_s, on_news=on_news)
        listening = asyncio.create_task(source.listen(self._nats))
        try:
            await prepare(connection)
            while True:
                await self._follow(connection, source)
        finally:
            connection.terminate()
            await end_tasks(listening)

    async def _follow(self, connection: Connection, source: Source) -> None:
        """Writes events to the generation that is live now, until another one is live or an event is parked."""
        generation = await load_generation(connection)
        self.position, self.catching_up = generation.position, False
        try:
            while True:
                with self._size.adapting(CheckpointConflict, Parked):
                    stored = await source.after(generation.position, self._size.now)
                    self.catching_up = len(stored) >= CATCHING_UP_EVENTS
                    if stored:
                        self._ring()
                        await self._write(connection, generation, stored)
                if stored and not self.catching_up:
                    await asyncio.sleep(REST_S)
        except CheckpointConflict as conflict:
            log.info("projector: %s", conflict)
        except Parked as parked:
            if generation.parked_position != self._parked:
                log.error("projector: %s", parked)
            self._parked = generation.parked_position
            self.catching_up = False
            await asyncio.sleep(PARKED_DELAY_S)

    def _ring(self) -> None:
        for bell in self._bells:
            bell.ring()

    async def _write(self, connection: Connection, generation: Generation, stored: Sequence[bytes]) -> None:
        began, began_ns = asyncio.get_running_loop().time(), time.time_ns()
        if self.catching_up:
            await self._write_ahead(connection, generation, stored)
        else:
            await write_or_halve(connection, generation, stored, hours_max=self._hours_max)
        self.position = generation.position
        if self._traces is not None:
            self._traces.folded(self.position, len(stored), began_ns)
        self._on_batch(len(stored), asyncio.get_running_loop().time() - began)

    async def _write_ahead(self, connection: Connection, generation: Generation, stored: Sequence[bytes]) -> None:
        """Writes many events in parts. While one part is written, a thread decodes the next one."""
        parts = [stored[at : at + PART_MAX] for at in range(0, len(stored), PART_MAX)]
        decoding = asyncio.create_task(asyncio.to_thread(_decoded, parts[0]))
        try:
            for part, following in zip_longest(parts, parts[1:]):
                decoded = await decoding
                if following is not None:
                    decoding = asyncio.create_task(asyncio.to_thread(_decoded, following))
                await write_or_halve(connection, generation, part, hours_max=self._hours_max, decoded=decoded)
                self.position = generation.position
        finally:
            await end_tasks(decoding)


def _decoded(stored: Sequence[bytes]) -> EventBatch | None:
    """The events. None if they cannot be decoded: who writes them finds out which, and why."""
    try:
        return decode_batch(stored)
    except UNAPPLICABLE:
        return None


async def write_or_halve(
    connection: Connection,
    generation: Generation,
    stored: Sequence[bytes],
    *,
    live: bool = True,
    hours_max: int = HOURS_MAX,
    decoded: EventBatch | None = None,
) -> None:
    """Writes a batch. When that fails, for any reason but a conflict or a lost connection, writes each half of it.
    `decoded` are the same events, if they are decoded already.

    Raises Parked for a single event that cannot be applied because of what it says. Raises any other error of a single
    event as it is: the server is out of memory or disc, for example.
    """
    try:
        await write_batch(connection, generation, stored, live=live, hours_max=hours_max, decoded=decoded)
    except Exception as error:
        if isinstance(error, CheckpointConflict) or connection.is_closed():
            raise
        if len(stored) == 1:
            if not isinstance(error, UNAPPLICABLE):
                raise
            await park(connection, generation, error)
            raise Parked(f"position {generation.parked_position} cannot be applied: {error!r}") from error
        if not isinstance(error, TooManyHours):
            log.warning("projector: %d events together: %s: %s; in halves", len(stored), type(error).__name__, error)
        middle = len(stored) // 2
        await write_or_halve(connection, generation, stored[:middle], live=live, hours_max=hours_max)
        await write_or_halve(connection, generation, stored[middle:], live=live, hours_max=hours_max)
