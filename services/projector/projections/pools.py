"""pool: the tree, numbered in the order in which it grew, and when each was last changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.events import Layout, Overcommit, Policy


class PoolRow(NamedTuple):
    """`tentative` and `claimed` (a position) are of what a cluster takes of its parent."""

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
    """What a batch sets of a pool of an earlier one; None stays as it is."""

    tentative: bool | None = None
    claimed: int | None = None
    layout: Layout | None = None


class Pools:
    """What is known of the tree before a batch: of each pool the number, its parent's, and its policy."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.parents: dict[str, int | None] = {}
        self.policies: dict[int, int | None] = {}

    def add(self, pool: str, number: int, parent: int | None, beyond_hours: int | None) -> None:
        self.numbers[pool] = number
        self.parents[pool] = parent
        self.policies[number] = beyond_hours


class PoolChanges:
    """Pools `created` in the batch, by number; what it `changed` of others; the last position that `touched` each."""

    def __init__(self, known: Pools) -> None:
        self._known = known
        self._numbers = known.numbers
        self._new: dict[str, int] = {}
        self.created: dict[int, PoolRow] = {}
        self.changed: dict[int, PoolChange] = {}
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
        known = self._known.parents
        parent = known[pool] if pool in known else self.created[self._new[pool]].parent
        assert parent is not None
        self.touched[parent] = position
        return parent

    def touch_tree(self, project: str, position: int) -> None:
        """As `touch`, for the project and every cluster in it."""
        self.touch(project, position)
        for pool in self._tree(project):
            self.touch(pool, position)

    def policy(self, number: int) -> int | None:
        """After how many hours the pool may be over-committed; None: never."""
        row = self.created.get(number)
        return self._known.policies[number] if row is None else row.beyond_hours

    def inherited(self, policy: Policy | None, parent: int) -> int | None:
        """A cluster's policy: its own, or its parent's."""
        return self.policy(parent) if policy is None else beyond_hours(policy)

    def change(
        self, number: int, *, tentative: bool | None = None, claimed: int | None = None, layout: Layout | None = None
    ) -> None:
        """Sets what is not None."""
        change = PoolChange(tentative, claimed, layout)
        given = {name: value for name, value in change._asdict().items() if value is not None}
        if number in self.created:
            self.created[number] = self.created[number]._replace(**given)
        else:
            self.changed[number] = self.changed.get(number, PoolChange())._replace(**given)

    def _tree(self, project: str) -> Iterator[str]:
        inside = f"{project}."
        for known in (self._numbers, self._new):
            yield from (pool for pool in known if pool.startswith(inside))


def beyond_hours(policy: Policy) -> int | None:
    return policy.beyond_hours if isinstance(policy, Overcommit) else None
