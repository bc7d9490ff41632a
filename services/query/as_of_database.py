"""Point-in-time reads (`as_of`): a database session in which the read models show a past position.

The session has temporary views with the names of the read models. Each view shows the rows that were valid at the
position. Temporary tables hold the hours that the question needs. So the statements in `views/` read the past as they
read the present.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import numpy as np
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
from services.query.database import SERVER_SETTINGS, STATEMENT_TIMEOUT_S, Database, keep_session
from services.query.questions.model import ConflictsQuestion, UsageQuestion
from services.query.questions.parameters import POSITION, parse_moment
from services.query.views.history import position_before
from shared import postgres
from shared.as_of import AMOUNTS, Snapshot, read_all_hours, read_hours_at
from shared.capacity import DIMENSIONS, Vector, reserved
from shared.errors import InvalidField
from shared.hours import EPOCH, Period, hour_of, instant_of
from shared.names import spellings
from shared.postgres import Connection, Record, timestamps_of

SESSIONS_MAX = 2
WAITING_MAX = 64  # for a session
PATIENCE_S = 10.0
POLL_S = 0.02
WIDTH = len(DIMENSIONS)

AS_OF = "current_setting('hourbook.as_of')::bigint"
THEN = f"WHERE since <= {AS_OF} AND until > {AS_OF}"
COUNTS = ", ".join(DIMENSIONS)
LAYOUT = "masterflavor, mastercount, workerflavor, workercount"
SESSION = f"""
CREATE TEMPORARY VIEW generation AS
SELECT 0 AS generation, true AS live, {AS_OF} AS position, now() AS moved_at,
    NULL::bigint AS parked_position, NULL::text AS parked_error;
CREATE TEMPORARY VIEW pool AS
SELECT 0 AS generation, pool, id, parent, project, name, kind, starts, ends, {AS_OF} AS touched, beyond_hours,
    tentative, claimed, {LAYOUT}
FROM public.past_pool {THEN};
CREATE TEMPORARY VIEW live_grant AS
SELECT 0 AS generation, id, pool, starts, ends, {COUNTS}, actor, source FROM public.past_grant {THEN};
CREATE TEMPORARY VIEW live_booking AS
SELECT 0 AS generation, id, segment, pool, starts, ends, {COUNTS}, actor, account, share, tentative, created, claimed,
    template, template_version, template_count, series, CASE WHEN since > claimed THEN since END AS changed
