"""Over-commit: who is tentative, who is confirmed when capacity comes back, and who gives way when time runs out.

One rule says who is tentative. A claim on a pool is a booking, or the growth of a cluster. It is tentative if some hour
has too little for it and all older claims together; younger claims do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import numpy as np

from services.command.domain.claims import Claim, Rows, changed, claims_on, sure_in
from services.command.domain.commands import Context
from services.command.domain.copies import fork
from services.command.domain.event_fields import meta_of
from services.command.domain.evolve import evolve
from services.command.domain.floor import floor_of
from services.command.domain.state import Pool, ProjectState
from shared.errors import TooMuchAtOnce
from shared.events import (
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingLapsed,
    ClusterConfirmed,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
)
from shared.hours import next_hour

EVENTS_MAX = 30_000  # of one command: their ordinals are smallints
ROWS_PER_CLAIM = 200


def consequences(state: ProjectState, project: str, events: list[Event], context: Context, most: int) -> list[Event]:
    """The events that follow from `events`, for the same append: claims that fit now are confirmed, and claims that no
    longer fit, in hours so far away that the policy allows it, are contested.

    Raises TooMuchAtOnce if more than `most` claims would have to be reviewed, or more contested than one command may.
    Confirmations beyond EVENTS_MAX come with a later command."""
    if not state.overcommits or not (pools := dict.fromkeys(pool for event in events for pool in _pools_of(event))):
        return []
    after = fork(state)
    for event in events:
        evolve(after, event)
    taken_from = _with_parents(after, dict.fromkeys(pool for event in events for pool in _taken_from(event)))
    meta = meta_of(context, project)
    followed, first = _given_back(state, after, meta), floor_of(context.at)
    for pool_id in _with_parents(after, pools):
        hours = (state.pools[pool_id], after.pools[pool_id], next_hour(context.at))
        shorter = _shorter(*hours) if pool_id in taken_from else []
        followed += [_said(claim, pool_id, meta) for claim in _reviewed(after, pool_id, shorter, most, first)]
    if len(followed) > EVENTS_MAX:
        contested: list[Event] = [event for event in followed if isinstance(event, BookingContested)]
        if len(contested) > EVENTS_MAX:
            said = f"it would contest {len(contested)} bookings at once; take away less, in several steps"
            raise TooMuchAtOnce(said, asked=len(contested), allowed=EVENTS_MAX)
        followed = contested or followed[:EVENTS_MAX]
    return followed


def _given_back(before: ProjectState, after: ProjectState, meta: dict[str, Any]) -> list[Event]:
    """ClusterConfirmed for each cluster whose tentative growth is gone because it gave that back, so that subscribers
    see it."""
    return [
        ClusterConfirmed(cluster=pool_id, **meta)
        for pool_id, pool in before.pools.items()
        if pool.growth is not None and after.pools[pool_id].growth is None
    ]


def _pools_of(event: Event) -> tuple[str, ...]:
    """The pools in which the event may change what is free."""
    match event:
        case GrantCreated() | GrantWithdrawn():
            return (event.project,)
        case ClusterResized():
            return (event.cluster,)
        case BookingAmended() | BookingCancelled() | BookingLapsed():
            return (event.pool,)
        case _:
            return ()


def _taken_from(event: Event) -> tuple[str, ...]:
    """The pools in which the event may take from older claims. An amended booking that takes more becomes the youngest
    claim: it takes from nobody, and its event says whether it is tentative."""
    return _pools_of(event) if isinstance(event, GrantWithdrawn | ClusterResized) else ()


def _with_parents(state: ProjectState, pools: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(pool for pool_id in pools for pool in (state.pools[pool_id].parent, pool_id) if pool)


def _reviewed(state: ProjectState, pool_id: str, shorter: list[int], most: int, first: int) -> list[Claim]:
    """The claims of a pool that become tentative or are tentative no more, oldest first. `state` is not changed. Hours
    before `first` do not count: they are long over, and a state may have forgotten them.

    `shorter` are the short hours if one of them became shorter or changed its size; shares take a part of the size.
    Without them, only tentative claims can change, and they are few.
    """
    pool = state.pools[pool_id]
    sure = sure_in(state, pool_id, shorter, most)
    if len(sure) > most:
        raise _too_much(pool_id, most)
    claims = claims_on(state, pool_id, sure, first)
    if not claims:
        return []
    rows = Rows(pool, claims, first)
    if sure and rows.of_all() > most * ROWS_PER_CLAIM:
        raise _too_much(pool_id, most)
    return changed(claims, rows)


def _too_much(pool_id: str, most: int) -> TooMuchAtOnce:
    return TooMuchAtOnce(
        f"it makes hours of {pool_id!r} short that too many bookings are in: one command may do so to {most}, or to"
        " fewer that are long; take away less, or cancel some of them before",
        pool=pool_id,
        allowed=most,
    )


def _shorter(before: Pool, pool: Pool, first: int) -> list[int]:
    """All short hours, if one of them has become shorter, or has shares and another size; else none."""
    hours = (first, max(first, pool.free.end))
    free = pool.free.read(*hours)
    if not len(free) or free.min() >= 0:
        return []
    short = np.flatnonzero((free < 0).any(axis=1))
    now, old = free[short], before.free.read(*hours)[short]
    shared = (pool.shares.read(*hours)[short] > 0) & (pool.size.read(*hours)[short] != before.size.read(*hours)[short])
    hours_short: list[int] = (short + first).tolist()
    return hours_short if (((now < old) | shared) & (now < 0)).any() else []


def _said(claim: Claim, pool_id: str, meta: dict[str, Any]) -> Event:
    if not isinstance(claim.key, UUID):
        return ClusterConfirmed(cluster=claim.key, **meta)
    kind = BookingConfirmed if claim.tentative else BookingContested
    return kind(booking=claim.key, pool=pool_id, **meta)
