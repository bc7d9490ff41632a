"""Appending and reading events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from shared.event_store.errors import NO_TERM, Unsettled
from shared.event_store.replication import BARRIER, CommitWatch
from shared.hours import OCCURRENCES_MAX
from shared.locks import Lock
from shared.postgres import Connection

POSITION_MAX = 2**63 - 1  # what PostgreSQL's bigint holds
BEHIND_MAX = 100_000  # events that are not in the index: so many are looked through for what is over


class Pending(msgspec.Struct, frozen=True, gc=False):
    """An event to append. `ordinal` is its place among the events of its command."""

    stream: str
    version: int
    command_id: UUID
    ordinal: int
    request_hash: bytes
    type: str
    data: bytes
    request_id: UUID | None = None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A stored event. `ordinal` is its place among the events of its command."""

    position: int
    stream: str
    version: int
    command_id: UUID
    request_id: UUID | None
    request_hash: bytes
    type: str
    data: bytes
    ordinal: int


class Kept(msgspec.Struct, frozen=True, gc=False):
    """The answer to keep for an idempotency key whose request makes no event.

    With a `tail`, the answer is `body`, a position, `tail`. The position is that of the event number `after` of the
    same append; for 0, that of the last event before the append.
    """

    request_id: UUID
    request_hash: bytes
    status: int
    body: bytes
    tail: bytes | None = None
    after: int = 0


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """The kept answer to an idempotency key."""

    request_hash: bytes
    status: int
    body: bytes


class Appended(msgspec.Struct, frozen=True):
    """The outcome of an append. "duplicate" and "conflict" mean that nothing was changed."""

    outcome: Literal["stored", "duplicate", "conflict"]
    first_position: int


class PositionGap(Exception):
    """Events that were read have a gap in their positions or versions. This cannot happen while the store is whole."""


APPEND = "SELECT outcome, first_position FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
APPEND_AND_KEEP = """
SELECT outcome, first_position
FROM append_and_keep($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
HEAD = "SELECT position FROM event_head"
COLUMNS_AFTER = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data, ordinal
FROM event WHERE position > $1 ORDER BY position LIMIT $2
"""
DATA_AFTER = """
SELECT max(position), array_agg(data ORDER BY position) FROM event WHERE position > $1 AND position <= $2
"""
STREAM_DATA_AFTER = """
SELECT max(version), max(position), array_agg(data ORDER BY version)
FROM event WHERE stream = $1 AND version > $2 AND version <= $3
"""
BOOKED_WITH = """
SELECT DISTINCT e.position, e.data
FROM unnest($1::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT command_id FROM event WHERE command_id <= asked.id ORDER BY command_id DESC LIMIT 1
) AS made
JOIN event e ON e.command_id = made.command_id AND e.type = 'BookingCreated'
"""
BY_REQUESTS = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data, ordinal, NULL AS status
FROM event WHERE request_id = ANY ($1)
UNION ALL
SELECT NULL, NULL, NULL, NULL, request_id, request_hash, NULL, body, NULL, status
FROM remembered_answer WHERE request_id = ANY ($1)
ORDER BY position
"""
STREAM_OF = """
SELECT stream FROM event WHERE command_id <= $1 AND command_id >= $2 ORDER BY command_id DESC, ordinal DESC LIMIT 1
"""
# All events about some things of a stream: those that the index has, and those after it that have an id in their bytes.
# A series is found by its command. No row if the index is further behind than $4 events.
ABOUT = """
WITH x AS MATERIALIZED (
    SELECT i.position FROM event_index_head i, event_head h WHERE h.position - i.position <= $4
), found AS (
    SELECT i.position FROM event_index i, x WHERE i.entity = ANY ($2::text[]) AND i.position <= x.position
    UNION
    SELECT e.position FROM x JOIN event e ON e.position > x.position WHERE e.stream = $1 AND EXISTS (
        SELECT FROM unnest($2::text[]) AS id WHERE position(convert_to(id, 'UTF8') in e.data) > 0)
    UNION
    SELECT e.position FROM event e WHERE e.command_id = ANY ($3::uuid[]) AND e.type = 'SeriesCreated'
)
SELECT e.version, e.data FROM x CROSS JOIN LATERAL (SELECT 0 AS version, NULL::bytea AS data
    UNION ALL SELECT e.version, e.data FROM found f JOIN event e USING (position) WHERE e.stream = $1) e
ORDER BY e.version
"""
LOCK = f"SELECT pg_advisory_xact_lock({Lock.APPEND:d})"
BY_COMMANDS = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data, ordinal
FROM event WHERE command_id = ANY ($1) ORDER BY position
"""


