"""Answers to questions: from the cache while the scope of the question has not changed, else from a view."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

from services.query.answers.admission import Admission
from services.query.answers.cache import AnswerCache, CacheEntry, Scope, Version
from services.query.answers.freshness import Fresh, Freshness, Looked, Positions
from services.query.answers.long import Long
from services.query.database import Database
from shared import tracing
from shared.errors import UnknownId
from shared.hours import PERIOD_HOURS_MAX, Period


class Reply(NamedTuple):
    """An answer to a client, at the `position` that it shows. A `body` of None means that the client's own copy is
    still good. `following` is the cursor of the next page."""

    position: int
    body: bytes | Long | None
    etag: str | None = None
    following: str | None = None


class ViewResult(NamedTuple):
    """What a view has read: the position that it shows, and the encoded answer."""

    position: int
    entry: CacheEntry


class Question(Hashable, Protocol):
    """A frozen struct. Two equal questions have the same answer while nothing in their scope changes."""

    @property
    def csv(self) -> bool:
        """Whether the answer is a table."""

    @property
    def scope(self) -> Scope:
        """What the answer depends on."""

    @property
    def hours(self) -> Period | None:
        """The hours that a read of the answer covers; None when it reads no hours."""

    def unknown(self) -> UnknownId:
        """The error when there is no such scope."""


class OfManyPools:
    """A base of the questions that read the hours of many pools."""

    __slots__ = ()


class OfManyItems:
    """A base of the questions that read a page of many items: `limit` at most. An item counts as an hour."""

    __slots__ = ()
    limit: int


POOLS_OF_A_TREE = 10  # as which a read of the hours of many pools counts
# A read of at most this many hours never waits. That is a little more than a year, and a megabyte of counts.
HOURS_FREE = 10_000
HOURS_AT_ONCE = 2 * PERIOD_HOURS_MAX
WIDE_WAITING_MAX = 32
WIDE_PATIENCE_S = 20.0


def wide_reads() -> Admission:
    """Admits reads of many hours. While an answer is made, each of its hours takes a hundred bytes or more."""
    return Admission(HOURS_AT_ONCE, WIDE_WAITING_MAX, WIDE_PATIENCE_S, "reads of many hours")


def read_weight(question: Question) -> int:
    """What a read of the answer weighs in an Admission: 0, or its hours or items when they are many."""
    if isinstance(question, OfManyItems):
        return weight_of(question.limit)
    hours = question.hours
    pools = POOLS_OF_A_TREE if isinstance(question, OfManyPools) else 1
    return 0 if hours is None else weight_of(hours.hours * pools)


def weight_of(hours: int) -> int:
    """What a read of that many hours weighs in an Admission."""
    return hours if hours > HOURS_FREE else 0


# Reads the answer to a question from a database: `await view(database, question)`.
View = Callable[[Database, Any], Awaitable[ViewResult]]


class Glance(ABC):
    """Reads, in one statement, the version of a question's pool and what the answer is made of. `term` is the term of
    the store in which it was read."""

    term: UUID | None = None

    @abstractmethod
    async def __call__(self, database: Database) -> Looked:
        """Reads it. As Freshness calls it."""

    @abstractmethod
    async def made(self) -> ViewResult | None:
        """The answer; None if nothing was read, or if there is no such pool."""


class GlancingView(ABC):
    """A view that can glance at a pool whose answer may have changed."""

    @abstractmethod
    async def __call__(self, database: Database, question: Any) -> ViewResult:
        """As every view."""

    @abstractmethod
    def glance(self, database: Database, question: Any) -> Glance | None:
        """A glance for the question. None where it would read much although the answer has not changed."""


class Answers:
    """The cache of answers in front of the database. `wide` admits reads of many hours."""

    def __init__(
        self, database: Database, freshness: Freshness, positions: Positions, cache: AnswerCache, wide: Admission
    ) -> None:
        self._database, self._freshness, self._positions, self._cache = database, freshness, positions, cache
        self._wide = wide
        self._reading: dict[Question, asyncio.Task[ViewResult]] = {}
        self._to_read: dict[Question, asyncio.Task[ViewResult]] = {}

    async def answer(
        self, question: Question, view: View, etags: str | None, min_position: int, fresh: Fresh | None = None
    ) -> Reply:
        """`view` reads the answer from the database, `etags` is If-None-Match. `fresh` is the version of the question's
        scope, if this request has read it already. Raises UnknownId, InvalidField, NotYetVisible, and asyncpg's
        errors."""
        if fresh is not None and fresh.position < min_position:
            fresh = None
        return await visible(self._positions, min_position, lambda: self._answer(question, view, etags, fresh))

    async def _answer(self, question: Question, view: View, etags: str | None, fresh: Fresh | None) -> Reply:
        entry, term = self._cache.get(question), self._freshness.term
        glance = None if fresh is not None or entry is None else self._glance(question, view)
        if entry is not None or etags is not None or term is None:  # the tag of an answer says the term
            position, version = fresh or await self._freshness.of(question.scope, glance)
            if version is None:
                raise question.unknown()
            if term != self._freshness.term:
                entry = None
            current = entry is not None and entry.version == version
            etag = etag_of(question, version, self._freshness.term) if current or etags is not None else ""
            if etags is not None and matches(etags, etag) and (current or not is_any(etags)):
                return Reply(position, None, etag)
            if entry is not None and current:
                tracing.note("hourbook.answer", "cache")
                return Reply(position, entry.at(position), etag, entry.following)
        position, entry = await self._read(question, view, glance)  # raises when there is no such scope
        etag = etag_of(question, entry.version, self._freshness.term)
        if etags is not None and is_any(etags):
            return Reply(position, None, etag)
        return Reply(position, entry.at(position), etag, entry.following)

    def _glance(self, question: Question, view: View) -> Glance | None:
        if isinstance(view, GlancingView) and not read_weight(question):
            return view.glance(self._database, question)
        return None

    async def _read(self, question: Question, view: View, glance: Glance | None) -> ViewResult:
        found = None if glance is None else await glance.made()
        if glance is None or found is None or glance.term != self._freshness.term:  # what was read may be lost
            return await self._read_together(question, view)
        self._cache.put(question, found.entry)
        return found

    async def _read_together(self, question: Question, view: View) -> ViewResult:
        """Reads an answer at most once at a time. Requests that come during a read share the next one, which sees the
        state at the time when they came."""
        task = self._to_read.get(question)
        if task is None:
            task = self._to_read[question] = asyncio.create_task(self._read_after(question, view))
        return await asyncio.shield(task)

    async def _read_after(self, question: Question, view: View) -> ViewResult:
        while (before := self._reading.get(question)) is not None:
            await asyncio.wait([before])
        self._reading[question] = self._to_read.pop(question)
        try:
            found = await self._read_once(question, view)
            self._cache.put(question, found.entry)
            return found
        finally:
            del self._reading[question]

    async def _read_once(self, question: Question, view: View) -> ViewResult:
        """Reads it again if another term was seen meanwhile: what was read may be lost."""
        while True:
            term = self._freshness.term
            with tracing.span(f"view {type(question).__name__}"):
                async with self._wide.admitted(read_weight(question)):
                    found = await view(self._database, question)
            if term in (None, self._freshness.term):
                return found


def etag_of(question: Question, version: Version, term: UUID | None) -> str:
    """A weak ETag: the position in an answer moves on while the rest of it stays the same. In another term the same
    version may be of other events."""
    asked = type(question).__name__.encode() + msgspec.json.encode(question)
    salt = b"" if term is None else term.bytes[-8:]
    return f'W/"{version.generation}-{version.touched}-{blake2b(asked, digest_size=8, salt=salt).hexdigest()}"'


def matches(etags: str, etag: str) -> bool:
    """Whether If-None-Match names the answer, compared weakly as RFC 9110 has it."""
    opaque = etag.removeprefix("W/")
    return is_any(etags) or any(given.strip().removeprefix("W/") == opaque for given in etags.split(","))


def is_any(etags: str) -> bool:
    """Whether If-None-Match is `*`. It matches any existing answer; it does not prove that there is one."""
    return etags.strip() == "*"


async def visible(positions: Positions, min_position: int, read: Callable[[], Awaitable[Reply]]) -> Reply:
    """The first answer of `read` that shows at least `min_position`. Raises NotYetVisible."""
    deadline = asyncio.get_running_loop().time() + positions.timeout_s
    while True:
        await positions.reached(min_position)
        answer = await read()
        if answer.position >= min_position:
            return answer
        positions.seen = (
            answer.position
        )  # a new generation is live, and has not yet reached the position of the old one
        if asyncio.get_running_loop().time() > deadline:
            raise positions.not_yet(min_position)


async def pieces_of(long: Long, bom: bytes) -> AsyncGenerator[bytes]:
    """The text of a long answer in pieces. A thread makes each piece when it is about to be sent."""
    yield bom + long.head
    for window in long.windows:
        yield await asyncio.to_thread(window.made)
    if long.tail:
        yield long.tail
