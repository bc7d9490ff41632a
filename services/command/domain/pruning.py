"""Makes a state small: what ended before its floor leaves it, and bookings go from dicts into blocks.

`pack` reads a frozen state, so another thread may do it while decisions go on; `install` then changes the state itself.
Nothing that a decision from the floor on looks at is lost: what leaves can change no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import numpy as np

from services.command.domain.blocks import Block, merged
from services.command.domain.booking_table import BookingTable, with_loose
from services.command.domain.copies import freeze
from services.command.domain.state import Account, Pool, ProjectState

ROWS_MIN = 4096  # a smaller waste is not worth a pass
WASTE_SHARE = 4  # a pass over all blocks is worth it when one row in so many can go


class Packed(NamedTuple):
    """The blocks for the bookings of `table`, how many ids they have, and the series that have none of these any
    more."""

    table: BookingTable
    blocks: tuple[Block, ...]
    length: int
    series: list[UUID]

    def packed(self) -> BookingTable:
        return BookingTable(None, self.blocks, self.length)


def pack(frozen: ProjectState, floor: int, *, whole: bool = False) -> Packed:
    """Packs the bookings of a frozen state, for a state with this floor. `whole`: looks through all of them for what is
    over, even if the floor is the same. The frozen state needs no pools and accounts."""
    table = frozen.bookings
    blocks = merged(with_loose(table))
    if not whole and floor <= frozen.floor and not _is_wasteful(blocks, floor):
        return Packed(table, blocks, len(table), [])
    kept = BookingTable(blocks=_kept(blocks, floor))
    return Packed(table, kept.layers()[1], len(kept), _ended_series(frozen.series, kept))


def install(state: ProjectState, packed: Packed, floor: int) -> None:
    """Puts what `pack` made for `floor` into the state whose frozen copy it was made of. The state may have gone on."""
    state.bookings.install(packed.table, packed.blocks, packed.length)
    for series in packed.series:
        state.series.pop(series, None)
    if packed.length < len(packed.table):
        for booking in [key for key in state.tentative if key not in state.bookings]:
            del state.tentative[booking]
    drop_before(state, floor)


def drop_before(state: ProjectState, floor: int) -> None:
    """Forgets the hours before `floor`, and the grants that ended before it."""
    if floor <= state.floor:
        return
    state.floor = floor
    holders: list[Pool | Account] = [*state.pools.values(), *state.accounts.values()]
    for holder in holders:
        for timeline in holder.timelines():
            state.timeline_bytes += timeline.drop_before(floor)
    for grant in [key for key, one in state.grants.items() if one.end <= floor]:
        del state.grants[grant]


def prune(state: ProjectState, floor: int) -> None:
    """Packs a state and drops what it need not hold, at once."""
    install(state, pack(freeze(state, {}, {}), floor, whole=True), floor)


def _is_wasteful(blocks: tuple[Block, ...], floor: int) -> bool:
    rows = sum(map(len, blocks))
    gone = rows - sum(int(np.count_nonzero(block.reaching(floor))) for block in blocks)
    return gone > max(ROWS_MIN, rows // WASTE_SHARE)


def _kept(blocks: tuple[Block, ...], floor: int) -> tuple[Block, ...]:
    """The blocks without what ended before the floor and what is cancelled, and without what a newer block replaces.
    All blocks at once: where a row leaves, an older row of the same id must not be seen again."""
    kept = []
    for block, found in zip(blocks, BookingTable(blocks=blocks).blocks(lambda one: one.reaching(floor)), strict=True):
        if len(found.rows) == len(block):
            kept.append(block)
        elif len(found.rows):
            kept.append(block.at(found.rows))
    return merged(tuple(kept))


def _ended_series(series: Mapping[UUID, int], table: BookingTable) -> list[UUID]:
    """The series of which no occurrence is held."""
    return [key for key, count in series.items() if not table.has_between(key, UUID(int=key.int + max(0, count - 1)))]
