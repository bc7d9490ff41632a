"""Many messages of the event stream at once, and whether a message is the event that the store has."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from hashlib import sha256
from types import TracebackType
from typing import NamedTuple
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from shared.event_store import Stored
from shared.event_store.ranges import check_whole
from shared.jetstream import STREAM, cloud_event
from shared.postgres import Connection

BATCH_MAX = 1000
BATCH_BYTES_MAX = 8_000_000
ANSWER_S = 10.0  # for the next message of a batch
NOTHING_TRIES, NOTHING_DELAY_S = 5, 0.2  # a server of a cluster may be behind the others for a moment
STATUS, NO_RESPONDERS = "Status", "503"


def direct_get(stream: str) -> str:
    """The subject of a request for messages of a stream (Direct Get)."""
    return f"$JS.API.DIRECT.GET.{stream}"


class MessageReader:
    """Reads messages of the event stream over a connection, many with one request. Use it as a context."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._inbox = ""
        self._answers: asyncio.Queue[Msg] = asyncio.Queue()

    async def __aenter__(self) -> MessageReader:
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._answers.put)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client.is_connected:
            await self._subscription.unsubscribe()

    async def after(self, position: int, limit: int = BATCH_MAX) -> list[RawStreamMsg]:
        """The messages after `position` in their order, `limit` at most, and fewer if they are large. Those that are
        not in the stream any more are left out; it is empty if there is none. Raises NATS's errors, and TimeoutError:
        the server may refuse this user."""
        asked = {"seq": position + 1, "batch": min(limit, BATCH_MAX), "max_bytes": BATCH_BYTES_MAX}
        reply = f"{self._inbox}.{next(self._numbers)}"
        await self._client.publish(direct_get(STREAM), msgspec.json.encode(asked), reply=reply)
        found: list[RawStreamMsg] = []
        while True:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._answers.get()
            if answer.subject != reply:  # it belongs to a request that was given up
                continue
            headers = answer.headers or {}
            if headers.get(STATUS) == NO_RESPONDERS:
                return await self._one_by_one(position, limit)
            if STATUS in headers:
                return found
            found.append(
                RawStreamMsg(headers["Nats-Subject"], int(headers["Nats-Sequence"]), answer.data, headers=headers)
            )

    async def _one_by_one(self, position: int, limit: int) -> list[RawStreamMsg]:
        """As `after`, from a stream that was made without `allow_direct`."""
        context = self._client.jetstream()
        last = min((await context.stream_info(STREAM)).state.last_seq, position + limit)
        found: list[RawStreamMsg] = []
        while position < last and not found:
            for sequence in range(position + 1, min(position + BATCH_MAX, last) + 1):
                try:
                    found.append(await context.get_msg(STREAM, sequence))
                except NotFoundError:
                    continue
            position += BATCH_MAX
        return found

    async def between(self, after: int, end: int) -> AsyncIterator[list[RawStreamMsg | None]]:
        """The messages after position `after` up to `end`, in their order, in batches; None for one that is not in the
        stream any more. Raises as `after`."""
        tries = NOTHING_TRIES
        while after < end:
            found = await self.after(after, end - after)
            if not found and (tries := tries - 1) > 0:
                await asyncio.sleep(NOTHING_DELAY_S)
                continue
            found = found or await self._one_by_one(after, min(BATCH_MAX, end - after))  # the server that leads answers
            found = [one for one in found if (one.seq or 0) <= end]
            last = (found[-1].seq or 0) if found else min(end, after + BATCH_MAX)
            by_position = {one.seq: one for one in found}
            for begin in range(after, last, BATCH_MAX):
                yield [by_position.get(position) for position in range(begin + 1, min(last, begin + BATCH_MAX) + 1)]
            after = last


class Leaf(NamedTuple):
    """A stored event, with the hash of its bytes in place of them: its leaf in the Merkle tree."""

    position: int
    stream: str
    version: int
    command_id: UUID
    request_id: UUID | None
    request_hash: bytes
    type: str
    hash: bytes
    ordinal: int


LEAVES = """
SELECT position, stream, version, command_id, request_id, request_hash, type, sha256('\\x00'::bytea || data), ordinal
FROM event WHERE position > $1 AND position <= $2 ORDER BY position
"""


async def read_leaves(connection: Connection, after: int, end: int) -> list[Leaf]:
    """The stored events after position `after` up to `end`. Raises EventsMissing."""
    leaves = [Leaf(*record) for record in await connection.fetch(LEAVES, after, end)]
    check_whole(len(leaves), after, end)
    return leaves


# What every version of Hourbook put into a message's headers, and what later versions put there too.
ALWAYS = ("ce-id", "ce-type", "ce-subject", "ce-streamversion")
LATER = ("ce-ordinal", "ce-requesthash", "ce-requestid")


def difference(leaf: Leaf, message: RawStreamMsg) -> str | None:
    """How a message differs from the stored event of its position; None if they are the same, byte for byte."""
    if sha256(b"\x00" + (message.data or b"")).digest() != leaf.hash:
        return "its bytes are others"
    subject, headers = cloud_event(Stored(*leaf))
    if message.subject != subject:
        return f"its subject is {message.subject} and should be {subject}"
    found = message.headers or {}
    names = (*ALWAYS, *LATER) if LATER[0] in found else ALWAYS
    wrong = [name for name in names if found.get(name) != headers.get(name)]
    return f"its headers {', '.join(wrong)} are others" if wrong else None
