"""Hours that are promised more than they have, by when that must be settled, and between whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from services.query.answers import Read
from services.query.cache import Body, Version
from services.query.database import Database, Reader
from services.query.freshness import NoGeneration
from services.query.questions import ConflictsQuestion
from services.query.render import render_object, render_table
from shared.capacity import DIMENSIONS, WHOLE
from shared.hours import hour_of, instant_of, iso

if TYPE_CHECKING:
    from asyncpg import Record

CONFLICTS_MAX = 500
CLAIMS_MAX = 100


class Run(NamedTuple):
    """Hours in a row in which a pool lacks the same amount of one dimension. `size` is the most that it is made of."""

    start: int
    end: int
    pool: str
    number: int
    dimension: str
    deficit: int
    size: int
    beyond_hours: int


async def read_conflicts(database: Database, question: ConflictsQuestion) -> Read:
    """`{pool, range, position, conflicts: [{pool, start, end, dimension, deficit, deadline, claims, claims_total}],
    conflicts_total}`, in the order of the deadlines."""
    async with database.snapshot() as snapshot:
        position, version = await _version(snapshot, question)
        runs = runs_of(await _short_hours(snapshot, version.generation, question))
        shown = runs[:CONFLICTS_MAX]
        claims = await _claims(snapshot, version.generation, shown)
    conflicts = [conflict_of(run, claims[place]) for place, run in enumerate(shown)]
    if question.csv:
        names = ["pool", "start", "end", "dimension", "deficit", "deadline", "claims_total"]
        return Read(position, Body(version, render_table(conflicts, names)))
    period = {"start": iso(question.period.start), "end": iso(question.period.end)}
    rest = {"conflicts": conflicts, "conflicts_total": len(runs)}
    return Read(position, Body(version, *render_object({"pool": question.pool, "range": period}, rest)))


def conflict_of(run: Run, claims: list[dict[str, Any]]) -> dict[str, Any]:
    """The oldest claims first: they are the last to give way."""
    claims.sort(key=lambda claim: claim["position"])
    return {
        "pool": run.pool, "start": iso(run.start), "end": iso(run.end), "dimension": run.dimension,
        "deficit": run.deficit, "deadline": iso(run.start - run.beyond_hours),
        "claims": claims[:CLAIMS_MAX], "claims_total": len(claims),
    }  # fmt: skip


VERSION = """
SELECT g.generation, g.position, (
    SELECT max(t.touched) FROM pool t WHERE t.generation = g.generation AND t.project = p.project
), p.pool
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live
"""


async def _version(reader: Reader, question: ConflictsQuestion) -> tuple[int, Version]:
    record = await reader.fetchrow(VERSION, question.pool)
    if record is None:
        raise NoGeneration("no generation of the read models is live")
    generation, position, touched, pool = record
    if pool is None:
        raise question.unknown()
    return position, Version(generation, touched)


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
    start, end = (instant_of(hour) for hour in question.period)
    return await reader.fetch(SHORT_HOURS, generation, question.pool, start, end)


def runs_of(records: Sequence[Record]) -> list[Run]:
    """Per pool and dimension the runs of hours that lack the same, in the order of their deadlines. `records` are those
    of SHORT_HOURS."""
    if not records:
        return []
    figures = np.array([record[4:] for record in records], dtype=np.int64)
    shares, granted, booked = figures[:, :1], figures[:, 1:7], figures[:, 7:]
    missing = booked - granted - (-granted * shares) // WHOLE
    numbers = np.array([record[1] for record in records])
    hours = np.array([hour_of(record[3]) for record in records])
    runs = []
    for place, dimension in enumerate(DIMENSIONS):
        short = np.flatnonzero(missing[:, place] > 0)
        keys = np.stack([numbers[short], missing[short, place], hours[short] - np.arange(len(short))])
        for part in np.split(short, np.flatnonzero((np.diff(keys) != 0).any(axis=0)) + 1):
            if len(part):
                pool, number, beyond, *_ = records[part[0]]
                runs.append(
                    Run(
                        int(hours[part[0]]), int(hours[part[-1]]) + 1, pool, number, dimension,
                        int(missing[part[0], place]), int(granted[part, place].max()), beyond,
                    )
                )  # fmt: skip
    return sorted(runs, key=lambda run: (run.start - run.beyond_hours, run))


# `{0}` is one of DIMENSIONS, this module's own words.
BOOKINGS = """
SELECT r.place, c.id, c.account, c.starts, c.ends, c.tentative, c.claimed, c.amount, c.share
FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[]) AS r (place, pool, starts, ends)
CROSS JOIN LATERAL (
    SELECT b.id, b.account, b.starts, b.ends, b.tentative, b.claimed, b.{0} AS amount, b.share
    FROM live_booking b
    WHERE b.generation = $1 AND b.pool = r.pool AND b.ends > r.starts AND b.starts < r.ends
        AND (b.{0} > 0 OR b.share > 0)
    ORDER BY b.claimed LIMIT 1000
) c
"""
CLUSTERS = """
SELECT r.place, p.id, p.starts, p.ends, p.tentative, p.claimed, max(a.granted_{0}) AS amount
FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[]) AS r (place, pool, starts, ends)
JOIN pool p ON p.generation = $1 AND p.parent = r.pool
JOIN availability_hour a ON a.generation = $1 AND a.pool = p.pool AND a.hour >= r.starts AND a.hour < r.ends
GROUP BY r.place, p.id, p.starts, p.ends, p.tentative, p.claimed HAVING max(a.granted_{0}) > 0
"""


async def _claims(reader: Reader, generation: int, runs: Sequence[Run]) -> list[list[dict[str, Any]]]:
    """Of each run the bookings and clusters that take of what it lacks."""
    found: list[list[dict[str, Any]]] = [[] for _ in runs]
    for dimension in {run.dimension for run in runs}:
        places = [place for place, run in enumerate(runs) if run.dimension == dimension]
        within = (
            generation, places, [runs[place].number for place in places],
            [instant_of(runs[place].start) for place in places], [instant_of(runs[place].end) for place in places],
        )  # fmt: skip
        for place, booking, account, *period, tentative, claimed, counted, share in await reader.fetch(
            BOOKINGS.format(dimension), *within
        ):
            amount = counted or -((-runs[place].size * share) // WHOLE)
            if amount:
                found[place].append(claim_of("booking", str(booking), account, period, tentative, claimed, amount))
        for place, cluster, *period, tentative, claimed, amount in await reader.fetch(
            CLUSTERS.format(dimension), *within
        ):
            found[place].append(claim_of("cluster", cluster, None, period, tentative, claimed, amount))
    return found


def claim_of(
    kind: str, claim_id: str, account: str | None, period: Sequence[Any], tentative: bool, position: int, amount: int
) -> dict[str, Any]:
    """`amount` of a share, and of a cluster that changes its size, is the most that it is in these hours."""
    start, end = (iso(hour_of(edge)) for edge in period)
    return {
        kind: claim_id, "account": account, "start": start, "end": end,
        "state": "tentative" if tentative else "confirmed", "position": position, "amount": amount,
    }  # fmt: skip
