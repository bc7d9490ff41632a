"""Answers that are stored already: of repeated requests, and of commands whose append had no known outcome."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from services.command.handler.errors import KeyReused
from services.command.handler.queue import Submitted, refuse, resolve
from services.command.handler.results import CommandResult
from shared.event_store import EventStore, Remembered, Stored


class Known(NamedTuple):
    """Which commands of a batch have their answer in the store. `answers` gives them, when it is called; `rest` are the
    other commands."""

    answers: list[Callable[[], None]]
    rest: list[Submitted]

    async def give(self, store: EventStore) -> None:
        """Gives the answers when a failover cannot lose them any more. Not in a transaction. Raises LOST."""
        if self.answers:
            await store.replicated()
        for answer in self.answers:
            answer()


async def find_known(store: EventStore, batch: list[Submitted], *, retried: bool) -> Known:
    """Looks which commands of the batch have their answer in the store.

    `retried`: an append of these commands may have been sent before, and its outcome was not seen.
    """
    keyed = [submitted.request_id for submitted in batch if submitted.request_id is not None]
    by_request = await store.by_requests(keyed) if keyed else {}
    by_command = await store.by_commands([one.context.command for one in batch]) if retried else {}
    known = Known([], [])
    for submitted in batch:
        if stored := by_command.get(submitted.context.command):
            known.answers.append(partial(resolve, submitted, result_of(submitted, stored)))
        elif submitted.request_id is not None and (first := by_request.get(submitted.request_id)):
            known.answers.append(partial(_answer_repeat, submitted, first))
        elif not submitted.answer.done():
            known.rest.append(submitted)
    return known


def _answer_repeat(submitted: Submitted, first: list[Stored] | Remembered) -> None:
    request_hash = first.request_hash if isinstance(first, Remembered) else first[0].request_hash
    if request_hash != submitted.request_hash:
        refuse(submitted, KeyReused())
    elif isinstance(first, Remembered):
        resolve(submitted, CommandResult("", 0, 0, [], repeated=True, first=first))
    else:
        resolve(submitted, result_of(submitted, first, repeated=True))


def result_of(submitted: Submitted, stored: list[Stored], *, repeated: bool = False) -> CommandResult:
    """The result of a command whose events are stored. All are of one command: its id names what it made."""
    last = stored[-1]
    decided = [event.data for event in stored]
    return CommandResult(submitted.entity_of(last.command_id), last.position, last.version, decided, repeated)
