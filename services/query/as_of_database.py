"""Point-in-time reads (`as_of`): a database session in which the read models show a past position.

The session finds the views of the schema `past` before the read models, which have the same names. The views show the
rows that were valid at the position which the session names, and the hours that it was given (given_hours.py). So the
statements in `views/` read the past as they read the present. Nothing is written, so the session may be one of a
standby.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
from litestar.types import Receive

from services.query.answers.admission import Admission
from services.query.answers.answers import (
    WIDE_PATIENCE_S,
    WIDE_WAITING_MAX,
    Question,
    Reply,
    View,
    etag_of,
    is_any,
    matches,
    read_weight,
)
from services.query.answers.cache import Version
from services.query.answers.freshness import NotYetVisible
from services.query.database import SERVER_SETTINGS, STATEMENT_TIMEOUT_S, Admit, BeyondTheEnd, Database
from services.query.given_hours import give_hours
from services.query.questions.parameters import POSITION, parse_moment
from services.query.views.history import position_before
from shared import postgres
from shared.errors import InvalidField
from shared.hours import EPOCH
from shared.postgres import Connection, Record

SESSIONS_MAX = 2
WAITING_MAX = 64  # for a session
PATIENCE_S = 10.0
POLL_S = 0.02

# The views of the schema `past` have the names of the read models, and show the position that the session names.
SETTINGS = {**SERVER_SETTINGS, "application_name": "hourbook-as-of", "search_path": "past, public"}
# An error where there are no views: PostgreSQL would pass over a schema that it cannot find, and show the present.
BEGIN_AT = "SELECT set_config('hourbook.position', $1, true), 'past.generation'::regclass"


class AsOf(NamedTuple):
    """A position, and the time at that position."""

    position: int
    now: datetime


class Past:
    """Point-in-time reads: finds the position that `as_of` names, and opens a database at that position."""

    def __init__(self, url: str, database: Database, timeout_s: float, admit: Admit | None = None) -> None:
        self._url, self._database, self._timeout_s, self._admit = url, database, timeout_s, admit
        self._sessions: asyncpg.Pool[Record]
        # Only one read of many hours at a time, so that one session is left for the other reads.
        self.wide = Admission(1, WIDE_WAITING_MAX, WIDE_PATIENCE_S, "reads of many hours of the past")
        self.line = Admission(SESSIONS_MAX, WAITING_MAX, PATIENCE_S, "reads of the past")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        self._sessions = postgres.create_pool(
            self._url,
            min_size=0,
            max_size=SESSIONS_MAX,
            reset=postgres.keep_session,
            init=self._admit,
            server_settings=SETTINGS,
            command_timeout=STATEMENT_TIMEOUT_S,
        )
        async with self._sessions:
            yield

    async def parse(self, text: str, field: str = "as_of") -> AsOf:
        """The place in the history that `text` names: a position, or the last position at an instant. Waits until the
        past read models reach it. Raises InvalidField, NotYetVisible."""
        as_of = await self.parse_for_events(text, field)
        await self._kept(as_of.position)
        return as_of

    async def parse_for_events(self, text: str, field: str = "as_of") -> AsOf:
        """As `parse`, for a read that needs no past read models, because it reads the events. Does not wait."""
        now = datetime.now(UTC)
        if POSITION.fullmatch(text):
            position = int(text)
            now = await self._decided_at(position, field) if position else EPOCH  # before the first event
        else:
            moment = parse_moment(text, field)
            if moment > now:
                raise InvalidField(field, f"{text!r} lies in the future; nobody knows what is true then")
            position, now = await position_before(self._database, moment + timedelta(microseconds=1)), moment
        return AsOf(position, now)

    async def answer(self, question: Question, view: View, as_of: AsOf, etags: str | None, receive: Receive) -> Reply:
        """The answer as it was at that position. Raises TooBusy."""
        etag = etag_of(question, Version(0, as_of.position), None)
        if etags is not None and matches(etags, etag) and not is_any(etags):
            return Reply(as_of.position, None, etag)
        async with self.reading(as_of, receive, question) as reader:
            entry = (await view(reader, question)).entry
        if etags is not None and is_any(etags):
            return Reply(as_of.position, None, etag)
        return Reply(as_of.position, entry.at(as_of.position), etag, entry.following)

    @contextlib.asynccontextmanager
    async def reading(
        self, as_of: AsOf, receive: Receive, question: Question | None = None
    ) -> AsyncIterator[PastDatabase]:
        """The database at that position, with the hours of the question. It holds a session while the block reads, not
        while the answer is sent. Raises TooBusy when too many reads wait for a session."""
        async with (
            self.wide.admitted(0 if question is None else min(read_weight(question), 1), receive),
            self.line.admitted(receive=receive),
            self._sessions.acquire() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            reader = PastDatabase(connection)
            await reader.fetchrow(BEGIN_AT, str(as_of.position))
            if question is not None and (period := question.hours) is not None:
                await give_hours(reader, question, period, as_of.position)
            yield reader

    async def _decided_at(self, position: int, field: str) -> datetime:
        record = await self._database.fetchrow(DECIDED, position)
        if record is None:
            raise BeyondTheEnd(field, f"{position} is beyond the last event")
        decided: datetime = record["at"]
        return decided

    async def _kept(self, position: int) -> None:
        """Waits until the past read models reach the position. Raises NotYetVisible."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            record = await self._database.fetchrow(KEPT)
            kept: int = record["position"] if record is not None else 0
            if kept >= position:
                return
            if asyncio.get_running_loop().time() > deadline:
                detail = f"position {position} is not kept yet, {kept} is; try again in a second"
                raise NotYetVisible(detail, position=kept, min_position=position)
            await asyncio.sleep(POLL_S)


DECIDED = "SELECT (convert_from(data, 'UTF8')::json ->> 'at')::timestamptz AS at FROM event WHERE position = $1"
KEPT = "SELECT position FROM past_head"


class PastDatabase(Database):
    """A Database whose reads all see one past position; `snapshot()` is the database itself."""

    def __init__(self, connection: Any) -> None:
        self._connection: Connection = connection

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]:
        return await self._connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        return await self._connection.fetchrow(query, *args)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PastDatabase]:
        yield self
