"""A project's state: all that its decisions look at. `evolve` folds events into it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Literal
from uuid import UUID

import msgspec

from services.command.domain.blocks import Booking
from services.command.domain.booking_table import BookingTable
from shared.capacity import Capacity
from shared.events import Layout, Limits
from shared.hours import Period
from shared.names import spellings
from shared.timeline import Timeline

__all__ = ["Account", "Booking", "BookingTable", "Grant", "Pool", "ProjectState", "Resize", "ResizeOutcome"]

OUTCOMES_MAX = 10_000  # of requested resizes: the newest stay known


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What a grant gives to a pool in each hour of `[start, end)`. `gone`: it was withdrawn, and `end` is when."""

    pool: str
    start: int
    end: int
    capacity: Capacity
    gone: bool = False


class Pool(msgspec.Struct):
    """A project or a cluster: what can be booked.

    Timelines, by hour: `size` is the sum of the grants, or the cluster's size. `free` is the size without bookings,
    clusters inside and shares. `shares` is what is booked as shares, in basis points (width 1). `growth` is what the
    cluster took of its parent tentatively.

    `beyond_hours`: hours at least so far away may be over-committed; None: no hour may.
    `order`: the stream version at which the cluster was created or grew last. Older claims on the parent go first.

    A cluster's name may be given again when it has ended. The new cluster continues the timelines of the old one; all
    other fields belong to the cluster that was created at version `born`.
    """

    parent: str | None
    period: Period | None
    size: Timeline
    free: Timeline
    shares: Timeline = msgspec.field(default_factory=lambda: Timeline(width=1))
    beyond_hours: int | None = None
    layout: Layout | None = None
    growth: Timeline | None = None
    order: int = 0
    born: int = 0

    def held_until(self) -> int:
        """The first hour from which the pool has nothing and nothing is booked in it, as planned now."""
        return max(timeline.last_hour() for timeline in (self.size, self.free, self.shares))

    def timelines(self) -> Iterator[Timeline]:
        yield from (self.size, self.free, self.shares)
        if self.growth is not None:
            yield self.growth

    def freeze(self) -> Pool:
        """A copy that never changes; this pool may."""
        return msgspec.structs.replace(
            self,
            size=self.size.freeze(),
            free=self.free.freeze(),
            shares=self.shares.freeze(),
            growth=self.growth and self.growth.freeze(),
        )

    def fork(self) -> Pool:
        """A what-if copy. Forget it before this pool is written."""
        return msgspec.structs.replace(
            self,
            size=self.size.fork(),
            free=self.free.fork(),
            shares=self.shares.fork(),
            growth=self.growth and self.growth.fork(),
        )


class Account(msgspec.Struct):
    """An account that the project lists, and what it may take.

    `held` is what its bookings take by the hour; a share counts as its part of the size planned now, rounded up.
    `shares` are its basis points by the hour, for each pool.
    """

    limits: Limits
    open: bool
    held: Timeline
    shares: dict[str, Timeline]

    def timelines(self) -> Iterator[Timeline]:
        yield self.held
        yield from self.shares.values()

    def hours(self, first: int = 0) -> int:
        """The number of hours of its timelines from the hour `first` on, each from its first to its last."""
        return sum(max(0, timeline.end - max(timeline.base, first)) for timeline in self.timelines())

    def freeze(self) -> Account:
        """A copy that never changes; this account may."""
        shares = {pool: timeline.freeze() for pool, timeline in self.shares.items()}
        return msgspec.structs.replace(self, held=self.held.freeze(), shares=shares)

    def fork(self) -> Account:
        """A what-if copy. Forget it before this account is written."""
        shares = {pool: timeline.fork() for pool, timeline in self.shares.items()}
        return msgspec.structs.replace(self, held=self.held.fork(), shares=shares)


class Resize(msgspec.Struct, frozen=True):
    """A resize that was requested, and was neither applied nor failed yet."""

    cluster: str
    period: Period
    capacity: Capacity
    layout: Layout | None


class ResizeOutcome(msgspec.Struct, frozen=True, array_like=True):
    """How a requested resize ended."""

    cluster: str
    outcome: Literal["applied", "failed"]


class ProjectState(msgspec.Struct):
    """All that the decisions of one project look at. `version` counts the events folded into it.

    `floor`: the state does not know the hours before it, and may lack bookings, grants and series that ended before it.
    A decision that looks before the floor, or names what is not here, needs more than this state (`reach.py`).

    `tentative`: the ids of the tentative bookings.
    `series`: recurring bookings, by the id of the series. The number says how many ids, counted from the series' own,
    may be occurrences of it.
    `names`: the accounts that are listed or have booked.
    `timeline_bytes`: roughly the bytes that all timelines hold in memory.
    `account_hours`: the hours of all accounts' timelines, each from its first to its last.
    `cluster_hours`: the hours of all clusters' periods together; where one name was given again, with the gap between.
    `bindings`: the roles of each member on each pool. `members`: who belongs to each listed account. Their values are
    replaced, never changed.
    `overcommits`: whether some pool allows that hours are promised more than they have.
    `touched`: the pools and accounts that have changed since a snapshot was begun.
    """

    version: int = 0
    floor: int = 0
    name: str | None = None
    pools: dict[str, Pool] = {}
    grants: MutableMapping[UUID, Grant] = {}
    bookings: BookingTable = msgspec.field(default_factory=BookingTable)
    templates: dict[str, list[Capacity]] = {}
    accounts: dict[str, Account] = {}
    requests: dict[UUID, Resize] = {}
    resize_outcomes: MutableMapping[UUID, ResizeOutcome] = {}
    tentative: dict[UUID, None] = {}
    series: MutableMapping[UUID, int] = {}
    names: set[str] = set()
    timeline_bytes: int = 0
    account_hours: int = 0
    cluster_hours: int = 0
    overcommits: bool = False
    bindings: dict[str, dict[str, frozenset[str]]] = {}
    members: dict[str, frozenset[str]] = {}
    touched: set[str] = set()

    def roles(self, pool: str, member: str) -> frozenset[str]:
        """The roles that a member was given on this very pool."""
        return self.bindings.get(pool, {}).get(member, frozenset())

    def listed(self, account: str) -> str | None:
        """The name under which the project lists `account`; None if it does not. Old names may be spelled otherwise:
        they were stored as they came."""
        if account in self.accounts:
            return account
        return next((name for name in spellings(account) if name in self.accounts), None)
