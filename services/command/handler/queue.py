"""What waits for the writer, what becomes of it, and how whoever waits is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.command.domain import Command
from services.command.domain.commands import Context
from shared.errors import HourbookError
from shared.event_store import Kept, Pending, Remembered, Stored
from shared.hours import Period
from shared.http.problems import problem_body


class QueueFull(HourbookError):
    """More commands wait than the service lets wait. Try again in a second."""

    code = "queue_full"
    status = 503
    title = "Too many commands are waiting"


class StoreUnavailable(HourbookError):
    """The event store could not be reached in time. What became of the command is not known; send it again with the
    same Idempotency-Key, and it is carried out once."""

    code = "store_unavailable"
    status = 503
    title = "The event store cannot be reached"


class KeyReused(HourbookError):
    """An Idempotency-Key was sent before with another request, whatever that was answered. Take a new key."""

    code = "idempotency_key_reused"
    status = 409
    title = "The Idempotency-Key belongs to another request"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key: it was sent before with another request; take a new key for this one")


class Answer(msgspec.Struct, frozen=True):
    """What became of a command: the events it made, or those that it made when it was first sent (`repeated`). Where it
    made none then, `first` is the answer that was kept.

    Of a dry run, the events it would make; or why it would be refused, and the nearest period in which it would not.
    """

    position: int
    version: int
    decided: Sequence[bytes]
    repeated: bool = False
    refusal: HourbookError | None = None
    nearest: Period | None = None
    first: Remembered | None = None


class Submitted(msgspec.Struct):
    """A command that waits for its turn; `entity` is the id that its answer names."""

    project: str
    command: Command
    context: Context
    request_id: UUID | None
    request_hash: bytes
    answer: asyncio.Future[Answer]
    dry_run: bool = False
    entity: str = ""


class Decided(msgspec.Struct):
    """A command, and the events that it makes of the state it met; or the refusal."""

    submitted: Submitted
    events: list[Pending]
    version: int
    refusal: HourbookError | None = None
    preview: Answer | None = None


def halves(entity: str, version: int, decided: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The body of what a command answers, before its position and after it, which is known last."""
    tail = b',"version":%d,"decided":[%b]' % (version, b",".join(decided))
    return b'{"id":%b,"position":' % msgspec.json.encode(entity), tail


def kept_of(decided: list[Decided]) -> list[Kept]:
    """The first answers that no event will tell: of commands with a key that are refused, or change nothing."""
    kept, after = [], 0
    for one in decided:
        after += len(one.events)
        key, request_hash = one.submitted.request_id, one.submitted.request_hash
        if key is None or one.events or one.preview is not None:
            continue
        if one.refusal is not None:
            kept.append(Kept(key, request_hash, one.refusal.status, problem_body(one.refusal)))
        else:
            head, tail = halves(one.submitted.entity, one.version, ())
            kept.append(Kept(key, request_hash, 200, head, tail + b"}", after))
    return kept


def answer_of(stored: list[Stored], *, repeated: bool = False) -> Answer:
    return Answer(stored[-1].position, stored[-1].version, [event.data for event in stored], repeated)


def resolve(submitted: Submitted, answer: Answer) -> None:
    if not submitted.answer.done():
        submitted.answer.set_result(answer)


def refuse(submitted: Submitted, refusal: Exception) -> None:
    if not submitted.answer.done():
        submitted.answer.set_exception(refusal)


def fail(batch: list[Submitted], error: Exception) -> None:
    for submitted in batch:
        refuse(submitted, error)
