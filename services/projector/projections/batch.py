"""A batch of events becomes one set of changes: every row that it touches once, whatever the number of its events.

The fold adds. Only ClusterResized sets, and needs to know the size that it replaces: `sizes` holds, for each cluster
that the batch resizes, what was granted to it before the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec
import numpy as np

from services.projector.projections.availability import AvailabilityChanges, Counts
from services.projector.projections.claims import ClaimChanges
from services.projector.projections.pools import PoolChanges, PoolRow, Pools
from shared.capacity import Vector
from shared.events import (
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    ProjectCreated,
)
from shared.hours import hour_of
from shared.timeline import Timeline

_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])


class Changes:
    """What a batch does to the read models."""

    def __init__(self, pools: Pools, sizes: dict[str, Timeline]) -> None:
        self.pools = PoolChanges(pools)
        self.availability = AvailabilityChanges()
        self.grants = ClaimChanges()
        self.bookings = ClaimChanges()
        self.sizes = sizes


def decode_events(stored: Sequence[bytes]) -> list[Event]:
    """Many stored events at once. Raises msgspec.DecodeError when one of them is not an event."""
    return _decoder.decode(b"[" + b",".join(stored) + b"]")


def resized_ranges(events: Sequence[Event]) -> dict[str, tuple[int, int]]:
    """The clusters that these events resize, and the hours `[start, end)` whose sizes `fold` must be given."""
    ranges: dict[str, tuple[int, int]] = {}
    for event in events:
        if isinstance(event, ClusterResized):
            start, end = hours_of(event.start, event.end)
            low, high = ranges.get(event.cluster, (start, end))
            ranges[event.cluster] = (min(low, start), max(high, end))
    return ranges


def fold(pools: Pools, sizes: dict[str, Timeline], first_position: int, events: Sequence[Event]) -> Changes:
    """The changes that the events at `first_position` and after make. Raises KeyError on a pool that is unknown."""
    changes = Changes(pools, sizes)
    for position, event in enumerate(events, first_position):
        apply(changes, position, event)
    return changes


def apply(changes: Changes, position: int, event: Event) -> None:
    pools, availability = changes.pools, changes.availability
    match event:
        case BookingCreated():
            pool, start, end = pools.touch(event.pool, position), hour_of(event.start), hour_of(event.end)
            counts = event.capacity.counts()
            availability.booked[pool].append((start, end, counts))
            changes.bookings.created[event.booking] = (pool, start, end, counts, event.actor, event.account)
        case BookingCancelled():
            pool, start, end = pools.touch(event.pool, position), hour_of(event.start), hour_of(event.end)
            availability.booked[pool].append((start, end, negative(event.capacity.counts())))
            changes.bookings.cut(event.booking, start)
        case ProjectCreated():
            pools.create(PoolRow(event.project, None, event.project, event.name, "project", None, None), position)
        case GrantCreated():
            pool, start, end = pools.touch(event.project, position), hour_of(event.start), hour_of(event.end)
            counts = event.capacity.counts()
            availability.granted[pool].append((start, end, counts))
            changes.grants.created[event.grant] = (pool, start, end, counts, event.actor, event.source)
        case GrantWithdrawn():
            pool, start, end = pools.touch(event.project, position), hour_of(event.start), hour_of(event.end)
            availability.granted[pool].append((start, end, negative(event.capacity.counts())))
            changes.grants.cut(event.grant, start)
        case ClusterCreated():
            _create_cluster(changes, position, event)
        case ClusterResized():
            _resize_cluster(changes, position, event)
        case _:
            assert_never(event)


def _create_cluster(changes: Changes, position: int, event: ClusterCreated) -> None:
    parent, (start, end) = changes.pools.touch(event.parent, position), hours_of(event.start, event.end)
    name = event.cluster.rsplit(".", 1)[-1]
    row = PoolRow(event.cluster, parent, event.project, name, event.kind, start, end)
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
