"""Finds out how the store and the stream differ, and what the signed checkpoints say about it. It changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from services.cli.heal.checkpoints import (
    Note,
    Roots,
    Side,
    Signed,
    kept_notes,
    opened,
    published_notes,
    side_of,
    stored_notes,
)
from services.cli.heal.comparing import SHOWN_MAX, Compared
from services.cli.heal.lost import LostEvents
from services.cli.heal.reading import compare, extend_from_messages, extend_from_store, read_end, read_ends, read_known
from shared.audit.merkle import Tree
from shared.audit.notes import verifier_of
from shared.audit.store import read_keys
from shared.event_store import EventStore, Stored
from shared.event_store.terms import Term, read_term
from shared.jetstream import NotAnEvent, stored_of
from shared.postgres import Connection
from shared.progress_bar import Tell
from shared.stream_messages import MessageReader


class Judged(NamedTuple):
    """A signed checkpoint, and whose events it was signed over."""

    signed: Signed
    side: Side


class Fork(msgspec.Struct, kw_only=True):
    """The events after the last position at which both are the same.

    `store` and `stream` are the first of each. `also_in_store`: how many events of the stream have a command that the
    store has too, at another position.
    """

    store: list[Stored]
    stream: list[Stored]
    also_in_store: int = 0


class Findings(msgspec.Struct, kw_only=True):
    """What was found. `lost` and `fork` are there in their cases. `unopened`: a line about each checkpoint that no
    trusted key has signed. `beginning`: the one event that the stream is ahead with begins a term just now."""

    compared: Compared
    term: Term
    judged: list[Judged] = []
    unopened: list[str] = []
    lost: LostEvents | None = None
    fork: Fork | None = None
    beginning: bool = False

    @property
    def contradicted(self) -> list[Signed]:
        """The checkpoints that were signed over another history."""
        return [one.signed for one in self.judged if one.side is Side.NEITHER]

    @property
    def covered(self) -> int:
        """How many events of the stream a checkpoint proves."""
        proven = [one.signed.size for one in self.judged if one.side in (Side.BOTH, Side.STREAM)]
        return max(proven, default=0)

    @property
    def ahead(self) -> list[Signed]:
        """The checkpoints over more events than there are."""
        return [one.signed for one in self.judged if one.side is Side.UNSEEN]


async def examine(
    connection: Connection, client: Client, kept: Sequence[Path], keys: Sequence[str], tell: Tell
) -> Findings:
    """Compares all positions and all checkpoints. Raises Failure, BadKey, EventsMissing, and the errors of both
    servers."""
    context, files = client.jetstream(), kept_notes(kept)
    async with MessageReader(client) as reader:
        ends, term = await read_ends(connection, context), await read_term(connection)
        compared = await compare(connection, reader, ends, lambda done: tell("compared", done, ends.common))
        trusted = [verifier_of(key) for key in keys or await read_keys(connection)]
        parted = compared.same if compared.forked else ends.store
        stored = await stored_notes(connection, parted) if compared.forked else []
        signed, unopened = opened(_once([*files, *await published_notes(context, parted), *stored]), trusted)
        found = Findings(compared=compared, term=term, unopened=unopened)
        await _Roots(connection, reader, found, tell).judge(signed)
        return found


def _once(notes: Sequence[Note]) -> list[Note]:
    """Each text once: with the first place where it was found."""
    return list({note.text: note for note in reversed(notes)}.values())


class _Roots:
    """Grows the trees of the store and of the stream, and looks at the events that only the stream has."""

    def __init__(self, connection: Connection, reader: MessageReader, found: Findings, tell: Tell) -> None:
        self._connection, self._reader, self._found, self._tell = connection, reader, found, tell

    async def judge(self, signed: Sequence[Signed]) -> None:
        ends = self._found.compared.ends
        parted = self._found.compared.same if self._found.compared.forked else ends.store
        store = Roots(Tree(), [one.size for one in signed])
        await self._extend(store, 0, parted)
        common, stream = dict(store.found), store.parted()
        await self._extend(store, parted, ends.store)
        if ends.stream > parted:
            await (self._fork(stream, parted) if self._found.compared.forked else self._lost(stream, parted))
        of_stream = {size: root for size, root in common.items() if size <= ends.stream} | stream.found
        self._found.judged = [Judged(one, side_of(one, store.found, of_stream)) for one in signed]

    async def _extend(self, roots: Roots, after: int, end: int) -> None:
        await extend_from_store(self._connection, roots, after, end, lambda done: self._tell("hashed", done, end))

    async def _lost(self, roots: Roots, after: int) -> None:
        end = self._found.compared.ends.stream
        lost = self._found.lost = LostEvents(await read_end(self._connection))
        first: Stored | None = None
        async for messages in self._reader.between(after, end):
            events = lost.take(messages, await read_known(self._connection, messages))
            first = first or (events[0] if events else None)
            extend_from_messages(roots, messages)
            self._tell("checked", lost.position, end)
        claim = self._found.term.claim
        self._found.beginning = end == after + 1 and first is not None and first.command_id == claim is not None

    async def _fork(self, roots: Roots, after: int) -> None:
        end = self._found.compared.ends.stream
        fork = self._found.fork = Fork(store=await EventStore(self._connection).after(after, SHOWN_MAX), stream=[])
        async for messages in self._reader.between(after, end):
            extend_from_messages(roots, messages)
            events = events_of(messages)
            fork.stream += events[: SHOWN_MAX - len(fork.stream)]
            known = (await read_known(self._connection, messages)).commands
            fork.also_in_store += sum(event.command_id in known for event in events)
            after += len(messages)
            self._tell("checked", after, end)


def events_of(messages: Sequence[RawStreamMsg | None]) -> list[Stored]:
    """The messages that are events."""
    found: list[Stored] = []
    for message in messages:
        try:
            if message is not None:
                found.append(stored_of(message))
        except NotAnEvent:
            continue
    return found