FROM public.past_booking {THEN};
CREATE TEMPORARY VIEW template AS
SELECT 0 AS generation, project, name, version, {COUNTS}, actor, created FROM public.past_template {THEN};
CREATE TEMPORARY VIEW account AS
SELECT 0 AS generation, project, account, name, limits, closed, created FROM public.past_account {THEN};
CREATE TEMPORARY VIEW cluster_resize AS
SELECT 0 AS generation, pool, position, decided, request, state, starts, ends, {COUNTS}, {LAYOUT}, lapsed, error, actor
FROM public.past_resize {THEN};
CREATE TEMPORARY VIEW role AS
SELECT 0 AS generation, pool, member, role, granted, actor FROM public.past_role {THEN};
CREATE TEMPORARY VIEW account_member AS
SELECT 0 AS generation, project, account, member, added, actor FROM public.past_account_member {THEN};
CREATE TEMPORARY TABLE availability_hour (LIKE public.availability_hour) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE short_hour (LIKE public.short_hour) ON COMMIT DELETE ROWS;
SET default_transaction_read_only = on;
"""


class AsOf(NamedTuple):
    """A position, and the time at that position."""

    position: int
    now: datetime


class Past:
    """Point-in-time reads: finds the position that `as_of` names, and opens a database at that position."""

    def __init__(self, url: str, database: Database, timeout_s: float) -> None:
        self._url, self._database, self._timeout_s = url, database, timeout_s
        self._sessions: asyncpg.Pool[Record]
        # Only one read of many hours at a time, so that one session is left for the other reads.
        self.wide = Admission(1, WIDE_WAITING_MAX, WIDE_PATIENCE_S, "reads of many hours of the past")
        self.line = Admission(SESSIONS_MAX, WAITING_MAX, PATIENCE_S, "reads of the past")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        settings = {**SERVER_SETTINGS, "application_name": "hourbook-as-of", "default_transaction_read_only": "off"}
        self._sessions = postgres.create_pool(
            self._url,
            min_size=0,
            max_size=SESSIONS_MAX,
            reset=keep_session,
            init=begin_session,
            server_settings=settings,
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
        etag = etag_of(question, Version(0, as_of.position))
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
            await connection.execute("SELECT set_config('hourbook.as_of', $1, true)", str(as_of.position))
            reader = PastDatabase(connection)
            if question is not None and (period := question.hours) is not None:
                await fill_hours(reader, question, period, as_of.position)
            yield reader

    async def _decided_at(self, position: int, field: str) -> datetime:
        record = await self._database.fetchrow(DECIDED, position)
        if record is None:
            raise InvalidField(field, f"{position} is beyond the last event")
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


async def begin_session(connection: Connection) -> None:
    await connection.execute(SESSION)


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

    async def put_hours(self, pool: int, hours: Vector, cells: Vector) -> None:
        """Inserts the amounts `cells`, shape (n, 13), of `hours`, shape (n,). Ten years are ninety thousand rows, so
        it uses COPY."""
        columns = ["generation", "pool", "hour", *AMOUNTS]
        packed = copied(pool, hours, cells)
        await postgres.copy_rows(self._connection, "availability_hour", packed, columns, schema="pg_temp")


COPY_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("generation_bytes", ">i4"),
        ("generation", ">i4"),
        ("pool_bytes", ">i4"),
        ("pool", ">i4"),
        ("hour_bytes", ">i4"),
        ("hour", ">i8"),
        ("amounts", [("bytes", ">i4"), ("amount", ">i8")], len(AMOUNTS)),
    ]
)
COPY_ROWS = 4096  # in a piece


def copied(pool: int, hours: Vector, cells: Vector) -> Iterator[bytes]:
    """The rows of `put_hours` in the binary format of COPY, in pieces."""
    for begin in range(0, len(hours), COPY_ROWS):
        yield copied_rows(pool, hours[begin : begin + COPY_ROWS], cells[begin : begin + COPY_ROWS])


def copied_rows(pool: int, hours: Vector, cells: Vector) -> bytes:
    rows = np.zeros(len(hours), dtype=COPY_ROW)
    rows["fields"], rows["generation_bytes"], rows["pool_bytes"], rows["hour_bytes"] = 3 + len(AMOUNTS), 4, 4, 8
    rows["pool"], rows["hour"] = pool, timestamps_of(hours)
    rows["amounts"]["bytes"], rows["amounts"]["amount"] = 8, cells
    return rows.tobytes()


POOL = "SELECT pool, beyond_hours, starts FROM pool WHERE id = $1"
TREE = "SELECT pool, beyond_hours, starts FROM pool WHERE project = $1"
SHARED = """
SELECT DISTINCT pool, NULL::int AS beyond_hours, NULL::timestamptz AS starts
FROM live_booking WHERE account = ANY ($1::text[]) AND share > 0
"""


async def fill_hours(reader: PastDatabase, question: Question, period: Period, position: int) -> None:
    """Copies the hours of the pools that an answer depends on into the session's temporary tables."""
    kind, name = question.scope
    if isinstance(question, UsageQuestion):
        pools = await reader.fetch(SHARED, spellings(question.account))
    else:
        pools = await reader.fetch(POOL if kind == "pool" else TREE, name)
    for pool, beyond_hours, starts in pools:
        start = period.start
        if beyond_hours is not None and isinstance(question, ConflictsQuestion):
            start = first_short(await read_all_hours(reader, pool, position), start)
        cells = await read_hours_at(reader, pool, position, start, period.end)
        short_from = None if beyond_hours is None else 0 if starts is None else hour_of(starts)
        await _put(reader, pool, start, cells, short_from)


def first_short(snapshot: Snapshot, start: int) -> int:
    """The first hour of the run of short hours that ends just before `start`; `start` itself without such a run."""
    before = short_hours(snapshot.cells[: max(0, start - snapshot.base)])
    if start > snapshot.base + len(before) or not len(before):
        return start
    not_short = np.flatnonzero(~before)
    return snapshot.base + (int(not_short[-1]) + 1 if len(not_short) else 0)


def short_hours(cells: Vector) -> Any:
    """Which hours lack an amount of some dimension: bools of shape (n,). `cells` has shape (n, 13)."""
    granted, booked, shares = cells[:, :WIDTH], cells[:, WIDTH : 2 * WIDTH], cells[:, 2 * WIDTH :]
    return (granted - booked < reserved(granted, shares)).any(axis=1)


PUT_SHORT = "INSERT INTO short_hour SELECT 0, $1, unnest($2::timestamptz[])"


async def _put(reader: PastDatabase, pool: int, start: int, cells: Any, short_from: int | None) -> None:
    """Inserts the hours from `start` on. `short_from` is the first hour that can be in `short_hour`; None: no hour."""
    not_empty = np.flatnonzero(cells.any(axis=1))
    if len(not_empty):
        await reader.put_hours(pool, not_empty + start, cells[not_empty])
    if short_from is not None:
        short = np.flatnonzero(short_hours(cells))
        short = short[short >= short_from - start]
        if len(short):
            await reader.fetch(PUT_SHORT, pool, [instant_of(start + int(hour)) for hour in short])
