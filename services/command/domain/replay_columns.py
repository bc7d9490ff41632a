"""Columns of bookings and of what they take, for `replay.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.command.domain.blocks import COLUMNS, GONE, TENTATIVE, Block
from shared.capacity import Capacity, Vector, reserved_more
from shared.events import BookingCreated
from shared.events.batch import BookingColumns, EventBatch
from shared.timeline import Timeline

# A booking. `pool`, `account` and `capacity` are numbers of the replay.
ROW = np.dtype("S16,i4,i4,i4,i4,i4,i4,i4,i8,?,?")
ROW.names = ("id", "pool", "account", "began", "start", "end", "capacity", "share", "order", "tentative", "gone")
# A booking that ended at `start`; it had hours until `end`.
END = np.dtype("S16,i8,i4,i4,i4,i4,i4,i4")
END.names = ("id", "version", "pool", "account", "start", "end", "capacity", "share")
# What an event takes from a pool in `[start, end)`, or gives back to it. The two above have the same fields.
ENTRY = np.dtype("i4,i4,i4,i4,i4,i4")
ENTRY.names = ("pool", "account", "start", "end", "capacity", "share")
Rows = npt.NDArray[np.void]
MARKS = np.array([1, 1_000_003, 998_244_353, 2_147_483_647, 6_700_417, 4_294_967_291])  # of capacities, by dimension


class Entries(NamedTuple):
    """What events take, and what they give back: tuples of the fields of ENTRY."""

    taken: list[tuple[int, ...]]
    given: list[tuple[int, ...]]


class Finder:
    """Finds ids among many."""

    def __init__(self, ids: Rows) -> None:
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    def find(self, ids: Rows) -> Vector:
        """The place of each id; -1 where there is none."""
        if not len(self._ids):
            return np.full(len(ids), -1)
        places = np.minimum(self._ids.searchsorted(ids), len(self._ids) - 1)
        return np.where(self._ids[places] == ids, self._order[places], -1)


def id_of(key: bytes) -> bytes:
    """The id of a row, whose zeros at the end numpy leaves out."""
    return bytes(key).ljust(16, b"\0")


def ids_of(bookings: BookingColumns) -> Rows:
    return np.ascontiguousarray(bookings.ids).view("S16").reshape(-1)


def distinct(counts: Vector) -> tuple[Vector, Vector]:
    """The distinct rows of `counts`, shape (n, 6), and for each row its number among them."""
    _, firsts, rows = np.unique(counts @ MARKS, return_index=True, return_inverse=True)
    if not np.array_equal(counts[firsts][rows], counts):  # two rows have one mark
        return counts, np.arange(len(counts))
    return counts[firsts], rows


def joined(parts: Sequence[Rows], kind: np.dtype[np.void]) -> Rows:
    """One array of several. As plain bytes, which is several times faster than field by field."""
    plain = f"V{kind.itemsize}"
    return np.concatenate([np.zeros(0, dtype=plain), *(part.view(plain) for part in parts)]).view(kind)


def at(rows: Rows, places: Vector | npt.NDArray[np.bool_]) -> Rows:
    """Some of the rows; as plain bytes, likewise."""
    return rows.view(f"V{rows.dtype.itemsize}")[places].view(rows.dtype)


def grouped(rows: Rows, column: str, values: Sequence[str]) -> Iterator[tuple[str, Rows]]:
    """The rows of each value of a column."""
    ordered = at(rows, np.argsort(rows[column], kind="stable"))
    numbers, firsts = np.unique(ordered[column], return_index=True)
    for number, first, last in zip(numbers.tolist(), firsts, np.append(firsts, len(ordered))[1:], strict=True):
        yield values[number], ordered[first:last]


def block_of(rows: Rows, pools: list[str], accounts: list[str], capacities: list[Capacity]) -> Block:
    """The block of bookings, as ROW, whose names and capacities have these numbers."""
    high, low = np.ascontiguousarray(rows["id"]).view(">u8").reshape(-1, 2).T.astype("<u8")
    made = {"high": high, "low": low, "flags": rows["tentative"] * TENTATIVE + rows["gone"] * GONE}
    order = np.lexsort((low, high))
    columns = {  # one after the other: there may be millions of rows
        name: np.asarray(made[name] if name in made else rows[name])[order].astype(kind)
        for name, kind in COLUMNS.items()
    }
    return Block(columns, pools, accounts, capacities)


def summed(rows: Rows, counts: Vector) -> tuple[Vector, Vector]:
    """The sum of the rows that are no shares, as runs. `counts` has what each capacity counts."""
    rows = at(rows, (rows["share"] == 0) & (rows["start"] < rows["end"]))
    return _runs(rows, counts[rows["capacity"]])


def _runs(rows: Rows, amounts: Vector) -> tuple[Vector, Vector]:
    """The sum of amounts, shape (rows, width), that each hold from its row's start to its end."""
    starts, ends = rows["start"].astype(np.int64), rows["end"].astype(np.int64)
    edges = np.union1d(np.unique(starts), np.unique(ends))
    steps = np.zeros((len(edges), amounts.shape[1]), dtype=np.int64)
    firsts, lasts = edges.searchsorted(starts), edges.searchsorted(ends)
    for column in np.flatnonzero(amounts.any(axis=0)).tolist():
        np.add.at(steps[:, column], firsts, amounts[:, column])
        np.subtract.at(steps[:, column], lasts, amounts[:, column])
    return edges, steps.cumsum(axis=0)[:-1]


def add_shares(size: Timeline, shares: Timeline, counted: Timeline, signs: tuple[int, int], rows: Rows) -> int:
    """Adds the shares of the rows to `shares`, and what they reserve more of the size to `counted`, each with its sign.
    Returns by how many bytes the timelines have grown."""
    rows = at(rows, (rows["share"] > 0) & (rows["start"] < rows["end"]))
    if not len(rows):
        return 0
    starts, points = _runs(rows, signs[0] * rows["share"].astype(np.int64)[:, None])
    low, high = int(starts[0]), int(starts[-1])
    change = points.repeat(np.diff(starts), axis=0)
    more = reserved_more(size.read(low, high), shares.read(low, high), change)
    return counted.add(low, high, signs[1] * more) + shares.add_runs(starts, points)


def who_booked(batch: EventBatch) -> set[str]:
    """The accounts that made bookings."""
    others = (one.account for _, one in batch.others if isinstance(one, BookingCreated))
    return {*batch.created.accounts.values, *others}
