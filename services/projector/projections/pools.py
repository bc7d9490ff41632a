"""pool: the tree of pools, numbered in the order of their creation, and the position that last touched each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared.capacity import Vector
from shared.events import Layout, Policy, beyond_hours
from shared.events.batch import Repeated


class PoolRow(NamedTuple):
    """A project or a cluster. `start` and `end` are hours. `tentative` and `claimed` (a position) describe what a
    cluster takes of its parent."""

    id: str
    parent: int | None
    project: str
    name: str
    kind: str
    start: int | None
    end: int | None
    beyond_hours: int | None
    tentative: bool
    claimed: int
    layout: Layout | None


class PoolChange(NamedTuple):
    """What a batch changes of a pool of an earlier batch; None means no change. `closed` is an hour at which the pool
    ends at the latest: the cluster around it has ended, and another one has that name."""

    tentative: bool | None = None
    claimed: int | None = None
    layout: Layout | None = None
    closed: int | None = None

    def applied_to(self, row: PoolRow) -> PoolRow:
        given = {name: value for name, value in self._asdict().items() if value is not None}
        if (closed := given.pop("closed", None)) is not None:
            assert row.start is not None
            assert row.end is not None
            given |= {"start": min(row.start, closed), "end": min(row.end, closed)}
        return row._replace(**given)


class Inside:
    """The clusters of each project, so that nobody looks through those of all projects."""

    def __init__(self) -> None:
        self._clusters: dict[str, list[str]] = {}

    def add(self, pool: str) -> None:
        """Adds a pool that is new. A project lies in no other pool."""
        project, dot, _ = pool.partition(".")
        if dot:
            self._clusters.setdefault(project, []).append(pool)

    def of(self, pool: str) -> Iterator[str]:
        """The ids of the pools within a project or a cluster."""
        inside = f"{pool}."
        return (one for one in self._clusters.get(pool.partition(".")[0], ()) if one.startswith(inside))


class Pools:
    """The tree of pools before a batch: the number of each pool, its parent's number, its over-commit policy."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.inside = Inside()
        self.parents: dict[str, int | None] = {}
        self.policies: dict[int, int | None] = {}

    def add(self, pool: str, number: int, parent: int | None, beyond_hours: int | None) -> None:
        if pool not in self.numbers:
            self.inside.add(pool)
        self.numbers[pool] = number
        self.parents[pool] = parent
        self.policies[number] = beyond_hours


class PoolChanges:
    """What a batch changes in the tree, by the pools' numbers.

    created  new pools
    renewed  pools of earlier batches: a new cluster has the name of one that ended
    changed  other pools of earlier batches
    touched  position of the last event that changed any answer about the pool
    """

    def __init__(self, known: Pools) -> None:
        self._known = known
        self._numbers = known.numbers
        self._new: dict[str, int] = {}
        self._made: dict[str, int] = {}  # the position at which each of them was created
        self._inside = Inside()
        self.created: dict[int, PoolRow] = {}
        self.renewed: dict[int, PoolRow] = {}
        self.changed: dict[int, PoolChange] = {}
        self.touched: dict[int, int] = {}

    def has(self, pool: str) -> bool:
        """Whether there is, or was, a pool of that name."""
        return pool in self._numbers or pool in self._new

    def create(self, row: PoolRow, position: int) -> int:
        """Adds a pool and returns its number: the next one, or that of the ended cluster of the same name. Raises
        ValueError if a project is created a second time."""
        if self.has(row.id):
            return self._renew(row, position)
        number = len(self._numbers) + len(self._new) + 1
        self._new[row.id], self._made[row.id] = number, position
        self._inside.add(row.id)
        self.created[number] = row
        self.touched[number] = position
        return number

    def _renew(self, row: PoolRow, position: int) -> int:
        if row.start is None:
            raise ValueError(f"the pool {row.id!r} is created a second time")
        number = self.touch(row.id, position)
        if row.id in self._new:
            self.created[number] = row
        else:
            self.renewed[number] = row
            self.changed.pop(number, None)
        for pool in self._tree(row.id):
            self._change(self.touch(pool, position), PoolChange(closed=row.start))
        return number

    def touch(self, pool: str, position: int) -> int:
        """Records that the event at `position` touches the pool. Returns its number. Raises KeyError if it is
        unknown."""
        number = self._numbers.get(pool) or self._new[pool]
        self.touched[number] = position
        return number

    def touch_many(self, pools: Repeated[str], positions: Vector) -> Vector:
        """Touches the pool of each event. Returns the pools' numbers, shape (n,). Raises KeyError if a pool is unknown
        at its event's position."""
        firsts, lasts = np.full(len(pools.values), 2**62), np.zeros(len(pools.values), dtype=np.int64)
        np.minimum.at(firsts, pools.numbers, positions)
        np.maximum.at(lasts, pools.numbers, positions)
        numbers = np.zeros(len(pools.values), dtype=np.int64)
        for row, (pool, first, last) in enumerate(zip(pools.values, firsts.tolist(), lasts.tolist(), strict=True)):
            if last:
                if self._made.get(pool, 0) > first:
                    raise KeyError(pool)
                numbers[row] = number = self._numbers.get(pool) or self._new[pool]
                self.touched[number] = max(self.touched.get(number, 0), last)
        return numbers[pools.numbers]

    def touch_parent(self, pool: str, position: int) -> int:
        """Touches the pool's parent; returns the parent's number."""
        known = self._known.parents
        parent = known[pool] if pool in known else self.created[self._new[pool]].parent
        assert parent is not None
        self.touched[parent] = position
        return parent

    def touch_tree(self, project: str, position: int) -> None:
        """Touches the project and every cluster in it."""
        self.touch(project, position)
        for pool in self._tree(project):
            self.touch(pool, position)

    def policy(self, number: int) -> int | None:
        """From how many hours ahead the pool may be over-committed; None: never."""
        row = self.created.get(number) or self.renewed.get(number)
        return self._known.policies[number] if row is None else row.beyond_hours

    def inherited(self, policy: Policy | None, parent: int) -> int | None:
        """A new cluster's `beyond_hours`: that of its own policy, or its parent's."""
        return self.policy(parent) if policy is None else beyond_hours(policy)

    def change(
        self, number: int, *, tentative: bool | None = None, claimed: int | None = None, layout: Layout | None = None
    ) -> None:
        """Sets those that are not None."""
        self._change(number, PoolChange(tentative, claimed, layout))

    def _change(self, number: int, change: PoolChange) -> None:
        for rows in (self.created, self.renewed):
            if number in rows:
                rows[number] = change.applied_to(rows[number])
                return
        before = self.changed.get(number, PoolChange())
        given = {name: value for name, value in change._asdict().items() if value is not None}
        if before.closed is not None and change.closed is not None:
            given["closed"] = min(before.closed, change.closed)
        self.changed[number] = before._replace(**given)

    def _tree(self, pool_id: str) -> Iterator[str]:
        """The ids of the pools within a project or a cluster."""
        for inside in (self._known.inside, self._inside):
            yield from inside.of(pool_id)
