"""Appending and reading events. Every SQL statement stands above the one function that runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from shared.locks import Lock
from shared.postgres import Connection

POSITION_MAX = 2**63 - 1  # what PostgreSQL's bigint holds


class Pending(msgspec.Struct, frozen=True, gc=False):
    """An event that waits to be appended; `ordinal` is its place among the events of its command."""

    stream: str
    version: int
    command_id: UUID
    ordinal: int
    request_hash: bytes
    type: str
    data: bytes
    request_id: UUID | None = None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An event as the store holds it."""

    position: int
    stream: str
    version: int
    command_id: UUID
    request_id: UUID | None
    request_hash: bytes
    type: str
    data: bytes


class Kept(msgspec.Struct, frozen=True, gc=False):
    """The first answer to an idempotency key whose request makes no event.

    With a `tail`, the position stands between `body` and it: of the event that `after` events of the same append lead
    to, counted from the head.
    """

    request_id: UUID
    request_hash: bytes
    status: int
    body: bytes
    tail: bytes | None = None
    after: int = 0


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """The first answer to an idempotency key, as it was kept."""

    request_hash: bytes
    status: int
    body: bytes


class Appended(msgspec.Struct, frozen=True):
    """`stored` with the position of the first event; `duplicate` and `conflict` changed nothing."""

    outcome: Literal["stored", "duplicate", "conflict"]
    first_position: int


class PositionGap(Exception):
    """A reader met a position that is not the one after the last. This cannot happen while the store is whole."""


APPEND = "SELECT outcome, first_position FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
APPEND_AND_KEEP = """
SELECT outcome, first_position
FROM append_and_keep($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
HEAD = "SELECT position FROM event_head"
COLUMNS_AFTER = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data
FROM event WHERE position > $1 ORDER BY position LIMIT $2
"""
DATA_AFTER = """
SELECT max(position), array_agg(data ORDER BY position) FROM event WHERE position > $1 AND position <= $2
"""
STREAM_AFTER = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data
FROM event WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3
"""
BY_REQUESTS = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data, NULL AS status
FROM event WHERE request_id = ANY ($1)
UNION ALL
SELECT NULL, NULL, NULL, NULL, request_id, request_hash, NULL, body, status
FROM remembered_answer WHERE request_id = ANY ($1)
ORDER BY position
"""
STREAM_OF = """
SELECT stream FROM event WHERE command_id <= $1 AND command_id >= $2 ORDER BY command_id DESC, ordinal DESC LIMIT 1
"""
OCCURRENCES_MAX = 500
LOCK = f"SELECT pg_advisory_xact_lock({Lock.APPEND:d})"
BY_COMMANDS = """
SELECT position, stream, version, command_id, request_id, request_hash, type, data
FROM event WHERE command_id = ANY ($1) ORDER BY position
"""


class EventStore:
    """The store over one connection. Errors are asyncpg's; a lost connection leaves an append's outcome unknown."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def append(
        self, expected: dict[str, int], events: Sequence[Pending], kept: Sequence[Kept] = (), head: int = 0
    ) -> Appended:
        """Appends all of `events` and keeps all of `kept`, or nothing. `expected` is the version that each stream,
        named or written, must be at; `head` the position that what is kept counts from where there are no events."""
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
        return Appended(*record)

    async def head(self) -> int:
        """The last position; 0 when there is none."""
        return int(await self.connection.fetchval(HEAD))

    async def after(self, position: int, limit: int) -> list[Stored]:
        """The events after `position`, in order, `limit` at most. Raises PositionGap, which no healthy store does."""
        events = [Stored(*record) for record in await self.connection.fetch(COLUMNS_AFTER, position, limit)]
        for expected, event in enumerate(events, position + 1):
            if event.position != expected:
                raise PositionGap(f"expected position {expected}, met {event.position}")
        return events

    async def data_after(self, position: int, limit: int) -> list[bytes]:
        """As `after`, what is stored of each event alone: several times as fast."""
        last, datas = await self.connection.fetchrow(DATA_AFTER, position, position + limit) or (None, None)
        if not datas:
            return []
        if last != position + len(datas):
            raise PositionGap(f"{len(datas)} events after position {position}, the last of them at {last}")
        return list(datas)

    async def stream_after(self, stream: str, version: int, batch: int = 5000) -> AsyncIterator[Stored]:
        """One stream's events after `version`, in order."""
        while True:
            records = await self.connection.fetch(STREAM_AFTER, stream, version, batch)
            for record in records:
                yield Stored(*record)
            if len(records) < batch:
                return
            version = records[-1]["version"]

    async def by_commands(self, command_ids: Sequence[UUID]) -> dict[UUID, list[Stored]]:
        """The events that these commands made, by command, in order; commands that made none are left out."""
        found: dict[UUID, list[Stored]] = {}
        for record in await self.connection.fetch(BY_COMMANDS, command_ids):
            found.setdefault(record["command_id"], []).append(Stored(*record))
        return found

    async def by_requests(self, request_ids: Sequence[UUID]) -> dict[UUID, list[Stored] | Remembered]:
        """What became of these idempotency keys, by request id: the events made for it, in order, or the answer that is
        remembered; unknown ones are left out."""
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
        """The stream that a command wrote to. A grant's and a booking's id is its command's: this finds its project.

        An occurrence's id is its series' and its number; so the command may be a few ids before it.
        """
        lowest = UUID(int=max(0, command_id.int - OCCURRENCES_MAX))
        stream: str | None = await self.connection.fetchval(STREAM_OF, command_id, lowest)
        return stream

    async def lock(self) -> None:
        """Holds back every other append until the transaction ends; for a decision that must not meet a conflict."""
        await self.connection.execute(LOCK)