class EventStore:
    """The event store, over one connection. Raises asyncpg's errors. After a lost connection the outcome of an append
    is unknown."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._commits: CommitWatch | None = None

    def check_replicated(self) -> None:
        """Raises NotReplicated if a commit of this connection did not wait for its standby. For who uses `append` in a
        transaction: to be called after its commit."""
        if self._commits is None:
            self._commits = CommitWatch(self.connection)
        self._commits.check()

    async def replicated(self) -> None:
        """Returns when a synchronous standby, if there is one, has everything that is committed now. What was read
        before is safe to answer then. Not in a transaction. Raises NotReplicated."""
        self.check_replicated()
        await self.connection.execute(BARRIER)
        self.check_replicated()

    async def append(
        self, expected: dict[str, int], events: Sequence[Pending], kept: Sequence[Kept] = (), head: int = 0
    ) -> Appended:
        """Appends all of `events` and keeps all answers of `kept`, or nothing.

        `expected` has the version that each stream must be at: each stream of the events, and each that was read to
        decide. `head` is the position that the answers count from if there are no events. Raises Unsettled while the
        term of the primary has not begun, and NotReplicated: then the outcome is unknown.
        """
        self.check_replicated()
        written = dict.fromkeys(expected, 0)
        for event in events:
            written[event.stream] += 1
        batch = [
            list(expected),
            list(expected.values()),
            list(written.values()),
            [event.stream for event in events],
            [event.version for event in events],
            [event.command_id for event in events],
            [event.ordinal for event in events],
            [event.request_id for event in events],
            [event.request_hash for event in events],
            [event.type for event in events],
            [event.data for event in events],
        ]
        if kept:
            columns = map(list, zip(*map(msgspec.structs.astuple, kept), strict=True))
            record = await self.connection.fetchrow(APPEND_AND_KEEP, *batch, head, *columns)
        else:
            record = await self.connection.fetchrow(APPEND, *batch)
        assert record is not None
        if record[0] == "no_term":
            raise Unsettled(NO_TERM, passing=True)
        self.check_replicated()
        return Appended(*record)

    async def head(self) -> int:
        """The last position; 0 if the store is empty."""
        return int(await self.connection.fetchval(HEAD))

    async def after(self, position: int, limit: int) -> list[Stored]:
        """The events after `position`, in order, `limit` at most. Raises PositionGap."""
        events = [Stored(*record) for record in await self.connection.fetch(COLUMNS_AFTER, position, limit)]
        for expected, event in enumerate(events, position + 1):
            if event.position != expected:
                raise PositionGap(f"expected position {expected}, met {event.position}")
        return events

    async def data_after(self, position: int, limit: int) -> list[bytes]:
        """As `after`, but only the bytes of each event. Several times faster."""
        last, datas = await self.connection.fetchrow(DATA_AFTER, position, position + limit) or (None, None)
        if not datas:
            return []
        if last != position + len(datas):
            raise PositionGap(f"{len(datas)} events after position {position}, the last of them at {last}")
        return list(datas)

    async def stream_data_after(self, stream: str, version: int, limit: int) -> tuple[list[bytes], int]:
        """The bytes of the events of one stream after `version`, in order, `limit` at most; and the position of the
        last of them, 0 if there are none. Raises PositionGap."""
        record = await self.connection.fetchrow(STREAM_DATA_AFTER, stream, version, version + limit)
        assert record is not None
        last, position, datas = record
        if not datas:
            return [], 0
        if last != version + len(datas):
            raise PositionGap(f"{len(datas)} events of {stream} after version {version}, the last with version {last}")
        return list(datas), position

    async def booked_with(self, bookings: Sequence[UUID]) -> list[bytes]:
        """The bytes of the events that created these bookings, and of those that the same commands created."""
        return [data for _, data in await self.connection.fetch(BOOKED_WITH, bookings)]

    async def by_commands(self, command_ids: Sequence[UUID]) -> dict[UUID, list[Stored]]:
        """The events of these commands, in order, by command. Commands without events are left out."""
        found: dict[UUID, list[Stored]] = {}
        for record in await self.connection.fetch(BY_COMMANDS, command_ids):
            found.setdefault(record["command_id"], []).append(Stored(*record))
        return found

    async def by_requests(self, request_ids: Sequence[UUID]) -> dict[UUID, list[Stored] | Remembered]:
        """The outcome of each idempotency key, by request id: the events of the request, in order, or its kept answer.
        Unknown ids are left out."""
        found: dict[UUID, list[Stored] | Remembered] = {}
        for *columns, status in await self.connection.fetch(BY_REQUESTS, request_ids):
            stored = Stored(*columns)
            assert stored.request_id is not None
            if status is not None:
                found[stored.request_id] = Remembered(stored.request_hash, status, stored.data)
            elif isinstance(events := found.setdefault(stored.request_id, []), list):
                events.append(stored)
        return found

    async def stream_of(self, command_id: UUID) -> str | None:
        """The stream to which a command wrote; None if there is none. It finds the project of a grant or a booking,
        whose id is that of its command. The id of an occurrence is that of its series plus its number: so the command
        with the nearest id before it is taken."""
        lowest = UUID(int=max(0, command_id.int - OCCURRENCES_MAX))
        stream: str | None = await self.connection.fetchval(STREAM_OF, command_id, lowest)
        return stream

    async def about(self, stream: str, ids: Sequence[UUID]) -> list[tuple[int, bytes]] | None:
        """The events of a stream about these bookings and grants, and the beginnings of series with these ids, each
        with its version, in order. None if the index of the history is too far behind to tell."""
        records = await self.connection.fetch(ABOUT, stream, [str(one) for one in ids], ids, BEHIND_MAX)
        return [tuple(record) for record in records[1:]] if records else None

    async def lock(self) -> None:
        """Blocks every other append until the transaction ends. So a decision in it cannot meet a conflict."""
        await self.connection.execute(LOCK)
