"""Encoded answers, kept while nothing about their pool changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Literal, NamedTuple

from services.query.answers.long import Long, Window, size_of

ENTRY_BYTES = 500  # what an entry costs beside its body
COPIED_MAX = 64 * 1024  # the rest of a larger one is the same bytes for all who read it


class Scope(NamedTuple):
    """What an answer depends on: a `pool`, a project with its whole `tree`, or `all` that there is."""

    kind: Literal["pool", "tree", "all"]
    id: str = ""


class Version(NamedTuple):
    """While these two stand still, so do all answers that depend on no more than a scope."""

    generation: int
    touched: int


class Body(NamedTuple):
    """An encoded answer but for the position that it shows, which goes between `head` and `tail`, if it has a tail.

    `following` is the cursor of the next page, if there is one. A long answer has `windows`, which go before the tail.
    """

    version: Version
    head: bytes
    tail: bytes | None = None
    following: str | None = None
    windows: tuple[Window, ...] = ()

    def at(self, position: int) -> bytes | Long:
        tail = self.tail or b""
        if self.windows or len(tail) > COPIED_MAX:
            return Long(self.head if self.tail is None else b"%b%d" % (self.head, position), self.windows, tail)
        return self.head if self.tail is None else b"%b%d%b" % (self.head, position, tail)


class Bodies:
    """The bodies used last, `bytes_max` in all; one that is more than an eighth of that is not kept."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = 0
        self._bodies: OrderedDict[Hashable, Body] = OrderedDict()

    def get(self, key: Hashable) -> Body | None:
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def put(self, key: Hashable, body: Body) -> None:
        """Keeps the newest version of an answer in place of an older one."""
        if (replaced := self._bodies.pop(key, None)) is not None:
            self._held -= _cost(replaced)
        if _cost(body) > self._bytes_max // 8:
            return
        self._bodies[key] = body
        self._held += _cost(body)
        while self._held > self._bytes_max:
            self._held -= _cost(self._bodies.popitem(last=False)[1])


def _cost(body: Body) -> int:
    return len(body.head) + len(body.tail or b"") + size_of(body.windows) + ENTRY_BYTES
