"""The fold: a batch of events becomes one `Changes`, in which each changed row stands once.

Most events only add. An event that replaces a value needs the value before it: `needed_for` names what to read, and the
caller passes it to `fold` as `Known`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

import numpy as np

from services.projector.projections.availability import SHARES, WIDTH, Amounts, AvailabilityChanges, Counts
from services.projector.projections.bookings import BookingChanges, BookingRow
from services.projector.projections.catalogue import CatalogueChanges
from services.projector.projections.grants import GrantChanges, GrantRow
from services.projector.projections.pools import PoolChanges, PoolRow, Pools
from services.projector.projections.resizes import ResizeChanges
from services.projector.projections.roles import RoleChanges
from shared.capacity import Capacity, Vector
from shared.events import (
    AccountClosed,
    AccountCreated,
    AccountLimitsSet,
    AccountMemberAdded,
    AccountMemberRemoved,
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
    ProjectCreated,
    RoleGranted,
    RoleRevoked,
    SeriesCreated,
    TemplateCreated,
    TermBegan,
    beyond_hours,
)
from shared.events.batch import BookingColumns, EventBatch
from shared.hours import hour_of
from shared.timeline import Timeline


class Needed(NamedTuple):
    """What to read before `fold`. `sizes`: by cluster, the hours `[start, end)` whose size the batch sets. `bookings`:
    the ids of the bookings that it amends."""

    sizes: dict[str, tuple[int, int]]
    bookings: set[UUID]

    @property
    def hours(self) -> int:
        """The number of hours in `sizes`."""
        return sum(end - start for start, end in self.sizes.values())

    @property
    def anything(self) -> bool:
        return bool(self.sizes or self.bookings)


class Known(NamedTuple):
    """What was read for a `Needed`: what those hours grant to each cluster, and the last segment of each booking."""

    sizes: dict[str, Timeline]
    bookings: dict[UUID, BookingRow]


class Changes:
    """What a batch changes, one attribute a read model. `sizes` are those of `Known`; the fold updates them."""

    def __init__(self, pools: Pools, known: Known) -> None:
        self.pools = PoolChanges(pools)
        self.availability = AvailabilityChanges()
        self.grants = GrantChanges()
        self.bookings = BookingChanges(known.bookings)
        self.catalogue = CatalogueChanges()
        self.resizes = ResizeChanges()
        self.roles = RoleChanges()
        self.sizes = known.sizes


def needed_for(events: Sequence[Event]) -> Needed:
    """What must be read before these events are folded."""
    needed = Needed({}, set())
    if not {ClusterResized, BookingAmended} & set(map(type, events)):
        return needed
    for event in events:
        if isinstance(event, ClusterResized):
            start, end = hours_of(event.start, event.end)
            low, high = needed.sizes.get(event.cluster, (start, end))
            needed.sizes[event.cluster] = (min(low, start), max(high, end))
        elif isinstance(event, BookingAmended):
            needed.bookings.add(event.booking)
    return needed


def fold(pools: Pools, known: Known, first_position: int, events: Sequence[Event]) -> Changes:
    """What these events change; the first of them is at `first_position`. Raises KeyError on an unknown pool."""
    changes = Changes(pools, known)
    for position, event in enumerate(events, first_position):
        fold_event(changes, position, event)
    return changes


def fold_batch(pools: Pools, known: Known, first_position: int, batch: EventBatch) -> Changes:
    """As `fold`, for a batch of which the events of bookings are in columns.

    These may come after all others: a booking in the columns has no other event in the batch, what events add to the
    hours may be added in any order, and a pool keeps the last position that touched it.
    """
    changes = Changes(pools, known)
    for place, event in batch.others:
        fold_event(changes, first_position + place, event)
    for part, sign in ((batch.created, 1), (batch.ended, -1)):
        if part.rows:
            numbers = changes.pools.touch_many(part.pools, part.places + first_position)
            changes.availability.many += _amounts_of(numbers, part, sign)
            if sign > 0:
                changes.bookings.create_many(numbers, part, first_position)
            else:
                changes.bookings.end_many(part, batch.ended_rows, first_position)
    return changes


def _amounts_of(pools: Vector, part: BookingColumns, sign: int) -> Iterator[Amounts]:
    """What bookings add (`sign` +1) or give back (-1): each its share, or its counts if it has no share."""
    shared = part.shares > 0
    for rows, values, column in ((shared, part.shares[:, None], SHARES), (~shared, part.counts, WIDTH)):
        if rows.all():
            yield Amounts(pools, part.starts, part.ends, sign * values, column)
        elif rows.any():
            yield Amounts(pools[rows], part.starts[rows], part.ends[rows], sign * values[rows], column)


def fold_event(changes: Changes, position: int, event: Event) -> None:
    """Adds what one event changes. Every event touches each pool about which it changes any answer."""
    match event:
        case BookingCreated():
            _create_booking(changes, position, event)
        case BookingCancelled() | BookingLapsed():
            _end_booking(changes, position, event)
        case BookingAmended():
            _amend_booking(changes, position, event)
        case BookingConfirmed() | BookingContested():
            changes.pools.touch(event.pool, position)
            changes.bookings.mark(event.booking, position, tentative=isinstance(event, BookingContested))
        case SeriesCreated():
            changes.pools.touch(event.pool, position)  # each of its bookings has an event of its own
        case ProjectCreated():
            _create_project(changes, position, event)
        case GrantCreated():
            _create_grant(changes, position, event)
        case GrantWithdrawn():
            _withdraw_grant(changes, position, event)
        case ClusterCreated():
            _create_cluster(changes, position, event)
        case ClusterResized():
            _resize_cluster(changes, position, event)
        case ClusterConfirmed():
            changes.pools.touch_parent(event.cluster, position)
            changes.pools.change(changes.pools.touch(event.cluster, position), tentative=False)
        case ClusterResizeRequested():
            changes.resizes.request(event, changes.pools.touch(event.cluster, position), position)
        case ClusterResizeFailed():
            changes.pools.touch(event.cluster, position)
            changes.resizes.fail(event, position)
        case TemplateCreated():
            changes.pools.touch_tree(event.project, position)  # each pool of the project answers how many fit
            changes.catalogue.add_template(event, position)
        case AccountCreated():
            changes.pools.touch(event.project, position)
            changes.catalogue.add_account(event, position)
        case AccountLimitsSet():
            changes.pools.touch(event.project, position)
            changes.catalogue.set_limits(event.project, event.account, event.limits)
        case AccountClosed():
            changes.pools.touch(event.project, position)
            changes.catalogue.close(event.project, event.account)
        case AccountMemberAdded() | AccountMemberRemoved():
            changes.pools.touch(event.project, position)
            changes.roles.set_member(event, position)
        case RoleGranted() | RoleRevoked():
            changes.pools.touch(event.project, position)
            changes.roles.set_role(event, position)
        case TermBegan():
            pass  # it says who stores the events, and changes no pool
        case _:
            assert_never(event)


def _create_booking(changes: Changes, position: int, event: BookingCreated) -> None:
    pool, start, end = changes.pools.touch(event.pool, position), hour_of(event.start), hour_of(event.end)
    counts = event.capacity.counts()
    if event.share:
        changes.availability.shares[pool].append((start, end, event.share))
    else:
        changes.availability.booked[pool].append((start, end, counts))
    changes.bookings.current[event.booking] = BookingRow(
        pool,
        start,
        end,
        counts,
        event.actor,
        event.account,
        event.share,
        event.tentative,
        position,
        position,
        0,
        event.template,
        event.series,
    )


def _end_booking(changes: Changes, position: int, event: BookingCancelled | BookingLapsed) -> None:
    pool = changes.pools.touch(event.pool, position)
    _book(changes, pool, event.start, event.end, event.capacity, event.share, -1)
    changes.bookings.cut(event.booking, hour_of(event.start), position)


def _amend_booking(changes: Changes, position: int, event: BookingAmended) -> None:
    pool = changes.pools.touch(event.pool, position)
    _book(changes, pool, event.from_start, event.from_end, event.from_capacity, event.from_share, -1)
    _book(changes, pool, event.start, event.end, event.capacity, event.share, +1)
    changes.bookings.amend(event, position)


def _create_project(changes: Changes, position: int, event: ProjectCreated) -> None:
    policy = beyond_hours(event.overcommit)
    row = PoolRow(event.project, None, event.project, event.name, "project", None, None, policy, False, position, None)
    changes.pools.create(row, position)


def _create_grant(changes: Changes, position: int, event: GrantCreated) -> None:
    pool, (start, end) = changes.pools.touch(event.project, position), hours_of(event.start, event.end)
    counts = event.capacity.counts()
    changes.availability.granted[pool].append((start, end, counts))
    changes.grants.created[event.grant] = GrantRow(pool, start, end, counts, event.actor, event.source)


def _withdraw_grant(changes: Changes, position: int, event: GrantWithdrawn) -> None:
    pool, (start, end) = changes.pools.touch(event.project, position), hours_of(event.start, event.end)
    changes.availability.granted[pool].append((start, end, negative(event.capacity.counts())))
    changes.grants.cut(event.grant, start)


def _book(
    changes: Changes, pool: int, start: datetime, end: datetime, capacity: Capacity, share: int, sign: int
) -> None:
    """Adds (`sign` +1) or subtracts (-1) a claim on the pool: its share, or its counts if it has no share."""
    low, high = hours_of(start, end)
    if share:
        changes.availability.shares[pool].append((low, high, sign * share))
    else:
        counts = capacity.counts()
        changes.availability.booked[pool].append((low, high, counts if sign > 0 else negative(counts)))


def _create_cluster(changes: Changes, position: int, event: ClusterCreated) -> None:
    parent, (start, end) = changes.pools.touch(event.parent, position), hours_of(event.start, event.end)
    row = PoolRow(
        event.cluster,
        parent,
        event.project,
        event.cluster.rsplit(".", 1)[-1],
        event.kind,
        start,
        end,
        changes.pools.inherited(event.overcommit, parent),
        event.tentative,
        position,
        event.layout,
    )
    if changes.pools.has(event.cluster):
        changes.roles.end_cluster(event.project, event.cluster, position)
    cluster = changes.pools.create(row, position)
    changes.availability.granted[cluster].append((start, end, event.capacity.counts()))
    changes.availability.booked[parent].append((start, end, event.capacity.counts()))
    if event.cluster in changes.sizes:
        changes.sizes[event.cluster].write(start, end, event.capacity.vector())


def _resize_cluster(changes: Changes, position: int, event: ClusterResized) -> None:
    """Adds the new size less the old one, hour by hour: to the cluster (granted) and to its parent (booked)."""
    cluster, (start, end) = changes.pools.touch(event.cluster, position), hours_of(event.start, event.end)
    parent = changes.pools.touch_parent(event.cluster, position)
    size, before = event.capacity.vector(), changes.sizes[event.cluster]
    growth = size - before.read(start, end)
    for low, high, amount in runs(start, growth):
        changes.availability.granted[cluster].append((low, high, amount))
        changes.availability.booked[parent].append((low, high, amount))
    before.write(start, end, size)
    changes.resizes.resize(event, cluster, position)
    if event.tentative:
        changes.pools.change(cluster, tentative=True, claimed=position)
    if event.layout is not None:
        changes.pools.change(cluster, layout=event.layout)


def runs(start: int, amounts: Vector) -> list[tuple[int, int, Counts]]:
    """Runs of hours with equal amounts, as (first hour, hour after the last, counts). `amounts`: shape (hours, 6)."""
    edges = np.flatnonzero((amounts[1:] != amounts[:-1]).any(axis=1)) + 1
    lows = [0, *edges.tolist()]
    highs = [*edges.tolist(), len(amounts)]
    return [(start + low, start + high, tuple(amounts[low].tolist())) for low, high in zip(lows, highs, strict=True)]


def negative(counts: Counts) -> Counts:
    a, b, c, d, e, f = counts
    return (-a, -b, -c, -d, -e, -f)


def hours_of(start: datetime, end: datetime) -> tuple[int, int]:
    """A period's first hour and the hour after its last."""
    return hour_of(start), hour_of(end)
