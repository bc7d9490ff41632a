"""Conflicts: hours in which more is promised than there is, with the deadline and the claims of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry
from services.query.database import Database
from services.query.questions.model import ConflictsQuestion
from services.query.render.blocks import render_object, span
from services.query.render.tables import table
from services.query.views.tree import read_tree_version
from shared.capacity import DIMENSIONS, reserved
from shared.hours import hour_of, instant_of, iso
from shared.postgres import Reader, Record

CONFLICTS_MAX = 500
CLAIMS_MAX = 100
BACK_HOURS = 31 * 24  # hours before the range that are read first, to find where a run of short hours began


class Run(NamedTuple):
    """Hours in a row in which a pool lacks the same amount of one dimension. `began` is the first of them, which may be
    before the range; `start` is the first in the range. `number` is the pool's key in the tables. `size` is the largest
    granted amount in an hour of it."""

    began: int
    start: int
    end: int
    pool: str
    number: int
    dimension: str
    deficit: int
    size: int
    beyond_hours: int


class Claims(NamedTuple):
    """Some of the claims on a run, the oldest among them, and the number of all claims."""

    oldest: list[dict[str, Any]]
    total: int


async def read_conflicts(database: Database, question: ConflictsQuestion) -> ViewResult:
    """`{pool, range, position, conflicts: [{pool, start, end, dimension, deficit, deadline, claims, claims_total}],
    conflicts_total}`, ordered by deadline."""
    async with database.snapshot() as snapshot:
        position, version = await read_tree_version(snapshot, question)
        runs = runs_of(await _short_hours(snapshot, version.generation, question), question.period.start)
        shown = runs[:CONFLICTS_MAX]
        claims = await _claims(snapshot, version.generation, shown)
    conflicts = [conflict_of(run, claims[place]) for place, run in enumerate(shown)]
    if question.csv:
        names = ["pool", "start", "end", "dimension", "deficit", "deadline", "claims_total"]
        return ViewResult(position, CacheEntry(version, table(conflicts, names)))
    opening = {"pool": question.pool, "range": span(question.period)}
    rest = {"conflicts": conflicts, "conflicts_total": len(runs)}
    return ViewResult(position, CacheEntry(version, *render_object(opening, rest)))


def conflict_of(run: Run, claims: Claims) -> dict[str, Any]:
    """A conflict with its oldest claims first. Its deadline depends on its first hour, also one before the range."""
    oldest = sorted(claims.oldest, key=lambda claim: int(claim["position"]))
    return {
        "pool": run.pool,
        "start": iso(run.start),
        "end": iso(run.end),
        "dimension": run.dimension,
        "deficit": run.deficit,
        "deadline": iso(run.began - run.beyond_hours),
        "claims": oldest[:CLAIMS_MAX],
        "claims_total": claims.total,
    }


SHORT_HOURS = """
SELECT p.id, p.pool, p.beyond_hours, s.hour, a.shares,
    a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc, a.granted_datadisc,
    a.booked_servers, a.booked_cores, a.booked_memory, a.booked_tempdisc, a.booked_userdisc, a.booked_datadisc
FROM pool p
JOIN short_hour s ON s.generation = p.generation AND s.pool = p.pool AND s.hour >= $3 AND s.hour < $4
JOIN availability_hour a ON a.generation = s.generation AND a.pool = s.pool AND a.hour = s.hour
WHERE p.generation = $1 AND p.project = split_part($2, '.', 1) AND (p.id = $2 OR starts_with(p.id, $2 || '.'))
ORDER BY p.pool, s.hour
"""


async def _short_hours(reader: Reader, generation: int, question: ConflictsQuestion) -> Sequence[Record]:
    """The short hours of the range, and those before it back to the last hour in which no pool is short."""
    first, end = question.period
    back = BACK_HOURS
    while True:
        records = await reader.fetch(SHORT_HOURS, generation, question.pool, instant_of(first), instant_of(end))
        if not any(hour_of(record[3]) == first for record in records):
            return records
        first, back = first - back, 2 * back


def runs_of(records: Sequence[Record], start: int) -> list[Run]:
    """The runs of each pool and dimension that do not end before the hour `start`, ordered by deadline. `records` are
    those of SHORT_HOURS."""
    if not records:
        return []
    figures = np.array([record[4:] for record in records], dtype=np.int64)
    shares, granted, booked = figures[:, :1], figures[:, 1:7], figures[:, 7:]
    missing = booked - granted + reserved(granted, shares)
    numbers = np.array([record[1] for record in records])
    hours = np.array([hour_of(record[3]) for record in records])
    runs = []
    for place, dimension in enumerate(DIMENSIONS):
        short = np.flatnonzero(missing[:, place] > 0)
        keys = np.stack([numbers[short], missing[short, place], hours[short] - np.arange(len(short))])
        for part in np.split(short, np.flatnonzero((np.diff(keys) != 0).any(axis=0)) + 1):
            if len(part) and hours[part[-1]] >= start:
                pool, number, beyond, *_ = records[part[0]]
                began, end = int(hours[part[0]]), int(hours[part[-1]]) + 1
                shown = part[hours[part] >= start]
                deficit, size = int(missing[part[0], place]), int(granted[shown, place].max())
                runs.append(Run(began, max(start, began), end, pool, number, dimension, deficit, size, beyond))
    return sorted(runs, key=lambda run: (run.began - run.beyond_hours, run))


# `{0}` is one of DIMENSIONS, never a text of the client. Each pool is read once, from its first conflict to its last.
BOOKINGS = """
SELECT b.pool, (extract(epoch FROM b.starts) / 3600)::bigint, (extract(epoch FROM b.ends) / 3600)::bigint, b.{0},
    b.share, b.id, b.account, b.tentative, b.claimed
FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[]) AS h (pool, starts, ends)
JOIN live_booking b ON b.generation = $1 AND b.pool = h.pool AND b.ends > h.starts AND b.starts < h.ends
WHERE b.{0} > 0 OR b.share > 0
ORDER BY b.claimed
"""
CLUSTERS = """
SELECT r.place, p.id, p.starts, p.ends, p.tentative, p.claimed, max(a.granted_{0}) AS amount
FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[]) AS r (place, pool, starts, ends)
JOIN pool p ON p.generation = $1 AND p.parent = r.pool
JOIN availability_hour a ON a.generation = $1 AND a.pool = p.pool AND a.hour >= r.starts AND a.hour < r.ends
GROUP BY r.place, p.id, p.starts, p.ends, p.tentative, p.claimed HAVING max(a.granted_{0}) > 0
"""


async def _claims(reader: Reader, generation: int, runs: Sequence[Run]) -> list[Claims]:
    """For each run, the bookings and clusters that take of the dimension that it lacks."""
    found = [Claims([], 0) for _ in runs]
    for dimension in {run.dimension for run in runs}:
        places = [place for place, run in enumerate(runs) if run.dimension == dimension]
        mine = [runs[place] for place in places]
        pools = sorted({run.number for run in mine})
        starts = [instant_of(min(run.start for run in mine if run.number == pool)) for pool in pools]
        ends = [instant_of(max(run.end for run in mine if run.number == pool)) for pool in pools]
        bookings = await reader.fetch(BOOKINGS.format(dimension), generation, pools, starts, ends)
        within = (
            generation,
            places,
            [run.number for run in mine],
            [instant_of(run.start) for run in mine],
            [instant_of(run.end) for run in mine],
        )
        clusters = await reader.fetch(CLUSTERS.format(dimension), *within)
        for place, claims in zip(places, await asyncio.to_thread(bookings_of, mine, bookings), strict=True):
            found[place] = claims
        for place, cluster, *period, tentative, claimed, amount in clusters:
            start, end = (hour_of(edge) for edge in period)
            claim = claim_of("cluster", cluster, None, start, end, tentative, claimed, amount)
            found[place] = Claims([*found[place].oldest, claim], found[place].total + 1)
    return found


def bookings_of(runs: Sequence[Run], records: Sequence[Record]) -> list[Claims]:
    """For each run, the oldest bookings that take of it, and the number of all. `records` are those of BOOKINGS, oldest
    first."""
    figures = np.array([record[:5] for record in records], dtype=np.int64).reshape(-1, 5)
    pools, starts, ends, counts, shares = figures.T
    found = []
    for run in runs:
        amounts = np.where(shares > 0, reserved(run.size, shares), counts)
        touch = np.flatnonzero((pools == run.number) & (starts < run.end) & (ends > run.start) & (amounts > 0))
        oldest = []
        for place in touch[:CLAIMS_MAX]:
            _, start, end, _, _, booking, account, tentative, claimed = records[place]
            amount = int(amounts[place])
            oldest.append(claim_of("booking", str(booking), account, start, end, tentative, claimed, amount))
        found.append(Claims(oldest, len(touch)))
    return found


def claim_of(
    kind: str, claim_id: str, account: str | None, start: int, end: int, tentative: bool, position: int, amount: int
) -> dict[str, Any]:
    """A claim as JSON. If the amount of a share or of a cluster changes in these hours, `amount` is the largest."""
    return {
        kind: claim_id,
        "account": account,
        "start": iso(start),
        "end": iso(end),
        "state": "tentative" if tentative else "confirmed",
        "position": position,
        "amount": amount,
    }
