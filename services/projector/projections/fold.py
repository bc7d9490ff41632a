"""A batch of events becomes one set of changes: every row that it touches once, whatever the number of its events.

The fold adds. What an event sets or moves needs to know what it replaces, and is given it in `Known`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

import numpy as np

from services.projector.projections.availability import AvailabilityChanges, Counts
from services.projector.projections.bookings import BookingChanges, BookingRow
from services.projector.projections.catalogue import CatalogueChanges
from services.projector.projections.grants import GrantChanges
from services.projector.projections.pools import PoolChanges, PoolRow, Pools
from services.projector.projections.resizes import ResizeChanges
from shared.capacity import Capacity, Vector
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
    ProjectCreated,
    SeriesCreated,
    TemplateCreated,
    beyond_hours,
)
from shared.hours import hour_of
from shared.timeline import Timeline


class Needed(NamedTuple):
    """What `fold` must know of the rows before it: the hours `[start, end)` whose sizes are set, by cluster, and the
    bookings that are amended."""

    sizes: dict[str, tuple[int, int]]
    bookings: set[UUID]

    @property
    def hours(self) -> int:
        """Of how many hours the size is asked for."""
        return sum(end - start for start, end in self.sizes.values())


class Known(NamedTuple):
    """The answer to Needed: what was granted to each cluster in those hours, the last segment of each booking."""

    sizes: dict[str, Timeline]
    bookings: dict[UUID, BookingRow]


class Changes:
    """What a batch does to the read models."""

    def __init__(self, pools: Pools, known: Known) -> None:
        self.pools = PoolChanges(pools)
        self.availability = AvailabilityChanges()
        self.grants = GrantChanges()
        self.bookings = BookingChanges(known.bookings)
        self.catalogue = CatalogueChanges()
        self.resizes = ResizeChanges()
        self.sizes = known.sizes


def needed_for(events: Sequence[Event]) -> Needed:
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
    """The changes that the events at `first_position` and after make. Raises KeyError on a pool that is unknown."""
    changes = Changes(pools, known)
    for position, event in enumerate(events, first_position):
        apply(changes, position, event)
    return changes


def apply(changes: Changes, position: int, event: Event) -> None:
    """Every event touches each pool of which it changes any answer."""
    pools = changes.pools
    match event:
        case BookingCreated():
            pool, start, end = pools.touch(event.pool, position), hour_of(event.start), hour_of(event.end)
            counts = event.capacity.counts()
            if event.share:
                changes.availability.shares[pool].append((start, end, event.share))
            else:
                changes.availability.booked[pool].append((start, end, counts))
            changes.bookings.current[event.booking] = (
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
                None,
            )
        case BookingCancelled() | BookingLapsed():
            pool = pools.touch(event.pool, position)
            _book(changes, pool, event.start, event.end, event.capacity, event.share, -1)
            changes.bookings.cut(event.booking, hour_of(event.start), position)
        case BookingAmended():
            pool = pools.touch(event.pool, position)
            _book(changes, pool, event.from_start, event.from_end, event.from_capacity, event.from_share, -1)
            _book(changes, pool, event.start, event.end, event.capacity, event.share, +1)
            changes.bookings.amend(event, position)
        case BookingConfirmed() | BookingContested():
            pools.touch(event.pool, position)
            changes.bookings.mark(event.booking, position, tentative=isinstance(event, BookingContested))
        case SeriesCreated():
            pools.touch(event.pool, position)  # its occurrences follow
        case ProjectCreated():
            policy = beyond_hours(event.overcommit)
            row = PoolRow(
                event.project, None, event.project, event.name, "project", None, None, policy, False, position, None
            )
            pools.create(row, position)
        case GrantCreated():
            pool, start, end = pools.touch(event.project, position), hour_of(event.start), hour_of(event.end)
            counts = event.capacity.counts()
            changes.availability.granted[pool].append((start, end, counts))
            changes.grants.created[event.grant] = (pool, start, end, counts, event.actor, event.source)
        case GrantWithdrawn():
            pool, start, end = pools.touch(event.project, position), hour_of(event.start), hour_of(event.end)
            changes.availability.granted[pool].append((start, end, negative(event.capacity.counts())))
            changes.grants.cut(event.grant, start)
        case ClusterCreated():
            _create_cluster(changes, position, event)
        case ClusterResized():
            _resize_cluster(changes, position, event)
        case ClusterConfirmed():
            pools.touch_parent(event.cluster, position)
            pools.change(pools.touch(event.cluster, position), tentative=False)
        case ClusterResizeRequested():
            changes.resizes.request(event, pools.touch(event.cluster, position), position)
        case ClusterResizeFailed():
            pools.touch(event.cluster, position)
            changes.resizes.fail(event, position)
        case TemplateCreated():
            pools.touch_tree(event.project, position)  # how many fit is an answer about each of its pools
            changes.catalogue.add_template(event, position)
        case AccountCreated():
            pools.touch(event.project, position)
            changes.catalogue.add_account(event, position)
        case AccountLimitsSet():
            pools.touch(event.project, position)
            changes.catalogue.set_limits(event.project, event.account, event.limits)
        case AccountClosed():
            pools.touch(event.project, position)
            changes.catalogue.close(event.project, event.account)
        case _:
            assert_never(event)


def _book(
    changes: Changes, pool: int, start: datetime, end: datetime, capacity: Capacity, share: int, sign: int
) -> None:
    """Takes (+1) or gives back (-1) counts or a share of the pool."""
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
    cluster = changes.pools.create(row, position)
    changes.availability.granted[cluster].append((start, end, event.capacity.counts()))
    changes.availability.booked[parent].append((start, end, event.capacity.counts()))
    if event.cluster in changes.sizes:
        changes.sizes[event.cluster].write(start, end, event.capacity.vector())


def _resize_cluster(changes: Changes, position: int, event: ClusterResized) -> None:
    """The difference to the size that stood in each hour, piece by piece, goes to the cluster and to its parent."""
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
    """Hours with equal amounts, together: `(first hour, hour after the last, the six counts)`."""
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
