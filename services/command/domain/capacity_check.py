"""The capacity check: the one check of every command that takes capacity, or takes some away."""

from __future__ import annotations

from datetime import datetime
from itertools import repeat
from typing import Any

import numpy as np

from services.command.domain.commands import Context
from services.command.domain.state import Pool, ProjectState
from shared.capacity import DIMENSIONS, WHOLE, Capacity, Vector, reserved_more
from shared.errors import CapacityExceeded, InvalidField, PastIsImmutable, UnknownId
from shared.hours import Period, instant_of, iso, next_hour
from shared.timeline import PAGE_HOURS

SHORTAGES_MAX = 100


def known_pool(state: ProjectState, pool_id: str, field: str) -> Pool:
    """The pool with this id. Raises UnknownId for `field`."""
    pool = state.pools.get(pool_id)
    if pool is None:
        raise UnknownId(field, "cluster" if "." in pool_id else "project", pool_id)
    return pool


def require_non_zero(capacity: Capacity) -> None:
    """Raises InvalidField if every count is 0."""
    if not capacity:
        raise InvalidField("capacity", f"every dimension is 0; give at least one of {', '.join(DIMENSIONS)}")


def remaining_period(start: int, end: int, context: Context, what: str) -> Period | None:
    """The hours of `[start, end)` that have not begun at `context.at`; None if no such hour is left. Raises
    PastIsImmutable if the period has ended."""
    if instant_of(end) <= context.at:
        raise PastIsImmutable(f"the {what} ended at {iso(end)}; what has happened cannot be undone")
    rest = Period(max(start, next_hour(context.at)), end)
    return rest if rest.start < rest.end else None


def horizon_of(pool: Pool, at: datetime) -> int | None:
    """The first hour that may be over-committed; None if no hour may."""
    return None if pool.beyond_hours is None else next_hour(at) + pool.beyond_hours


def check_capacity(pool: Pool, pool_id: str, period: Period, asked: Vector, context: Context, what: str) -> bool:
    """Compares `asked` with the free capacity of a period. `asked` is one vector for all hours, or one for each hour.
    Only dimensions in which it asks more than 0 are compared, so a command that makes no hour worse always passes.

    Returns whether the claim is tentative: an hour is short, and so far away that the pool's policy allows it. Raises
    CapacityExceeded if a nearer hour is short.
    """
    if asked.ndim == 1 and period.hours > PAGE_HOURS and pool.free.has(period.start, period.end, asked):
        return False
    free = pool.free.read(period.start, period.end)
    more = asked > free
    if not np.count_nonzero(more) or not (short := more & (asked > 0)).any():
        return False
    if (horizon := horizon_of(pool, context.at)) is not None:
        first, last = horizon, period.end
        if pool.period is not None:  # outside its period a cluster never gets anything
            first, last = max(first, pool.period.start), min(last, pool.period.end)
        short[max(0, first - period.start) : max(0, last - period.start)] = False
        if not short.any():
            return True
    raise shortage(pool_id, period, np.broadcast_to(asked, free.shape), free, short, what)


def shortage(pool_id: str, period: Period, asked: Vector, free: Vector, short: Any, what: str) -> CapacityExceeded:
    """The refusal. It lists each run of hours in which the same amount is asked and the same is available."""
    shortages, total = _shortages(period, asked, free, short)
    first = shortages[0]
    return CapacityExceeded(
        f"{what} asks {first['asked']} {first['dimension']} of {pool_id!r} from {first['start']} to {first['end']},"
        f" where {first['available']} are available",
        pool=pool_id,
        shortages=shortages,
        shortages_total=total,
    )


def check_shares(pool: Pool, pool_id: str, period: Period, change: Vector) -> None:
    """Raises CapacityExceeded if all shares together would be more than 100% in an hour to which `change` adds some.
    `change` is in basis points, shape (hours, 1). No policy allows more than 100%."""
    shares = pool.shares.read(period.start, period.end)
    if (shares + change).max() <= WHOLE:
        return
    left = WHOLE - shares
    short = (change > left) & (change > 0)
    if not short.any():
        return
    hours = np.flatnonzero(short[:, 0])
    low, high = int(hours[0]), int(hours[-1]) + 1
    start, end, asked = iso(period.start + low), iso(period.start + high), int(change[low, 0])
    available = int(left[low:high, 0].min())
    shortages = [{"start": start, "end": end, "dimension": "share", "asked": asked, "available": available}]
    raise CapacityExceeded(
        f"share: the booking asks {asked / 100:g}% of {pool_id!r} from {start} to {end}, where {available / 100:g}% are"
        " not shared out",
        pool=pool_id,
        shortages=shortages,
        shortages_total=1,
    )


def taken_by_shares(pool: Pool, period: Period, change: Vector) -> Vector:
    """The capacity that `change` in shares takes, by the hour: shape (hours, 6)."""
    return reserved_more(pool.size.read(period.start, period.end), pool.shares.read(period.start, period.end), change)


def _shortages(period: Period, asked: Vector, free: Vector, short: Any) -> tuple[list[dict[str, Any]], int]:
    """Runs of hours in which the same is asked and the same is available, by dimension, in order of time. Returns the
    first SHORTAGES_MAX of them, and how many there are: there may be a hundred thousand."""
    found, total = list[tuple[int, int, int]](), 0
    for dimension in np.flatnonzero(short.any(axis=0)).tolist():
        hours = np.flatnonzero(short[:, dimension])
        wanted, there = asked[hours, dimension], free[hours, dimension]
        new = np.ones(len(hours) + 1, dtype=np.bool_)
        new[1:-1] = (np.diff(hours) > 1) | (wanted[1:] != wanted[:-1]) | (there[1:] != there[:-1])
        bounds = np.flatnonzero(new)
        total += len(bounds) - 1
        first = bounds[: SHORTAGES_MAX + 1]
        found += zip(hours[first[:-1]].tolist(), (hours[first[1:] - 1] + 1).tolist(), repeat(dimension))
    return [
        {
            "start": iso(period.start + low),
            "end": iso(period.start + high),
            "dimension": DIMENSIONS[dimension],
            "asked": int(asked[low, dimension]),
            "available": int(free[low, dimension]),
        }
        for low, high, dimension in sorted(found)[:SHORTAGES_MAX]
    ], total
