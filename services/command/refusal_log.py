"""The log of refusals: each refused command is a row, written after its answer.

It is a log, not history. A flood of refusals, or a database that is slow or gone, never delays an answer. Refusals that
cannot be written are counted, and the next row has the count.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from services.command.domain import Command, RequireRole
from services.command.domain.commands import Context
from shared import postgres
from shared.clock import ClockWatch
from shared.errors import HourbookError, UnknownId
from shared.hours import Period, iso
from shared.identity.errors import Forbidden
from shared.postgres import LOST_OR_REFUSED, Connection

log = logging.getLogger(__name__)

WAITING_MAX = 2000
BATCH_MAX = 500  # one batch a second: a flood writes no more
INTERVAL_S = 1.0
WRITE_TIMEOUT_S = 5.0
LAST_WRITE_S = 2 * WRITE_TIMEOUT_S + 1  # at the end, the rest is written within this time, or lost
SWEEP_S = 600.0
JSON_MAX = 20_000
# Of the denials of one person and their tokens, so many are kept at once, and so many a second for long: 8640 a day.
DENIALS_MAX, DENIALS_A_SECOND = 100, 0.1
NAMES_MAX = 10_000


class Refusal(NamedTuple):
    """A row of the table, in the order of its columns. `asked` and `facts` are JSON."""

    at: datetime
    project: str
    actor: str
    command: str
    asked: str
    reason: str | None
    code: str
    detail: str
    facts: str
    dropped: int


INSERT = """
INSERT INTO refusal (at, project, actor, command, asked, reason, code, detail, facts, dropped)
SELECT at, project, actor, command, asked::json, reason, code, detail, facts::json, dropped
FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bigint[])
    AS t (at, project, actor, command, asked, reason, code, detail, facts, dropped)
"""
SWEEP = """
DELETE FROM refusal WHERE id <= greatest(
    (SELECT max(id) FROM refusal) - $1::bigint,
    (SELECT max(id) FROM refusal WHERE at < now() - $2 * interval '1 day')
)
"""


class Rates:
    """How often each of many names may do something: `most` times at once, and `a_second` times a second for long."""

    def __init__(self, most: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._a_second, self._clock = most, a_second, clock
        self._used: dict[str, tuple[float, float]] = {}  # how much was used at an instant; it goes down with time

    def allows(self, name: str) -> bool:
        """Whether the name may do it once more now."""
        now = self._clock()
        used = self._left(name, now)
        if used + 1 > self._most:
            return False
        if len(self._used) >= NAMES_MAX:
            self._used = {one: known for one, known in self._used.items() if self._left(one, now) > 0}
        if len(self._used) < NAMES_MAX or name in self._used:
            self._used[name] = (used + 1, now)
        return True

    def _left(self, name: str, now: float) -> float:
        used, at = self._used.get(name, (0.0, now))
        return max(0.0, used - (now - at) * self._a_second)


class RefusalLog:
    """`note` from any task, `run` once. Rows are kept for `kept_days`, and at most `kept_max` of them."""

    def __init__(
        self,
        database_url: str,
        *,
        kept_days: int,
        kept_max: int,
        interval_s: float = INTERVAL_S,
        clock: ClockWatch | None = None,
    ) -> None:
        self._database_url = database_url
        self._kept_days = kept_days
        self._kept_max = kept_max
        self._interval_s = interval_s
        self._clock = clock
        self._waiting: deque[tuple[datetime, str, Command, Context, HourbookError, int]] = deque()
        self._arrived = asyncio.Event()
        self._unreported = 0
        self._swept = 0.0
        self._denials = Rates(DENIALS_MAX, DENIALS_A_SECOND)
        self.dropped = 0

    def note(self, project: str, command: Command, context: Context, refusal: HourbookError) -> None:
        """Puts a refusal in the queue, or counts it as lost. Of one person's denials only so many are kept, so that
        they push nobody else's refusals out. To ask for what is not there counts too, where roles bound the person."""
        principal = context.principal
        probing = refusal.denied or (isinstance(refusal, UnknownId) and not principal.unbounded)
        excess = probing and not self._denials.allows(principal.person or principal.id)
        if excess or len(self._waiting) >= WAITING_MAX:
            self._drop(1)
            return
        self._waiting.append((context.at, project, command, context, refusal, self._unreported))
        self._unreported = 0
        self._arrived.set()

    async def run(self) -> None:
        """Writes until it is cancelled, and then once more what still waits."""
        connection: Connection | None = None
        try:
            while True:
                await self._arrived.wait()
                await asyncio.sleep(self._interval_s)
                connection = await self._write(connection)
        finally:
            if self._waiting:
                connection = await self._write(connection)
            if connection is not None:
                connection.terminate()

    async def _write(self, connection: Connection | None) -> Connection | None:
        """Writes a batch. Returns the connection to use next. A batch that cannot be written is lost, and counted."""
        batch = [row_of(*self._waiting.popleft()) for _ in range(min(len(self._waiting), BATCH_MAX))]
        if not self._waiting:
            self._arrived.clear()
        try:
            async with asyncio.timeout(2 * WRITE_TIMEOUT_S):
                if connection is None or connection.is_closed():
                    connection = await self._connected()
                await connection.execute(INSERT, *map(list, zip(*batch, strict=True)))
                await self._sweep(connection)
            return connection
        except LOST_OR_REFUSED as lost:
            log.warning("%d refusals are not kept: %s: %s", len(batch), type(lost).__name__, lost)
            self._drop(len(batch))
            self._unreported += sum(row.dropped for row in batch)
            if connection is not None:
                connection.terminate()
            return None
        except asyncio.CancelledError:
            if connection is not None:
                connection.terminate()
            raise

    async def _connected(self) -> Connection:
        """The server itself ends a slow statement, so that no row is written after it was counted as lost."""
        settings = {"statement_timeout": f"{WRITE_TIMEOUT_S * 1000:.0f}", "application_name": "hourbook-refusals"}
        return await postgres.connect(self._database_url, server_settings=settings)

    async def _sweep(self, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if self._clock is not None and self._clock.doubtful is not None:
            return
        if now - self._swept > SWEEP_S or not self._swept:
            self._swept = now
            await connection.execute(SWEEP, self._kept_max, self._kept_days)

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unreported += count


def row_of(
    at: datetime, project: str, command: Command, context: Context, refusal: HourbookError, dropped: int
) -> Refusal:
    return Refusal(
        at,
        storable(project),
        storable(context.actor),
        command.purpose if isinstance(command, RequireRole) else type(command).__name__,
        bounded_json(json_of(command)),
        None if context.reason is None else storable(context.reason),
        Forbidden.code if refusal.denied else refusal.code,
        storable(refusal.detail),
        bounded_json({**refusal.facts, **refusal.lacked}),
        dropped,
    )


def json_of(value: Any) -> Any:
    """A command as JSON: without fields that are None, and with instants instead of hours."""
    if isinstance(value, Period):
        return {"start": iso(value.start), "end": iso(value.end)}
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {
            name: iso(field) if name in ("start", "end") and isinstance(field, int) else json_of(field)
            for name, field in fields.items()
            if field is not None
        }
    return [json_of(one) for one in value] if isinstance(value, tuple) else value


def bounded_json(value: Any) -> str:
    encoded = msgspec.json.encode(value).decode()
    return encoded if len(encoded) <= JSON_MAX else '{"left_out": "too long"}'


def storable(text: str) -> str:
    """PostgreSQL's text has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
