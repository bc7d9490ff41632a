"""Sight: on which pools a principal has a right."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import msgspec

from shared.identity.roles import pools_above


class Sight(msgspec.Struct, frozen=True, dict=True):
    """The right is there on `roots` and on every pool inside them; with `everything`, on the whole ledger. No root lies
    inside another one."""

    everything: bool = False
    roots: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.everything or bool(self.roots)

    @cached_property
    def _roots(self) -> frozenset[str]:
        return frozenset(self.roots)

    def has(self, pool: str) -> bool:
        """Whether the right is there on the pool."""
        return self.everything or not self._roots.isdisjoint(pools_above(pool))

    def covers(self, other: Sight) -> bool:
        """Whether it holds all of `other`."""
        return self.everything or (not other.everything and all(self.has(root) for root in other.roots))

    def inside(self, pool: str) -> Sight:
        """The part of it that lies in a project or a cluster."""
        if self.has(pool):
            return Sight(roots=(pool,))
        return Sight(roots=tuple(root for root in self.roots if root.startswith(f"{pool}.")))

    def whole_projects(self) -> Sight:
        """The part of it that is whole projects, or the whole ledger."""
        return self if self.everything else Sight(roots=tuple(self.projects))

    @cached_property
    def projects(self) -> list[str]:
        """The roots that are projects."""
        return [root for root in self.roots if "." not in root]

    @cached_property
    def clusters(self) -> list[str]:
        """The roots that are clusters."""
        return [root for root in self.roots if "." in root]

    @property
    def whole(self) -> list[str] | None:
        """The roots that are projects, for a statement; None: all projects."""
        return None if self.everything else self.projects

    @property
    def parts(self) -> list[str] | None:
        """The roots that are clusters, for a statement; None: all."""
        return None if self.everything else self.clusters

    @cached_property
    def around(self) -> list[str]:
        """The projects of all roots."""
        return sorted({root.partition(".")[0] for root in self.roots})


EVERYWHERE, NOWHERE = Sight(everything=True), Sight()


def sight_of(pools: Iterable[str]) -> Sight:
    """The sight of a right that is there on these pools."""
    found = set(pools)
    return Sight(roots=tuple(sorted(pool for pool in found if found.isdisjoint([*pools_above(pool)][1:]))))


def whole_or(sight: Sight, pool: str | None) -> Sight:
    """What an answer about a pool and what is inside it (None: about all) may show: EVERYWHERE if the sight covers the
    pool; else the sight. So everybody who sees the whole of it asks the same question."""
    return EVERYWHERE if pool is not None and sight.has(pool) else sight
