"""SettleConflicts: over-committed hours that have come near are made whole."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

import numpy as np

from services.command.domain.capacity_check import horizon_of
from services.command.domain.claims import touching
from services.command.domain.commands import Context
from services.command.domain.copies import fork
from services.command.domain.event_fields import meta_of
from services.command.domain.evolve import evolve
from services.command.domain.state import Booking, Pool, ProjectState
from shared.capacity import capacity_of
from shared.events import BookingLapsed, ClusterResized, Event
from shared.hours import Period, instant_of, next_hour

EVENTS_MAX = 500
LOOKED_MAX = 20_000  # claims; each costs a microsecond or two


def settle(state: ProjectState, project: str, context: Context) -> list[Event]:
    """Makes whole every hour that is over-committed and nearer than its pool's policy allows. The youngest tentative
    claims give way first: a booking lapses, a cluster shrinks to what is there.

    One command makes EVENTS_MAX events and looks at LOOKED_MAX claims at most: send it until it makes no event."""
    if not state.overcommits:
        return []
    settling = _Settling(state, project, context)
    for pool_id, pool in settling.after.pools.items():  # parents before children: in the order of their creation
        for hour in _short_hours(pool, settling.first, context):
            if not settling.make_whole(pool_id, hour):
                return settling.events
    return settling.events


class _Settling:
    """A settlement in progress: its events, a fork of the state in which they have happened, and how many claims were
    looked at."""

    def __init__(self, state: ProjectState, project: str, context: Context) -> None:
        self.after = fork(state)
        self.meta = meta_of(context, project)
        self.first = next_hour(context.at)
        self.events: list[Event] = []
        self.looked = 0
        self._state = state
        self._pressed: dict[str, _Pressed] = {}

    def make_whole(self, pool_id: str, hour: int) -> bool:
        """Makes one hour of a pool whole. False: this is enough for one command."""
        pool = self.after.pools[pool_id]
        while (pool.free.read(hour, hour + 1) < 0).any():
            if self.events and (len(self.events) >= EVENTS_MAX or self.looked >= LOOKED_MAX):
                return False
            if pool_id not in self._pressed:
                self._pressed[pool_id] = _Pressed(self._state, pool_id, self.first)
                self.looked += self._pressed[pool_id].looked
            event = self._give_way(self._pressed[pool_id], pool_id, hour)
            if event is None:
                break
            self.events.append(event)
            evolve(self.after, event)
        return True

    def _give_way(self, pressed: _Pressed, pool_id: str, hour: int) -> Event | None:
        """Ends the one claim that goes next in a short hour: the youngest tentative one of the pool's bookings and
        clusters; if none is tentative, the youngest."""
        pool, found = self.after.pools[pool_id], list[tuple[bool, int, UUID | str]]()
        short, size = pool.free.read(hour, hour + 1)[0] < 0, pool.size.read(hour, hour + 1)[0]
        bookings = pressed.bookings_in(hour)
        self.looked += len(bookings) + len(pressed.clusters)
        for key in bookings:
            booking = self.after.bookings[key]
            if booking.start <= hour < booking.end:
                takes = size > 0 if booking.share else booking.capacity.vector() > 0
                if (takes & short).any():
                    found.append((booking.tentative, booking.order, key))
        for cluster_id in pressed.clusters:
            cluster = self.after.pools[cluster_id]
            if (cluster.size.read(hour, hour + 1)[0][short] > 0).any():
                grown = cluster.growth is not None and (cluster.growth.read(hour, hour + 1)[0][short] > 0).any()
                found.append((bool(grown), cluster.order, cluster_id))
        if not found:
            return None
        tentative, _, claim = max(found, key=lambda one: one[:2])
        if isinstance(claim, UUID):
            return _lapse(claim, self.after.bookings[claim], hour, self.first, self.meta)
        return _shrink(self.after.pools[claim], claim, pool, hour, self.meta, only_growth=tentative)


class _Pressed:
    """The bookings and clusters of a pool that may have to give way. Settling only takes hours from bookings, so no
    booking comes into an hour later."""

    def __init__(self, state: ProjectState, pool_id: str, first: int) -> None:
        found = [(key, one.start, one.end) for key, one in touching(state, pool_id, Period(first, sys.maxsize))]
        self.looked = len(found)
        self._bookings = [key for key, _, _ in found]
        self._starts = np.array([start for _, start, _ in found], dtype=np.int64)
        self._ends = np.array([end for _, _, end in found], dtype=np.int64)
        self.clusters = [cluster_id for cluster_id, cluster in state.pools.items() if cluster.parent == pool_id]

    def bookings_in(self, hour: int) -> list[UUID]:
        return [self._bookings[at] for at in np.flatnonzero((self._starts <= hour) & (self._ends > hour)).tolist()]


def _short_hours(pool: Pool, first: int, context: Context) -> list[int]:
    """The hours that are short, and nearer than the policy allows."""
    horizon = horizon_of(pool, context.at)
    until = pool.free.end if horizon is None else min(pool.free.end, horizon)
    free = pool.free.read(first, max(first, until))
    if not len(free) or free.min() >= 0:
        return []
    hours: list[int] = (np.flatnonzero((free < 0).any(axis=1)) + first).tolist()
    return hours


def _lapse(key: UUID, booking: Booking, hour: int, first: int, meta: dict[str, Any]) -> Event:
    """A booking that has not begun lapses as a whole. One that has begun keeps the hours before the short one."""
    start = hour if booking.began < first else booking.start
    return BookingLapsed(
        booking=key,
        pool=booking.pool,
        capacity=booking.capacity,
        share=booking.share,
        start=instant_of(start),
        end=instant_of(booking.end),
        **meta,
    )


def _shrink(
    cluster: Pool, cluster_id: str, parent: Pool, hour: int, meta: dict[str, Any], *, only_growth: bool
) -> Event:
    """The cluster gives back what is missing in the hour and in the hours after it that miss the same. With
    `only_growth` it gives back no more than it holds tentatively."""
    assert cluster.period is not None
    end = min(cluster.period.end, parent.free.end)
    size, missing = cluster.size.read(hour, end), -np.minimum(parent.free.read(hour, end), 0)
    if only_growth and cluster.growth is not None:
        missing = np.minimum(missing, cluster.growth.read(hour, end))
    left = np.maximum(size - missing, 0)
    same = (left == left[0]).all(axis=1) & (size == size[0]).all(axis=1)
    hours = len(same) if same.all() else int(np.argmin(same))
    return ClusterResized(
        cluster=cluster_id,
        capacity=capacity_of(left[0]),
        lapsed=True,
        start=instant_of(hour),
        end=instant_of(hour + hours),
        **meta,
    )
