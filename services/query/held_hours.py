"""Hours of pools that were read before, so that the next read takes only the rows that have changed since.

A read notes the oldest transaction that was not over when it began (the horizon). A row that an older transaction wrote
was seen by that read. So a later read on the same server needs only the rows of the horizon and of younger
transactions: rows of hours are written, and never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cachetools import LRUCache

from services.query.rollup import Cells
from shared.hours import Period

HELD_BYTES = 300  # memory of an entry beside its cells
HELD_MAX_S = 3600.0  # the age of a row is compared modulo 2^32 transactions; these are never so many

Columns = tuple[tuple[str, str], ...]  # (value, dimension), or ("shares", "")


class Asked(NamedTuple):
    """Hours that are held: those of a pool, by its id, in a period; and which columns of them."""

    pool: str
    period: Period
    columns: Columns


class Seen(NamedTuple):
    """What a read has seen: the generation, the term, and the start of the server and of its statistics (which begin
    anew after a crash), which say whose rows they are; the number of the pool, the position that last touched it; and
    the horizon, a transaction id."""

    generation: int
    term: UUID | None
    started: Sequence[datetime] | None
    pool: int
    touched: int
    horizon: str


NOTHING_SEEN = Seen(0, None, None, 0, 0, "0")


class Held(NamedTuple):
    """What a read has seen, and the cells that it has found, shape (columns, hours). Change nothing in the cells."""

    seen: Seen
    cells: Cells


class HeldHours:
    """The hours that were read last, at most `bytes_max` together, none for more than an hour. It does not keep hours
    that are larger than an eighth of that. `clock` gives seconds."""

    def __init__(self, bytes_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entry_max, self._clock = bytes_max // 8, clock
        self._entries: LRUCache[Asked, tuple[float, Held]] = LRUCache(bytes_max, getsizeof=_size)

    def get(self, asked: Asked) -> Held | None:
        try:
            kept_at, held = self._entries[asked]
        except KeyError:
            return None
        return held if self._clock() - kept_at < HELD_MAX_S else None

    def put(self, asked: Asked, held: Held) -> None:
        kept = self._clock(), held
        self._entries.pop(asked, None)
        if _size(kept) <= self._entry_max:
            self._entries[asked] = kept

    def forget(self) -> None:
        self._entries.clear()


def _size(kept: tuple[float, Held]) -> int:
    """Bytes of memory, about."""
    return kept[1].cells.nbytes + HELD_BYTES
