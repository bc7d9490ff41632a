"""pool: the tree, numbered in the order in which it grew, and when each was last changed."""

from __future__ import annotations

from typing import NamedTuple


class PoolRow(NamedTuple):
    id: str
    parent: int | None
    project: str
    name: str
    kind: str
    start: int | None
    end: int | None


class Pools:
    """What is known of the tree before a batch: the number of each pool, and of its parent."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.parents: dict[str, int | None] = {}

    def add(self, pool: str, number: int, parent: int | None) -> None:
        self.numbers[pool] = number
        self.parents[pool] = parent


class PoolChanges:
    """Pools `created` in the batch, by number, and the last position that `touched` each."""

    def __init__(self, known: Pools) -> None:
        self._numbers = known.numbers
        self._parents = known.parents
        self._new: dict[str, int] = {}
        self.created: dict[int, PoolRow] = {}
        self.touched: dict[int, int] = {}

    def create(self, row: PoolRow, position: int) -> int:
        """Gives the pool the next number. Raises ValueError when its id is taken."""
        if row.id in self._numbers or row.id in self._new:
            raise ValueError(f"the pool {row.id!r} is created a second time")
        number = len(self._numbers) + len(self._new) + 1
        self._new[row.id] = number
        self.created[number] = row
        self.touched[number] = position
        return number

    def touch(self, pool: str, position: int) -> int:
        """The pool's number; notes that `position` changed it. Raises KeyError when it is unknown."""
        number = self._numbers.get(pool) or self._new[pool]
        self.touched[number] = position
        return number

    def touch_parent(self, pool: str, position: int) -> int:
        """As `touch`, for the pool's parent."""
        parent = self._parents[pool] if pool in self._parents else self.created[self._new[pool]].parent
        assert parent is not None
        self.touched[parent] = position
        return parent
