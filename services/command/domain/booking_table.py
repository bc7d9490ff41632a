"""The bookings of a project as a mapping: blocks of columns, and what changed since.

A block never changes. What is new or changed stands in a dict above the blocks, until `pruning.py` makes a block of it.
So copies share the blocks, and a snapshot saves each block once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import NamedTuple
from uuid import UUID

import numpy as np

from services.command.domain.blocks import Block, Booking, Column, Mask, Rows
from shared.capacity import DIMENSIONS
from shared.timeline import Timeline


class Found(NamedTuple):
    """Some rows of a block."""

    block: Block
    rows: Rows

    def column(self, name: str) -> Column:
        return self.block.columns[name][self.rows]

    def split(self, mask: Mask) -> tuple[Found, Found]:
        """The rows where the mask is true, and the others."""
        return self._replace(rows=self.rows[mask]), self._replace(rows=self.rows[~mask])

    def bookings(self) -> Iterator[Booking]:
        return (self.block.booking(row) for row in self.rows.tolist())

    def items(self) -> Iterator[tuple[UUID, Booking]]:
        return ((self.block.key(row), self.block.booking(row)) for row in self.rows.tolist())

    def hold(self, held: Timeline) -> int:
        """Adds what the bookings take in counts to `held`, all at once: there may be a million. Returns what `add`
        returns."""
        if not len(self.rows):
            return 0
        starts, ends = self.column("start").astype(np.int64), self.column("end").astype(np.int64)
        base, end = int(starts.min()), int(ends.max())
        changes = np.zeros((end - base + 1, len(DIMENSIONS)), dtype=np.int64)
        counts = np.array([one.counts() for one in self.block.capacities], dtype=np.int64)[self.column("capacity")]
        for number in np.flatnonzero(counts.any(axis=0)).tolist():
            np.add.at(changes[:, number], starts - base, counts[:, number])
            np.add.at(changes[:, number], ends - base, -counts[:, number])
        return held.add(base, end, changes.cumsum(axis=0)[:-1])


NOTHING: tuple[UUID | None, Booking | None] = None, None


class BookingTable(MutableMapping[UUID, Booking]):
    """The bookings by their ids. Of an id, what stands in `_new` counts; else what the first of `_above` has; else what
    the first of `_blocks` has. Only `_new` changes."""

    __slots__ = ("_above", "_blocks", "_found", "_new", "count")

    def __init__(
        self, bookings: Mapping[UUID, Booking] | None = None, blocks: tuple[Block, ...] = (), length: int | None = None
    ) -> None:
        """`length`: how many ids the blocks have; None: no id is in two of them."""
        self._new: dict[UUID, Booking] = {**bookings} if bookings else {}
        self._above: tuple[dict[UUID, Booking], ...] = ()
        self._blocks = blocks
        self._found = NOTHING  # what the last `get` found in a block
        self.count = len(self._new) + (sum(map(len, blocks)) if length is None else length)

    def __getitem__(self, key: UUID) -> Booking:
        booking = self.get(key)
        if booking is None:
            raise KeyError(key)
        return booking

    def get(self, key: UUID, default: Booking | None = None) -> Booking | None:  # type: ignore[override]
        """The booking of an id, or `default`."""
        for newer in (self._new, *self._above):
            if (booking := newer.get(key)) is not None:
                return booking
        if self._found[0] is key:  # a decision and its event ask for the same one
            return self._found[1]
        for block in self._blocks:
            if (row := block.find(key)) is not None:
                self._found = key, block.booking(row)
                return self._found[1]
        return default

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, UUID):
            return False
        if any(key in newer for newer in (self._new, *self._above)):
            return True
        return any(block.find(key) is not None for block in self._blocks)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[UUID]:
        return (key for key, _ in self.items())

    def items(self) -> Iterator[tuple[UUID, Booking]]:  # type: ignore[override]
        """All bookings; the oldest blocks first."""
        for number in reversed(range(len(self._blocks))):
            yield from self._current(number, np.ones(len(self._blocks[number]), dtype=np.bool_)).items()
        layers = (self._new, *self._above)
        for number in reversed(range(len(layers))):
            newer = layers[:number]
            for key, booking in layers[number].items():
                if not any(key in one for one in newer):
                    yield key, booking

    def values(self) -> Iterator[Booking]:  # type: ignore[override]
        return (booking for _, booking in self.items())

    def add(self, key: UUID, booking: Booking) -> None:
        """Adds a booking whose id is not here."""
        self._new[key] = booking
        self.count += 1

    def change(self, key: UUID, booking: Booking) -> None:
        """Changes a booking that is here."""
        self._new[key] = booking
        self._found = NOTHING

    def __setitem__(self, key: UUID, booking: Booking) -> None:
        self.count += key not in self
        self.change(key, booking)

    def __delitem__(self, key: UUID) -> None:
        raise NotImplementedError("a booking stays known until `pack` drops it")

    def fork(self) -> BookingTable:
        """A what-if copy. Forget it before this table is written."""
        return self._copy({}, (self._new, *self._above) if self._new else self._above)

    def freeze(self) -> BookingTable:
        """A copy that never changes. This table goes on in a new dict."""
        if self._new:
            self._above, self._new = (self._new, *self._above), {}
        return self._copy({}, self._above)

    def _copy(self, new: dict[UUID, Booking], above: tuple[dict[UUID, Booking], ...]) -> BookingTable:
        copy = BookingTable()
        copy._new, copy._above, copy._blocks, copy.count = new, above, self._blocks, self.count
        return copy

    def select(
        self, wanted: Callable[[Block], Mask | None], loose: Callable[[Booking], bool]
    ) -> Iterator[tuple[UUID, Booking]]:
        """The bookings that `wanted` finds in a block, and those outside of blocks for which `loose` is true. Both ask
        the same."""
        layers = (self._new, *self._above)
        for number, layer in enumerate(layers):
            newer = layers[:number]
            for key, booking in layer.items():
                if loose(booking) and not any(key in one for one in newer):
                    yield key, booking
        for number, block in enumerate(self._blocks):
            if (mask := wanted(block)) is not None and mask.any():
                yield from self._current(number, mask).items()

    def packed(self) -> BookingTable:
        """A copy in which every booking is in a block: to read many by columns."""
        return BookingTable(None, with_loose(self), len(self)) if self.loose() else self

    def blocks(self, wanted: Callable[[Block], Mask | None]) -> Iterator[Found]:
        """As `select`, as rows. Of a packed table."""
        for number, block in enumerate(self._blocks):
            if (mask := wanted(block)) is not None:
                yield self._current(number, mask)

    def reaching(self, hour: int) -> int:
        """How many have hours at `hour` or later that they were not cancelled for."""
        table = self.packed()
        return sum(len(found.rows) for found in table.blocks(lambda block: block.reaching(hour)))

    def install(self, frozen: BookingTable, blocks: tuple[Block, ...], length: int) -> None:
        """Takes `blocks`, which hold what is needed of `frozen`: a copy that was made of this table. `length`: how many
        ids they have."""
        assert self._blocks is frozen._blocks
        self._found = NOTHING
        self.count += length - len(frozen)
        self._above, self._blocks = self._above[: len(self._above) - len(frozen._above)], blocks

    def goes_on_from(self, frozen: BookingTable) -> bool:
        """Whether the blocks are still those of a copy that was frozen: then `install` can be called."""
        return self._blocks is frozen._blocks

    def layers(self) -> tuple[dict[UUID, Booking], tuple[Block, ...]]:
        """What stands outside of blocks, and the blocks, the newest first."""
        return _together((self._new, *self._above)), self._blocks

    def has_between(self, first: UUID, last: UUID) -> bool:
        """Whether the blocks have an id from `first` to `last`."""
        return any(block.has_between(first, last) for block in self._blocks if block.overlaps(first, last))

    def nbytes(self) -> int:
        """Roughly the bytes of the blocks in memory."""
        return sum(block.nbytes() for block in self._blocks)

    def loose(self) -> int:
        """How many bookings stand outside of blocks."""
        return len(self._new) + sum(map(len, self._above))

    def _current(self, number: int, mask: Mask) -> Found:
        """The rows of a mask that nothing newer replaces."""
        block, mask = self._blocks[number], mask.copy()
        if len(above := self._ids_above(number)) and len(block):
            ids = block.ids()
            rows = np.minimum(np.searchsorted(ids, above), len(ids) - 1)
            mask[rows[ids[rows] == above]] = False
        return Found(block, np.flatnonzero(mask))

    def _ids_above(self, number: int) -> Column:
        """The ids that stand above a block, where its own ids are: bookings that may have been changed since."""
        block = self._blocks[number]
        if not len(block):
            return np.array([], dtype="S16")
        first, last = block.key(0), block.key(len(block) - 1)
        loose = [
            np.array([key.bytes for key in newer if first <= key <= last], dtype="S16")
            for newer in (self._new, *self._above)
        ]
        newer = [other.ids() for other in self._blocks[:number] if other.overlaps(first, last)]
        return np.concatenate([*loose, *newer])


def with_loose(table: BookingTable) -> tuple[Block, ...]:
    """The blocks of a table, the newest first; one of them has what stands outside of blocks."""
    loose, blocks = table.layers()
    return (Block.of(loose), *blocks) if loose else blocks


def _together(layers: tuple[dict[UUID, Booking], ...]) -> dict[UUID, Booking]:
    """What the layers hold; the first that has an id counts."""
    held: dict[UUID, Booking] = {}
    for layer in reversed(layers):
        held |= layer
    return held
