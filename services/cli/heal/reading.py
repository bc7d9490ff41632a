"""Asks the store and the stream for what `hourbook heal` compares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from services.cli.heal.checkpoints import Roots
from services.cli.heal.comparing import Compared, Comparer, Ends
from services.cli.heal.lost import End, Known, ids_of
from shared.audit.merkle import hash_leaves
from shared.jetstream import STREAM
from shared.postgres import Connection
from shared.stream_messages import MessageReader, read_leaves

Done = Callable[[int], None]
BATCH_MAX = 20_000

HEAD = "SELECT position FROM event_head"


async def read_ends(connection: Connection, context: JetStreamContext) -> Ends:
    """Where the store and the stream end. The stream is asked first: so an event that comes meanwhile is not lost."""
    try:
        last = (await context.stream_info(STREAM)).state.last_seq
    except NotFoundError:
        last = 0
    return Ends(int(await connection.fetchval(HEAD)), last)


async def compare(connection: Connection, reader: MessageReader, ends: Ends, done: Done) -> Compared:
    """Compares every position that both have. Raises EventsMissing, and the errors of both servers."""
    comparer = Comparer(ends)
    await compare_after(connection, reader, comparer, 0, ends.common, done)
    return comparer.compared()


async def compare_after(
    connection: Connection, reader: MessageReader, comparer: Comparer, after: int, end: int, done: Done
) -> None:
    async for messages in reader.between(after, end):
        comparer.take(await read_leaves(connection, after, after + len(messages)), messages)
        after += len(messages)
        done(after)
        await asyncio.sleep(0)  # for the progress bar, and for the connection to NATS


HASHES = """
SELECT string_agg(sha256('\\x00'::bytea || data), ''::bytea ORDER BY position)
FROM event WHERE position > $1 AND position <= $2
"""


async def extend_from_store(connection: Connection, roots: Roots, after: int, end: int, done: Done) -> None:
    """Adds the stored events after position `after` up to `end`."""
    for begin in range(after, end, BATCH_MAX):
        last = min(end, begin + BATCH_MAX)
        roots.extend(await connection.fetchval(HASHES, begin, last) or b"")
        done(last)


def extend_from_messages(roots: Roots, messages: Sequence[RawStreamMsg | None]) -> None:
    """Adds messages of the stream. One that is missing counts as an empty one: then no root is right."""
    roots.extend(hash_leaves((message.data or b"") if message else b"" for message in messages))


END = "SELECT position, command_id, ordinal FROM event ORDER BY position DESC LIMIT 1"


async def read_end(connection: Connection) -> End:
    record = await connection.fetchrow(END)
    return End(*record) if record is not None else End(0, None, 0)


VERSIONS = "SELECT stream, version FROM stream_head WHERE stream = ANY ($1)"
COMMANDS = "SELECT DISTINCT command_id FROM event WHERE command_id = ANY ($1)"
REQUESTS = "SELECT DISTINCT request_id FROM event WHERE request_id = ANY ($1)"


async def read_known(connection: Connection, messages: Sequence[RawStreamMsg | None]) -> Known:
    """What the store knows about the events that these messages are."""
    streams, commands, requests = ids_of(messages)
    versions = {record["stream"]: record["version"] for record in await connection.fetch(VERSIONS, streams)}
    return Known(versions, await _ids(connection, COMMANDS, commands), await _ids(connection, REQUESTS, requests))


async def _ids(connection: Connection, query: str, ids: Sequence[UUID]) -> frozenset[UUID]:
    return frozenset(record[0] for record in await connection.fetch(query, ids))
