"""How a question is answered: from the cache while nothing that it depends on has changed, or read in one go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec

from services.query.answers.admission import Admission
from services.query.answers.cache import Bodies, Body, Scope, Version
from services.query.answers.freshness import Freshness, Positions
from services.query.answers.long import Long
from services.query.database import Database
from shared.errors import UnknownId
from shared.hours import PERIOD_HOURS_MAX, Period


class Answer(NamedTuple):
    """What goes back, at the position it shows; a `body` of None says that the reader's own copy is still good."""

    position: int
    body: bytes | Long | None
    etag: str | None = None
    following: str | None = None


class Read(NamedTuple):
    """An answer as it was read, and the position that was shown then."""

    position: int
    body: Body


class Question(Hashable, Protocol):
    """A frozen struct: two that are equal have the same answer, as long as nothing in their scope changes."""

    @property
    def csv(self) -> bool:
        """Whether the answer is a table."""

    @property
    def scope(self) -> Scope:
        """What it depends on."""

    def unknown(self) -> UnknownId:
        """The error when the scope is not there."""


# Reads of no more hours than this are let in at once; a year and a bit is a megabyte of counts.
HOURS_FREE = 10_000
HOURS_AT_ONCE = 2 * PERIOD_HOURS_MAX
WIDE_WAITING_MAX = 32
WIDE_PATIENCE_S = 20.0


def wide_reads() -> Admission:
    """Who may read many hours: each holds a hundred bytes and more an hour while it is made."""
    return Admission(HOURS_AT_ONCE, WIDE_WAITING_MAX, WIDE_PATIENCE_S, "reads of many hours")


def period_of(question: Any) -> Period | None:
    """The hours that the question is about, if it is about hours."""
    question = getattr(question, "selection", question)
    if (period := getattr(question, "period", None)) is not None:
        return Period(*period)
    hour = getattr(question, "hour", None)
    return None if hour is None else Period(hour, hour + 1)


def hours_of(question: Any) -> int:
    """What a read weighs: nothing, or its hours when they are many."""
    period = period_of(question)
    return 0 if period is None else weight_of(period.hours)


def weight_of(hours: int) -> int:
    return hours if hours > HOURS_FREE else 0


Reading = Callable[[Database, Any], Awaitable[Read]]


class Answers:
    """`wide` lets in the reads of many hours."""

    def __init__(
        self, database: Database, freshness: Freshness, positions: Positions, bodies: Bodies, wide: Admission
    ) -> None:
        self._database, self._freshness, self.positions, self._bodies = database, freshness, positions, bodies
        self._wide = wide
        self._reading: dict[Question, asyncio.Task[Read]] = {}
        self._to_read: dict[Question, asyncio.Task[Read]] = {}

    async def answer(self, question: Question, read: Reading, etags: str | None, min_position: int) -> Answer:
        """`read` answers the question from the database, and `etags` is If-None-Match. Raises UnknownId, InvalidField,
        NotYetVisible, and asyncpg's errors."""
        return await visible(self.positions, min_position, lambda: self._answer(question, read, etags))

    async def _answer(self, question: Question, read: Reading, etags: str | None) -> Answer:
        body = self._bodies.get(question)
        if body is not None or etags is not None:
            position, version = await self._freshness.of(question.scope)
            if version is None:
                raise question.unknown()
            etag = etag_of(question, version)
            known = body is not None and body.version == version
            if etags is not None and matches(etags, etag) and (known or not is_any(etags)):
                return Answer(position, None, etag)
            if body is not None and known:
                return Answer(position, body.at(position), etag, body.following)
        position, body = await self._read_together(question, read)  # which finds out whether there is an answer at all
        etag = etag_of(question, body.version)
        if etags is not None and is_any(etags):
            return Answer(position, None, etag)
        return Answer(position, body.at(position), etag, body.following)

    async def _read_together(self, question: Question, read: Reading) -> Read:
        """One read at a time of one answer. Who comes while it is under way shares the next, which sees all that was
        there when they came."""
        task = self._to_read.get(question)
        if task is None:
            task = self._to_read[question] = asyncio.create_task(self._read_after(question, read))
        return await asyncio.shield(task)

    async def _read_after(self, question: Question, read: Reading) -> Read:
        while (before := self._reading.get(question)) is not None:
            await asyncio.wait([before])
        self._reading[question] = self._to_read.pop(question)
        try:
            async with self._wide.admitted(hours_of(question)):
                found = await read(self._database, question)
            self._bodies.put(question, found.body)
            return found
        finally:
            del self._reading[question]


def etag_of(question: Question, version: Version) -> str:
    """Weak, for the position that an answer shows moves on while all else in it stands still."""
    asked = type(question).__name__.encode() + msgspec.json.encode(question)
    return f'W/"{version.generation}-{version.touched}-{blake2b(asked, digest_size=8).hexdigest()}"'


def matches(etags: str, etag: str) -> bool:
    """Whether If-None-Match names the answer, compared weakly as RFC 9110 has it."""
    opaque = etag.removeprefix("W/")
    return is_any(etags) or any(given.strip().removeprefix("W/") == opaque for given in etags.split(","))


def is_any(etags: str) -> bool:
    """Whether If-None-Match names whatever there is, which says nothing of there being anything."""
    return etags.strip() == "*"


async def visible(positions: Positions, min_position: int, read: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `read` answers, once it shows at least `min_position`. Raises NotYetVisible."""
    deadline = asyncio.get_running_loop().time() + positions.timeout_s
    while True:
        await positions.reached(min_position)
        answer = await read()
        if answer.position >= min_position:
            return answer
        positions.seen = answer.position  # another generation went live, and is behind the one before
        if asyncio.get_running_loop().time() > deadline:
            raise positions.not_yet(min_position)


async def pieces_of(long: Long, bom: bytes) -> AsyncGenerator[bytes]:
    """The text of a long answer, a piece at a time, made beside the event loop."""
    yield bom + long.head
    for window in long.windows:
        yield await asyncio.to_thread(window.made)
    if long.tail:
        yield long.tail
