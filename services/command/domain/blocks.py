"""Bookings as columns: a block of them never changes, and costs 51 bytes for each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from shared.capacity import Capacity
from shared.numbering import Numbers, numbered

LOW_64 = (1 << 64) - 1
MERGED_TOGETHER = 8
TIERS = ((0, 16_384), (16_384, 131_072))  # sizes of blocks, in rows; a larger one stays as it is
NUMBERED = {"pool": "pools", "account": "accounts", "capacity": "capacities"}
COLUMNS = {
    "high": "<u8",
    "low": "<u8",
    "pool": "<u4",
    "account": "<u4",
    "began": "<i4",
    "start": "<i4",
    "end": "<i4",
    "capacity": "<u4",
    "share": "<u2",
    "order": "<i8",
    "flags": "u1",
}
ROW_BYTES = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
TENTATIVE, GONE = 1, 2

Column = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Booking(msgspec.Struct, frozen=True, gc=False):
    """What a booking takes in each hour of `[start, end)`: counts (`capacity`), or a `share` in basis points.

    `[start, end)` is the part that the last amendment decided; the booking itself began at `began`.
    `order` is the stream version of its claim: where capacity is short, the older claim goes first.
    `gone`: it was cancelled or has lapsed, and `end` is when.
    """

    pool: str
    account: str
    began: int
    start: int
    end: int
    capacity: Capacity
    share: int = 0
    order: int = 0
    tentative: bool = False
    gone: bool = False


class Block:
    """Bookings as columns, ordered by their ids. `pools`, `accounts` and `capacities` are what the columns number."""

    __slots__ = ("_fields", "_highs", "_lows", "accounts", "capacities", "columns", "piece", "pools")

    def __init__(
        self, columns: dict[str, Column], pools: list[str], accounts: list[str], capacities: list[Capacity]
    ) -> None:
        self.columns, self.pools, self.accounts, self.capacities = columns, pools, accounts, capacities
        self.piece: bytes | None = None  # its id in snapshots, once it is in one
        self._highs, self._lows, *self._fields = (columns[name].data for name in COLUMNS)

    def __len__(self) -> int:
        return len(self._highs)

    @classmethod
    def of(cls, bookings: Mapping[UUID, Booking]) -> Block:
        keys = np.frombuffer(b"".join([key.bytes for key in bookings]), dtype=">u8").astype("<u8").reshape(-1, 2)
        fields = zip(*map(msgspec.structs.astuple, bookings.values()), strict=True)
        pool, account, began, start, end, capacity, share, order, tentative, gone = fields
        (of_pool, pools), (of_account, accounts), (of_capacity, capacities) = map(numbered, (pool, account, capacity))
        flags = np.array(tentative, dtype="u1") * TENTATIVE + np.array(gone, dtype="u1") * GONE
        figures = (keys[:, 0], keys[:, 1], of_pool, of_account, began, start, end, of_capacity, share, order, flags)
        columns = {name: np.asarray(one).astype(COLUMNS[name]) for name, one in zip(COLUMNS, figures, strict=True)}
        return cls(columns, pools, accounts, capacities).at(np.lexsort((columns["low"], columns["high"])))

    def at(self, rows: Rows | Mask) -> Block:
        """The block of these rows."""
        columns = {name: np.ascontiguousarray(column[rows]) for name, column in self.columns.items()}
        return Block(columns, self.pools, self.accounts, self.capacities)

    def find(self, key: UUID) -> int | None:
        """The row of a booking; None if it is not here."""
        highs, high = self._highs, key.int >> 64
        if not len(highs) or not highs[0] <= high <= highs[-1]:
            return None
        first = bisect_left(highs, high)
        end = bisect_right(highs, high, first)
        row = bisect_left(self._lows, key.int & LOW_64, first, end)
        return row if row < end and self._lows[row] == key.int & LOW_64 else None

    def key(self, row: int) -> UUID:
        return UUID(int=self._highs[row] << 64 | self._lows[row])

    def booking(self, row: int) -> Booking:
        pool, account, began, start, end, capacity, share, order, flags = [field[row] for field in self._fields]
        return Booking(
            self.pools[pool],
            self.accounts[account],
            began,
            start,
            end,
            self.capacities[capacity],
            share,
            order,
            bool(flags & TENTATIVE),
            bool(flags & GONE),
        )

    def ids(self) -> Column:
        """The ids as texts of 16 bytes, which are ordered as the rows are."""
        pairs = np.stack((self.columns["high"], self.columns["low"]), axis=1).astype(">u8")
        return pairs.view("S16")[:, 0]

    def of_pool(self, pool: str) -> Mask | None:
        """The rows of a pool; None if it has none."""
        return self.columns["pool"] == self.pools.index(pool) if pool in self.pools else None

    def of_accounts(self, names: Iterable[str]) -> Mask:
        """The rows of these accounts."""
        return np.isin(self.columns["account"], [self.accounts.index(name) for name in names if name in self.accounts])

    def live(self) -> Mask:
        """The rows that hold hours of their last amendment."""
        return self.columns["start"] < self.columns["end"]

    def tentative(self) -> Mask:
        """The rows of tentative bookings."""
        mask: Mask = self.columns["flags"] & TENTATIVE != 0
        return mask

    def reaching(self, hour: int) -> Mask:
        """The rows that have held or will hold an hour at `hour` or later."""
        end = self.columns["end"]
        return (end > hour) & (end > self.columns["began"])

    def overlaps(self, first: UUID, last: UUID) -> bool:
        """Whether the ids of the block, from its first to its last, and those from `first` to `last` have one in
        common."""
        return len(self) > 0 and self.key(0) <= last and self.key(len(self) - 1) >= first

    def has_between(self, first: UUID, last: UUID) -> bool:
        """Whether there is an id from `first` to `last`. Both have the same upper 64 bits, or few lie between them."""
        row = bisect_left(self._highs, first.int >> 64)
        while row < len(self) and self.key(row) < first:
            row += 1
        return row < len(self) and self.key(row) <= last

    def nbytes(self) -> int:
        return ROW_BYTES * len(self)


def merged(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks, the newest first. Of these, MERGED_TOGETHER of about one size are made one, with the smaller ones
    above them. So there are few blocks, and a row is merged twice in its life."""
    for low, high in TIERS:
        alike = [number for number, block in enumerate(blocks) if low <= len(block) < high]
        if len(alike) >= MERGED_TOGETHER:
            end = alike[-1] + 1
            blocks = (_joined(blocks[:end]), *blocks[end:])
    return blocks


def _joined(blocks: tuple[Block, ...]) -> Block:
    """One block of several, the newest first. Of an id that several have, the newest counts."""
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in COLUMNS}
    names = {kind: Numbers() for kind in NUMBERED.values()}
    for column, kind in NUMBERED.items():
        renumbered = [names[kind].of(getattr(block, kind))[block.columns[column]] for block in blocks]
        columns[column] = np.concatenate(renumbered).astype(COLUMNS[column])
    rows = np.lexsort((columns["low"], columns["high"]))
    high, low = columns["high"][rows], columns["low"][rows]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    tables = {kind: known.listed for kind, known in names.items()}
    return Block(columns, **tables).at(rows[first])
