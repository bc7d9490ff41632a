"""The queue of commands that wait for the writer. Quick ones leave it in batches, heavy ones one at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from services.command.domain import AmendSeries, AskLease, CancelSeries, Command, CreateSeries, SettleConflicts
from services.command.domain.commands import Context
from services.command.domain.ended import Ended
from services.command.handler.errors import QueueFull
from services.command.handler.results import CommandResult

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

# Each decides hundreds of events, which takes tens of milliseconds.
HEAVY = (CreateSeries, AmendSeries, CancelSeries, SettleConflicts, AskLease)

# The id in the answer: a text, or a function that makes it from the id of the command that was carried out.
Entity = str | Callable[[UUID], str]


class Waiting(msgspec.Struct):
    """The trace of a command in the queue: the span of its request, since when it waits, and when its turn came, in
    nanoseconds since 1970."""

    parent: SpanContext
    since_ns: int
    taken_ns: int = 0


class Submitted(msgspec.Struct):
    """A command that waits for its turn. `request_id` and `request_hash` are those of its idempotency key, if any.
    `waiting` is its trace, where traces are on. `term` is that of the store which answered it last. `ended` is what was
    looked up for it. `sent`: an append of it may have been sent, and its outcome was not seen."""

    project: str
    command: Command
    context: Context
    request_id: UUID | None
    request_hash: bytes
    answer: asyncio.Future[CommandResult]
    dry_run: bool = False
    entity: Entity = ""
    waiting: Waiting | None = None
    term: UUID | None = None
    ended: Ended | None = None
    sent: bool = False

    def entity_of(self, command_id: UUID) -> str:
        """The id that the answer names if the command with this id was the one carried out."""
        return self.entity if isinstance(self.entity, str) else self.entity(command_id)


class Queue:
    """`put` from any task; `next_batch` from one. `batch_max` bounds a batch, `waiting_max` how many may wait."""

    def __init__(self, *, batch_max: int, waiting_max: int) -> None:
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._quick: deque[Submitted] = deque()
        self._heavy: deque[Submitted] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._quick) + len(self._heavy)

    def put(self, submitted: Submitted) -> None:
        """Raises QueueFull."""
        if len(self) >= self._waiting_max:
            raise QueueFull(f"{self._waiting_max} commands are waiting; try again in a second")
        queue = self._heavy if isinstance(submitted.command, HEAVY) else self._quick
        queue.append(submitted)
        self._arrived.set()

    async def next_batch(self) -> list[Submitted]:
        """Waits until there is a command. Returns the quick ones in order, and after them one heavy command at most, so
        that a hundred heavy ones do not keep a booking waiting.

        Two commands with the same request id are never in one batch: the second waits for the answer of the first.
        """
        while not len(self):
            self._arrived.clear()
            await self._arrived.wait()
        batch: list[Submitted] = []
        seen: set[UUID] = set()
        for queue, most in ((self._quick, max(1, self._batch_max - 1)), (self._heavy, 1)):
            for _ in range(min(most, len(queue))):
                if (request_id := queue[0].request_id) is not None:
                    if request_id in seen:
                        break
                    seen.add(request_id)
                batch.append(queue.popleft())
        return batch


def resolve(submitted: Submitted, result: CommandResult) -> None:
    """Gives a command its result, unless whoever sent it has gone."""
    if not submitted.answer.done():
        submitted.answer.set_result(result)


def refuse(submitted: Submitted, refusal: Exception) -> None:
    """Refuses a command, unless whoever sent it has gone."""
    if not submitted.answer.done():
        submitted.answer.set_exception(refusal)


def refuse_all(batch: list[Submitted], refusal: Exception) -> None:
    for submitted in batch:
        refuse(submitted, refusal)
