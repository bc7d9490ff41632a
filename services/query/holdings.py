"""What an account holds of one pool, from an hour on: the amounts in that hour, and when they change.

A share holds its part of the size that the pool has then. The shares of the account are added first, and then rounded
down; for availability, all shares of an hour are rounded up. So the accounts together never hold more than is reserved.

A tentative claim holds nothing in an hour that is short: the hour has not got it. In its other hours it holds what a
confirmed one holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from services.query.rollup import Cells
from shared.capacity import DIMENSIONS, WHOLE
from shared.hours import Period

Counts = tuple[int, ...]  # in the order of DIMENSIONS
NOTHING: Counts = (0,) * len(DIMENSIONS)


class Hold(NamedTuple):
    """A booking, or a segment of one: counts, or basis points of the pool's size."""

    booking: str
    period: Period
    counts: Counts
    share: int
    tentative: bool


class Size(NamedTuple):
    """The size that a pool has from an hour on."""

    start: int
    counts: Counts


class Held(NamedTuple):
    """What is held in one hour: the amounts, and the holds behind them. `until` is the hour in which the amounts are
    others; None: they stay the same as far as was looked."""

    counts: Counts
    holds: Sequence[Hold]
    until: int | None


def held_from(
    hour: int, end: int, holds: Sequence[Hold], sizes: Sequence[Size], short: Sequence[Period], lost: Sequence[Period]
) -> Held:
    """What these holds of one pool give in an hour, and when that changes, before `end`.

    `short` are the hours in which the pool is short, where tentative holds give nothing. In `lost` nothing is held: the
    cluster, or one around it, is tentative, and its own pool is short. Both are in order.
    """
    pieces = [(piece, hold) for hold in holds for piece in kept(hold, short, lost) if piece.end > hour]
    edges = {edge for piece, _ in pieces for edge in piece} | {size.start for size in sizes}
    points = np.array([hour, *sorted(edge for edge in edges if hour < edge < end)], dtype=np.int64)
    amounts = amounts_at(points, pieces, sizes)
    changed = np.flatnonzero((amounts != amounts[:, :1]).any(axis=0))
    return Held(
        tuple(amounts[:, 0].tolist()),
        [hold for piece, hold in pieces if piece.start <= hour],
        int(points[changed[0]]) if len(changed) else None,
    )


def amounts_at(points: Cells, pieces: Sequence[tuple[Period, Hold]], sizes: Sequence[Size]) -> Cells:
    """The amounts at each of these hours, shape (6, hours)."""
    steps = np.zeros((len(DIMENSIONS) + 1, len(points) + 1), dtype=np.int64)
    for (start, end), hold in pieces:
        first, after = np.searchsorted(points, (start, end))
        steps[:, first] += (*hold.counts, hold.share)
        steps[:, after] -= (*hold.counts, hold.share)
    *counts, shares = np.cumsum(steps, axis=1)[:, :-1]
    amounts = np.array(counts)
    if shares.any():
        amounts += size_at(points, sizes) * shares // WHOLE
    return amounts


def size_at(points: Cells, sizes: Sequence[Size]) -> Cells:
    """The size at each of these hours, shape (6, hours). `sizes` are in order."""
    starts = [size.start for size in sizes]
    known = [NOTHING, *(size.counts for size in sizes)]
    return np.array([known[bisect_right(starts, point)] for point in points.tolist()], dtype=np.int64).T


def kept(hold: Hold, short: Iterable[Period], lost: Sequence[Period]) -> Iterable[Period]:
    """The hours in which the hold gives something."""
    without = sorted([*short, *lost]) if hold.tentative else lost
    start = hold.period.start
    for gap in without:
        if start < gap.end and gap.start < hold.period.end:
            if start < gap.start:
                yield Period(start, gap.start)
            start = max(start, gap.end)
    if start < hold.period.end:
        yield Period(start, hold.period.end)


def runs_of(hours: Sequence[int]) -> list[Period]:
    """The hours, which are in order, as runs."""
    if not hours:
        return []
    starts = [hours[0], *(after for before, after in pairwise(hours) if after > before + 1)]
    ends = [*(before + 1 for before, after in pairwise(hours) if after > before + 1), hours[-1] + 1]
    return [Period(*run) for run in zip(starts, ends, strict=True)]
