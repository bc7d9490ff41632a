"""Columns of bookings and of what they take, for `replay.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.capacity import Vector, reserved_more
from shared.events.batch import Repeated
from shared.timeline import Timeline

# A booking. `pool`, `account` and `capacity` are numbers of the replay.
ROW = np.dtype("S16,i4,i4,i4,i4,i4,i4,i4,i8,?,?")
ROW.names = ("id", "pool", "account", "began", "start", "end", "capacity", "share", "order", "tentative", "gone")
# What an event takes from a pool in `[start, end)` (`sign` 1) or gives back to it (-1).
ENTRY = np.dtype("i4,i4,i4,i4,i4,i4,i1")
ENTRY.names = ("pool", "account", "start", "end", "capacity", "share", "sign")
# A booking that ended at `start`; it had hours until `end`.
END = np.dtype("S16,i8,i4,i4,i4,i4,i4")
END.names = ("id", "version", "pool", "start", "end", "capacity", "share")
Rows = npt.NDArray[np.void]


class Numbers(dict[Any, int]):
    """Values and their numbers, from 0 on in the order in which they come. `listed` has the values by number."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[Any] = []

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        self.listed.append(value)
        return number

    def of(self, column: Repeated[Any]) -> Vector:
        """The numbers of a column's values."""
        numbers = np.array([self[value] for value in column.values], dtype=np.int64)
        return numbers[column.numbers]


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


def joined(parts: Sequence[Rows], kind: np.dtype[np.void]) -> Rows:
    return np.concatenate([np.zeros(0, dtype=kind), *parts])


def entries_of(rows: Rows, sign: int) -> Rows:
    entries = np.zeros(len(rows), dtype=ENTRY)
    for name in ENTRY.names or ():
        if name in (rows.dtype.names or ()):
            entries[name] = rows[name]
    entries["sign"] = sign
    return entries


def grouped(entries: Rows, column: str, values: Sequence[str]) -> Iterator[tuple[str, Rows]]:
    """The entries of each value of a column."""
    order = np.argsort(entries[column], kind="stable")
    numbers, firsts = np.unique(entries[column][order], return_index=True)
    for number, first, last in zip(numbers.tolist(), firsts, np.append(firsts, len(order))[1:], strict=True):
        yield values[number], entries[order[first:last]]


def summed(entries: Rows, counts: Vector) -> tuple[Vector, Vector]:
    """The sum of the entries that are no shares, as runs. `counts` has a row for each capacity."""
    entries = entries[(entries["share"] == 0) & (entries["start"] < entries["end"])]
    return _runs(entries, counts[entries["capacity"]] * entries["sign"][:, None])


def _runs(entries: Rows, amounts: Vector) -> tuple[Vector, Vector]:
    """The sum of amounts, shape (entries, width), that each hold from its entry's start to its end."""
    starts, ends = entries["start"].astype(np.int64), entries["end"].astype(np.int64)
    edges = np.union1d(starts, ends)
    steps = np.zeros((len(edges), amounts.shape[1]), dtype=np.int64)
    firsts, lasts = edges.searchsorted(starts), edges.searchsorted(ends)
    for column in np.flatnonzero(amounts.any(axis=0)).tolist():
        np.add.at(steps[:, column], firsts, amounts[:, column])
        np.subtract.at(steps[:, column], lasts, amounts[:, column])
    return edges, steps.cumsum(axis=0)[:-1]


def add_shares(size: Timeline, shares: Timeline, counted: Timeline, sign: int, entries: Rows) -> int:
    """Adds the shares of the entries to `shares`, and `sign` times what they reserve more of the size to `counted`.
    Returns by how many bytes the timelines have grown."""
    entries = entries[(entries["share"] > 0) & (entries["start"] < entries["end"])]
    if not len(entries):
        return 0
    starts, rows = _runs(entries, (entries["share"].astype(np.int64) * entries["sign"])[:, None])
    low, high = int(starts[0]), int(starts[-1])
    change = rows.repeat(np.diff(starts), axis=0)
    more = reserved_more(size.read(low, high), shares.read(low, high), change)
    return counted.add(low, high, sign * more) + shares.add_runs(starts, rows)
