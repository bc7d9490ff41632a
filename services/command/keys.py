"""Idempotency keys: whoever sends a key again gets the first answer again.

The answer to a command that made events is read from the events, for ever (`handler/known.py`). All other first answers
are kept in a table for some days. The command handler keeps its own with the append of the batch. For requests that the
handler does not decide, such as webhooks, this module keeps them in the transaction that does the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

import msgspec

from services.command.connections import Connections
from services.command.domain.access import may_keep
from services.command.handler.errors import KeyReused
from shared import postgres
from shared.clock import ClockWatch
from shared.errors import HourbookError
from shared.event_store import EventStore, Kept, Remembered
from shared.http.problem_document import MEDIA_TYPE
from shared.http.problems import problem_body
from shared.http.responses import JSON, EncodedResponse
from shared.postgres import LOST_OR_REFUSED, Connection
from shared.tasks import keep_running

log = logging.getLogger(__name__)

FORGET_EVERY_S = 60.0
# The header of a repeated answer. It tells a client that a refusal is not of now, but maybe of last week.
REPEATED = {"Idempotent-Replayed": "true"}

FORGET = """
DELETE FROM remembered_answer WHERE kept_at <= greatest(
    now() - $1 * interval '1 day', (SELECT kept_at FROM remembered_answer ORDER BY kept_at DESC OFFSET $2 LIMIT 1)
)
"""


class Key(NamedTuple):
    """The idempotency key of an actor, and the hash of the request that it came with."""

    id: UUID
    request_hash: bytes


class Beaten(Exception):
    """Another request with the same key was faster. Its answer counts."""


def whole(answer: EncodedResponse[Any]) -> bytes:
    """The text of an answer."""
    return bytes(answer.content)


def without(field: str) -> Callable[[EncodedResponse[Any]], bytes]:
    """For `kept`: the text of an answer with null in place of this field, which is a secret."""
    return lambda answer: msgspec.json.encode(msgspec.json.decode(answer.content) | {field: None})


class Keys:
    """`once` and `refuse` from any number of tasks. `run` once: it forgets answers that are older than `kept_days`, and
    the oldest ones if there are more than `kept_max`."""

    def __init__(self, database_url: str, *, kept_days: int, kept_max: int, clock: ClockWatch | None = None) -> None:
        self._database_url = database_url
        self._kept_days = kept_days
        self._kept_max = kept_max
        self._clock = clock
        self._connections = Connections(database_url)

    async def once(
        self,
        key: Key | None,
        work: Callable[[Connection], Awaitable[EncodedResponse[Any]]],
        kept: Callable[[EncodedResponse[Any]], bytes] = whole,
        *,
        unbounded: bool = False,
    ) -> EncodedResponse[Any]:
        """Does `work` and keeps its answer or refusal, in one transaction. If the key is known, returns the first
        answer instead. `kept` is the text of the answer to a repeat, for an answer with a secret: that is not kept.
        `unbounded`: no role bounds the principal, so that unknown ids may be kept (`may_keep`).

        Raises the refusal; KeyReused; StoreUnavailable, and then nobody knows whether it was done: send the key again.
        """
        async with self._connections.one() as connection:
            if key is None:
                return await _without_key(connection, work)
            return await _with_key(connection, key, work, kept, unbounded=unbounded)

    async def refuse(self, key: Key | None, refusal: HourbookError, *, unbounded: bool = False) -> EncodedResponse[Any]:
        """Keeps the refusal as the first answer to the key, if it may be kept, and raises it. Returns the first answer
        of a known key."""
        if key is None:
            raise refusal

        async def refused(_: Connection) -> NoReturn:
            raise refusal

        return await self.once(key, refused, unbounded=unbounded)

    async def run(self) -> None:
        """Forgets old answers, until it is cancelled."""
        await keep_running(log, "keys", self._serve, LOST_OR_REFUSED, FORGET_EVERY_S)

    async def _serve(self) -> None:
        while True:
            if self._clock is None or self._clock.doubtful is None:
                await self.forget()
            await asyncio.sleep(FORGET_EVERY_S)

    async def forget(self) -> None:
        connection = await postgres.connect(self._database_url)
        try:
            await connection.execute(FORGET, self._kept_days, self._kept_max)
        finally:
            connection.terminate()


def kept_response(first: Remembered) -> EncodedResponse[Any]:
    """The kept answer. A 201 becomes a 200, as in every repeat."""
    kind = MEDIA_TYPE if first.status >= 400 else JSON
    status = 200 if first.status == 201 else first.status
    return EncodedResponse(first.body, status_code=status, media_type=kind, headers=REPEATED)


async def _without_key(
    connection: Connection, work: Callable[[Connection], Awaitable[EncodedResponse[Any]]]
) -> EncodedResponse[Any]:
    async with connection.transaction():
        return await work(connection)


async def _with_key(
    connection: Connection,
    key: Key,
    work: Callable[[Connection], Awaitable[EncodedResponse[Any]]],
    kept_of: Callable[[EncodedResponse[Any]], bytes],
    *,
    unbounded: bool,
) -> EncodedResponse[Any]:
    """Does `work` and keeps its answer, or returns the first answer to the key. If another request with the key keeps
    its answer meanwhile, `work` is rolled back."""
    store, refusal = EventStore(connection), None
    if (first := await _known(store, key)) is not None:
        return kept_response(first)
    try:
        async with connection.transaction():
            try:
                answer = await work(connection)
                kept = Kept(key.id, key.request_hash, answer.status_code or 200, kept_of(answer))
            except HourbookError as refused:
                if not may_keep(refused, unbounded=unbounded):
                    raise
                refusal = refused
                kept = Kept(key.id, key.request_hash, refused.status, problem_body(refused))
            if (await store.append({}, [], [kept])).outcome != "stored":
                raise Beaten
    except Beaten:
        first = await _known(store, key)
        assert first is not None
        return kept_response(first)
    if refusal is not None:
        raise refusal
    return answer


async def _known(store: EventStore, key: Key) -> Remembered | None:
    """The first answer to the key, if there was one. Raises KeyReused if it was to another request."""
    first = (await store.by_requests([key.id])).get(key.id)
    if first is None:
        return None
    if isinstance(first, list) or first.request_hash != key.request_hash:
        raise KeyReused
    await store.replicated()
    return first
