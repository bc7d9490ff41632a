"""The cache of encoded answers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, NamedTuple

from cachetools import LRUCache

from services.query.answers.long import Long, Window, size_of

ENTRY_BYTES = 500  # memory of an entry beside its bytes
COPIED_MAX = 64 * 1024  # a longer tail is not copied: all clients get the same bytes


class Scope(NamedTuple):
    """The pools that an answer depends on: one `pool`, a project with its whole `tree`, or `all` pools."""

    kind: Literal["pool", "tree", "all"]
    id: str = ""


class Version(NamedTuple):
    """The version of a scope. While it is the same, so are all answers that depend on the scope alone."""

    generation: int
    touched: int


class CacheEntry(NamedTuple):
    """An encoded answer without the position that it shows, which goes between `head` and `tail`. A `tail` of None
    means that the answer shows no position.

    `following` is the cursor of the next page, if there is one. A long answer has `windows`, which go before the tail.
    """

    version: Version
    head: bytes
    tail: bytes | None = None
    following: str | None = None
    windows: tuple[Window, ...] = ()

    def at(self, position: int) -> bytes | Long:
        """The whole answer, at a position."""
        tail = self.tail or b""
        if self.windows or len(tail) > COPIED_MAX:
            return Long(self.head if self.tail is None else b"%b%d" % (self.head, position), self.windows, tail)
        return self.head if self.tail is None else b"%b%d%b" % (self.head, position, tail)


class AnswerCache:
    """The answers that were used last, at most `bytes_max` together. It does not keep an answer that is larger than an
    eighth of that."""

    def __init__(self, bytes_max: int) -> None:
        self._entry_max = bytes_max // 8
        self._entries: LRUCache[Hashable, CacheEntry] = LRUCache(bytes_max, getsizeof=size)

    def get(self, key: Hashable) -> CacheEntry | None:
        try:
            return self._entries[key]  # `get` of cachetools looks the key up once more
        except KeyError:
            return None

    def forget(self) -> None:
        self._entries.clear()

    def put(self, key: Hashable, entry: CacheEntry) -> None:
        """Keeps the newest version of an answer in place of an older one."""
        self._entries.pop(key, None)
        if size(entry) <= self._entry_max:
            self._entries[key] = entry


def size(entry: CacheEntry) -> int:
    """Bytes of memory, about."""
    return len(entry.head) + len(entry.tail or b"") + size_of(entry.windows) + ENTRY_BYTES
