"""A project's state, and how each event changes it."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from sys import intern
from typing import Literal, assert_never
from uuid import UUID

import msgspec
import numpy as np

from shared.capacity import DIMENSIONS, Capacity, Vector, reserved, reserved_more
from shared.events import (
    AccountClosed,
    AccountCreated,
    AccountLimitsSet,
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    ClusterConfirmed,
    ClusterCreated,
    ClusterResized,
    ClusterResizeFailed,
    ClusterResizeRequested,
    Event,
    GrantCreated,
    GrantWithdrawn,
    Layout,
    Limits,
    ProjectCreated,
    SeriesCreated,
    TemplateCreated,
    beyond_hours,
)
from shared.hours import Period, hour_of
from shared.names import spellings
from shared.timeline import Timeline

SETTLED_MAX = 10_000  # resizes that were requested, of which it is remembered what became of them


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A grant: what it gives, in which hours, to which pool. `gone`: what had not begun of it is withdrawn."""

    pool: str
    start: int
    end: int
    capacity: Capacity
    gone: bool = False


class Booking(msgspec.Struct, frozen=True, gc=False):
    """What a booking takes in `[start, end)`, the part of it that was decided last; it began at `began`.

    `order` is the version that its claim dates from: where there is not enough for all, the older claim goes first.
    `gone`: what had not begun of it was cancelled or has lapsed.
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


class Pool(msgspec.Struct):
    """A project or a cluster. `size` is what it has an hour (granted, or the cluster's size), `free` what is left of it
    when bookings, clusters and `shares` (basis points, width 1) are taken off.

    `beyond_hours` is the over-commit policy, None for never. `growth` is what it took of its parent tentatively.
    `order` is the version that its claim on the parent dates from: when it was created, or grew last.

    The name of a cluster that has ended may be given again. The hours go on in the same timelines; `period` and all
    else are of the life that began at version `born`.
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
        """The hour from which it has nothing and holds nothing, as now planned."""
        return max(last_hour(timeline) for timeline in (self.size, self.free, self.shares))

    def lend(self) -> Pool:
        """The pool as it is now, for good."""
        return msgspec.structs.replace(
            self,
            size=self.size.lend(),
            free=self.free.lend(),
            shares=self.shares.lend(),
            growth=self.growth and self.growth.lend(),
        )

    def sketch(self) -> Pool:
        return msgspec.structs.replace(
            self,
            size=self.size.sketch(),
            free=self.free.sketch(),
            shares=self.shares.sketch(),
            growth=self.growth and self.growth.sketch(),
        )


class Account(msgspec.Struct):
    """An account that the project lists. `held` is what its bookings take an hour, a share what it is of the size now
    planned, rounded up; `shares` are its basis points by pool."""

    limits: Limits
    open: bool
    held: Timeline
    shares: dict[str, Timeline]

    def hours(self) -> int:
        """How many hours its timelines hold."""
        return len(self.held.cells) + sum(len(timeline.cells) for timeline in self.shares.values())

    def lend(self) -> Account:
        """The account as it is now, for good."""
        shares = {pool: timeline.lend() for pool, timeline in self.shares.items()}
        return msgspec.structs.replace(self, held=self.held.lend(), shares=shares)

    def sketch(self) -> Account:
        shares = {pool: timeline.sketch() for pool, timeline in self.shares.items()}
        return msgspec.structs.replace(self, held=self.held.sketch(), shares=shares)


class Resize(msgspec.Struct, frozen=True):
    """A resize that was requested and is neither applied nor failed."""

    cluster: str
    period: Period
    capacity: Capacity
    layout: Layout | None


class Settled(msgspec.Struct, frozen=True, array_like=True):
    """What became of a resize that was requested."""

    cluster: str
    outcome: Literal["applied", "failed"]


class ProjectState(msgspec.Struct):
    """All that the decisions of one project look at. `version` counts the events folded into it.

    `series` are the recurring bookings, each with how many ids from its own on are those of its occurrences.
    `names` are the accounts that are listed or have booked; `cluster_hours` is the sum of all clusters' periods, and of
    the hours between those of one name.
    """

    version: int = 0
    name: str | None = None
    pools: dict[str, Pool] = {}
    grants: MutableMapping[UUID, Claim] = {}
    bookings: MutableMapping[UUID, Booking] = {}
    templates: dict[str, list[Capacity]] = {}
    accounts: dict[str, Account] = {}
    requests: dict[UUID, Resize] = {}
    settled: MutableMapping[UUID, Settled] = {}
    tentative: dict[UUID, None] = {}
    series: MutableMapping[UUID, int] = {}
    names: set[str] = set()
    cluster_hours: int = 0
    overcommits: bool = False  # whether any hour of any pool may be promised more than it has

    def listed(self, account: str) -> str | None:
        """How the project has listed an account; None for one that it has not. Names were once stored as they came."""
        if account in self.accounts:
            return account
        return next((name for name in spellings(account) if name in self.accounts), None)


def evolve(state: ProjectState, event: Event) -> ProjectState:
    """Folds one event into `state`, in place, and returns it. Never refuses: a stored event is a fact."""
    state.version += 1
    match event:
        case BookingCreated():
            start, end, account = hour_of(event.start), hour_of(event.end), intern(event.account)
            state.names.add(account)
            _book(
                state,
                event.booking,
                Booking(
                    intern(event.pool),
                    account,
                    start,
                    start,
                    end,
                    event.capacity,
                    event.share,
                    state.version,
                    event.tentative,
                ),
            )
            if event.series is not None:
                state.series[event.series] = event.booking.int - event.series.int + 1
        case BookingAmended():
            kept = _release(state, event.booking, hour_of(event.from_start))
            start, end = hour_of(event.start), hour_of(event.end)
            _book(
                state,
                event.booking,
                Booking(
                    kept.pool,
                    kept.account,
                    kept.began if kept.began < kept.end else start,
                    start,
                    end,
                    event.capacity,
                    event.share,
                    state.version,
                    event.tentative,
                ),
            )
        case BookingCancelled() | BookingLapsed():
            _release(state, event.booking, hour_of(event.start))
        case BookingConfirmed() | BookingContested():
            _mark(state, event.booking, tentative=isinstance(event, BookingContested))
        case SeriesCreated():
            state.series[event.series] = 0  # its occurrences follow
        case ProjectCreated():
            state.name = event.name
            beyond = beyond_hours(event.overcommit)
            state.pools[event.project] = Pool(None, None, Timeline(), Timeline(), beyond_hours=beyond)
            state.overcommits = beyond is not None
        case GrantCreated():
            claim = Claim(event.project, hour_of(event.start), hour_of(event.end), event.capacity)
            state.grants[event.grant] = claim
            _offer(state.pools[claim.pool], claim.start, claim.end, claim.capacity.vector())
        case GrantWithdrawn():
            start, end = hour_of(event.start), hour_of(event.end)
            state.grants[event.grant] = msgspec.structs.replace(state.grants[event.grant], end=start, gone=True)
            _offer(state.pools[event.project], start, end, -event.capacity.vector())
        case ClusterCreated():
            _create_cluster(state, event)
        case ClusterResized():
            _resize_cluster(state, event)
        case ClusterConfirmed():
            state.pools[event.cluster].growth = None
        case ClusterResizeRequested():
            period = Period(hour_of(event.start), hour_of(event.end))
            state.requests[event.request] = Resize(event.cluster, period, event.capacity, event.layout)
        case ClusterResizeFailed():
            _settle(state, event.request, "failed")
        case TemplateCreated():
            state.templates.setdefault(event.template, []).append(event.capacity)
        case AccountCreated():
            state.accounts[event.account] = _account(state, event)
            state.names.add(intern(event.account))
        case AccountLimitsSet():
            state.accounts[event.account].limits = event.limits
        case AccountClosed():
            state.accounts[event.account].open = False
        case _:
            assert_never(event)
    return state


def last_hour(timeline: Timeline) -> int:
    """The hour after the last one that is not nothing; 0 when there is none."""
    hours = np.flatnonzero(timeline.cells.any(axis=1))
    return timeline.base + int(hours[-1]) + 1 if len(hours) else 0


def _offer(pool: Pool, start: int, end: int, amount: Vector) -> None:
    """`amount` more of size, in every hour or by the hour; what the shares reserve follows it."""
    gained = amount
    if pool.shares.cells.any():
        size, shares = pool.size.read(start, end), pool.shares.read(start, end)
        gained = amount - (reserved(size + amount, shares) - reserved(size, shares))
    pool.size.add(start, end, amount)
    pool.free.add(start, end, gained)


def _take(pool: Pool, start: int, end: int, capacity: Capacity, share: int, sign: int) -> None:
    if share:
        size, shares = pool.size.read(start, end), pool.shares.read(start, end)
        pool.free.add(start, end, -reserved_more(size, shares, sign * share))
        pool.shares.add(start, end, sign * share)
    else:
        pool.free.add(start, end, capacity.vector() * -sign)


def _book(state: ProjectState, booking_id: UUID, booking: Booking) -> None:
    state.bookings[booking_id] = booking
    _take(state.pools[booking.pool], booking.start, booking.end, booking.capacity, booking.share, +1)
    if state.accounts:
        _hold(state, booking, booking.start, booking.end, +1)
    if booking.tentative:
        state.tentative[booking_id] = None


def _settle(state: ProjectState, request: UUID, outcome: Literal["applied", "failed"]) -> None:
    """The newest stay known, so that whoever says the same again is told that it is so."""
    if (resize := state.requests.pop(request, None)) is not None:
        state.settled[request] = Settled(resize.cluster, outcome)
        if len(state.settled) > SETTLED_MAX and isinstance(
            state.settled, dict
        ):  # not in a sketch, which is for a moment
            del state.settled[next(iter(state.settled))]


def _release(state: ProjectState, booking_id: UUID, start: int) -> Booking:
    """The booking ends at `start`; it stays known, so that a second cancel changes nothing."""
    booking = state.bookings[booking_id]
    _take(state.pools[booking.pool], start, booking.end, booking.capacity, booking.share, -1)
    if state.accounts:
        _hold(state, booking, start, booking.end, -1)
    state.tentative.pop(booking_id, None)
    state.bookings[booking_id] = cut = msgspec.structs.replace(booking, end=start, tentative=False, gone=True)
    return cut


def _mark(state: ProjectState, booking_id: UUID, *, tentative: bool) -> None:
    state.bookings[booking_id] = msgspec.structs.replace(state.bookings[booking_id], tentative=tentative)
    if tentative:
        state.tentative[booking_id] = None
    else:
        state.tentative.pop(booking_id, None)


def _hold(state: ProjectState, booking: Booking, start: int, end: int, sign: int) -> None:
    name = state.listed(booking.account)
    if name is None:
        return
    account = state.accounts[name]
    if not booking.share:
        account.held.add(start, end, booking.capacity.vector() * sign)
        return
    timeline = account.shares.setdefault(booking.pool, Timeline(width=1))
    size, shares = state.pools[booking.pool].size.read(start, end), timeline.read(start, end)
    change = sign * booking.share
    account.held.add(start, end, reserved_more(size, shares, change))
    timeline.add(start, end, change)


def _account(state: ProjectState, event: AccountCreated) -> Account:
    """With what the account holds already: a name may book before the project lists it."""
    account = Account(event.limits, True, Timeline(), {})
    state.accounts[event.account] = account
    names = spellings(event.account)
    if state.names.isdisjoint(names):
        return account
    live = [one for one in state.bookings.values() if one.account in names and one.start < one.end]
    _hold_counts(account.held, [one for one in live if not one.share])
    for booking in live:
        if booking.share:
            _hold(state, booking, booking.start, booking.end, +1)
    return account


def _hold_counts(held: Timeline, bookings: list[Booking]) -> None:
    """Adds up what the bookings take, all at once: there may be a hundred thousand."""
    if not bookings:
        return
    starts, ends = _column(one.start for one in bookings), _column(one.end for one in bookings)
    base, end = int(starts.min()), int(ends.max())
    changes = np.zeros((end - base + 1, len(DIMENSIONS)), dtype=np.int64)
    for number, dimension in enumerate(DIMENSIONS):
        counts = _column(getattr(one.capacity, dimension) for one in bookings)
        if counts.any():
            np.add.at(changes[:, number], starts - base, counts)
            np.add.at(changes[:, number], ends - base, -counts)
    held.add(base, end, changes.cumsum(axis=0)[:-1])


def _column(figures: Iterable[int]) -> Vector:
    return np.fromiter(figures, dtype=np.int64)


def _create_cluster(state: ProjectState, event: ClusterCreated) -> None:
    start, end, size = hour_of(event.start), hour_of(event.end), event.capacity.vector()
    parent = state.pools[event.parent]
    beyond = parent.beyond_hours if event.overcommit is None else beyond_hours(event.overcommit)
    pool = Pool(
        event.parent,
        Period(start, end),
        Timeline(),
        Timeline(),
        beyond_hours=beyond,
        layout=event.layout,
        order=state.version,
        born=state.version,
    )
    if (before := state.pools.get(event.cluster)) is not None:
        state.cluster_hours += before.size.grown_by(start, end)
        pool.size, pool.free, pool.shares = before.size.sketch(), before.free.sketch(), before.shares.sketch()
        _close_within(state, event.cluster, start)
    else:
        state.cluster_hours += end - start
    state.pools[event.cluster] = pool
    state.overcommits = state.overcommits or beyond is not None
    _offer(pool, start, end, size)
    parent.free.add(start, end, -size)
    if event.tentative:
        pool.growth = Timeline()
        pool.growth.add(start, end, size)


def _close_within(state: ProjectState, cluster: str, hour: int) -> None:
    """What is in a cluster ends with it, and reaches into no hour of the next one of its name."""
    for pool_id, pool in state.pools.items():
        if pool_id.startswith(f"{cluster}.") and pool.period is not None:
            period = Period(min(pool.period.start, hour), min(pool.period.end, hour))
            state.pools[pool_id] = msgspec.structs.replace(pool, period=period)


def _resize_cluster(state: ProjectState, event: ClusterResized) -> None:
    pool = state.pools[event.cluster]
    assert pool.parent is not None
    start, end = hour_of(event.start), hour_of(event.end)
    size = pool.size.read(start, end)
    growth = event.capacity.vector() - size
    for name, account in state.accounts.items():
        if event.cluster in account.shares:
            _resize_shares(state.accounts[name], event.cluster, Period(start, end), size, growth)
    _offer(pool, start, end, growth)
    state.pools[pool.parent].free.add(start, end, -growth)
    pool.layout = event.layout or pool.layout
    if event.request is not None:
        _settle(state, event.request, "applied")
    if (growth > 0).any():
        pool.order = state.version
    _grow(pool, start, end, growth, tentative=event.tentative)


def _resize_shares(account: Account, cluster: str, period: Period, size: Vector, growth: Vector) -> None:
    """What the account's shares of the cluster are follows its size."""
    shares = account.shares[cluster]
    low, high = max(period.start, shares.base), min(period.end, shares.end)
    if low < high:
        hours, held = slice(low - period.start, high - period.start), shares.read(low, high)
        account.held.add(low, high, reserved((size + growth)[hours], held) - reserved(size[hours], held))


def _grow(pool: Pool, start: int, end: int, growth: Vector, *, tentative: bool) -> None:
    """What the pool holds tentatively of its parent: more by a tentative growth, less by what it gives back."""
    if tentative:
        pool.growth = pool.growth or Timeline()
    if pool.growth is None:
        return
    held = pool.growth.read(start, end)
    pool.growth.write(start, end, np.maximum(held + (growth if tentative else np.minimum(growth, 0)), 0))
    if not pool.growth.cells.any():
        pool.growth = None
