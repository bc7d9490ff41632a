"""The events that the store has lost, read from the messages of the stream and checked. Pure: it asks no server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from nats.js.api import RawStreamMsg

from shared.event_store import Stored
from shared.events import TermBegan, decode_envelope, decode_event
from shared.events.upcasting import NewerSchema
from shared.jetstream import NotAnEvent, stored_of

PROBLEMS_MAX = 10


class End(NamedTuple):
    """The last event of the store: its position, its command and its place in the command."""

    position: int
    command_id: UUID | None
    ordinal: int


class Known(NamedTuple):
    """What the store knows about some events of the stream: the versions of their streams, and which of their commands
    and idempotency keys it has."""

    versions: Mapping[str, int]
    commands: frozenset[UUID]
    requests: frozenset[UUID]


class LostEvents:
    """Takes the messages after the end of the store, in batches, and makes events of them.

    problems     why they cannot be appended
    types, projects  how many events there are of each
    first_at, last_at  the instants of the first and the last event
    keyless      how many come from a version of Hourbook that did not say the idempotency key
    newest_term  the last TermBegan among them
    """

    def __init__(self, end: End) -> None:
        self.position = end.position
        self.problems: list[str] = []
        self.types: Counter[str] = Counter()
        self.projects: Counter[str] = Counter()
        self.first_at = self.last_at = ""
        self.keyless = self.commands = 0
        self.newest_term: TermBegan | None = None
        self._command, self._ordinal = end.command_id, end.ordinal
        self._versions: dict[str, int] = {}

    def take(self, messages: Sequence[RawStreamMsg | None], known: Known) -> list[Stored]:
        """The events of the next messages. What is wrong with one is in `problems`; it is left out."""
        found: list[Stored] = []
        for message in messages:
            self.position += 1
            if message is None:
                self._add_problem(f"message {self.position} is not in the stream any more")
                continue
            try:
                event = self._event(message, known)
            except (NotAnEvent, NewerSchema, msgspec.DecodeError) as error:
                self._add_problem(f"message {self.position} is no event: {error}")
                continue
            found.append(event)
        return found

    def _event(self, message: RawStreamMsg, known: Known) -> Stored:
        event = stored_of(message)
        following = event.command_id == self._command
        if "ce-ordinal" not in (message.headers or {}):
            event = stored_of(message, self._ordinal + 1 if following else 0)
            self.keyless += 1
        self._check(event, following, known)
        self.commands += not following
        self._command, self._ordinal = event.command_id, event.ordinal
        self._versions[event.stream] = event.version
        self._count(event)
        return event

    def _check(self, event: Stored, following: bool, known: Known) -> None:
        said, place = decode_envelope(event.data), f"message {event.position}"
        if (said.type, said.project) != (event.type, event.stream):
            self._add_problem(f"{place}: its headers say {event.type} of {event.stream}, its bytes do not")
        version = self._versions.get(event.stream, known.versions.get(event.stream, 0))
        if event.version != version + 1:
            self._add_problem(f"{place}: it is version {event.version} of {event.stream}, after version {version}")
        if event.command_id in known.commands and not following:
            self._add_problem(f"{place}: the store has its command {event.command_id} already")
        if event.request_id in known.requests and not following:
            self._add_problem(f"{place}: the store has its idempotency key already")
        if event.ordinal != (self._ordinal + 1 if following else 0):
            self._add_problem(f"{place}: it is number {event.ordinal} of the events of its command, after another one")

    def _count(self, event: Stored) -> None:
        decoded = decode_event(event.data)
        at = decode_envelope(event.data).at
        self.first_at, self.last_at = self.first_at or at, at
        self.types[event.type] += 1
        self.projects[event.stream] += 1
        if isinstance(decoded, TermBegan):
            self.newest_term = decoded

    def _add_problem(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


def ids_of(messages: Iterable[RawStreamMsg | None]) -> tuple[list[str], list[UUID], list[UUID]]:
    """The streams, commands and idempotency keys of messages, as far as they are events."""
    streams, commands, requests = set(), set(), set()
    for message in messages:
        if message is None:
            continue
        try:
            event = stored_of(message)
        except NotAnEvent:
            continue
        streams.add(event.stream)
        commands.add(event.command_id)
        if event.request_id is not None:
            requests.add(event.request_id)
    return list(streams), list(commands), list(requests)
