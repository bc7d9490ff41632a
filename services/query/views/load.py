"""How much is booked in a pool and all pools inside it, added up by account or by cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.load import LoadQuestion
from services.query.render.blocks import render_object
from services.query.render.tables import table
from services.query.rollup import Cells, instants
from services.query.views.accounts import read_sizes
from shared.capacity import DIMENSIONS, reserved
from shared.hours import Period, hour_of, instant_of, iso
from shared.names import spellings
from shared.postgres import Reader, Record, hours_received

VERSION = """
SELECT g.generation, g.position, p.pool, (
    SELECT max(t.touched) FROM pool t WHERE t.generation = g.generation AND t.project = p.project
)
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live
"""
# `{key}` is one of KEYS, `{dimension}` one of DIMENSIONS: never a text of the client. The groups that have booked the
# most hours stand alone, at the places up to $6. All others are one group, at the next place.
KEYS = {"account": "b.account", "cluster": "p.id"}
HELD = """
WITH held AS (
    SELECT {key} AS key, b.id, b.pool, greatest(b.starts, $3) AS starts, least(b.ends, $4) AS ends,
        b.{dimension} AS amount, b.share
    FROM pool p JOIN live_booking b ON b.generation = p.generation AND b.pool = p.pool
    WHERE p.generation = $1 AND p.project = split_part($2, '.', 1) AND (p.id = $2 OR starts_with(p.id, $2 || '.'))
        AND b.ends > $3 AND b.starts < $4 AND ($5::text[] IS NULL OR b.account = ANY ($5))
), placed AS (
    SELECT key, least(row_number() OVER (ORDER BY sum(ends - starts) DESC, key), $6 + 1) AS place
    FROM held GROUP BY key
)
"""
COUNTED = (
    HELD
    + """
SELECT placed.place::int AS place, min(key) AS name, count(DISTINCT key) AS names, count(DISTINCT id) AS bookings,
    string_agg(timestamptz_send(starts), ''::bytea) AS starts, string_agg(timestamptz_send(ends), ''::bytea) AS ends,
    string_agg(int8send(amount), ''::bytea) AS amounts
FROM held JOIN placed USING (key) GROUP BY placed.place ORDER BY placed.place
"""
)
SHARED = HELD + "SELECT placed.place::int, pool, starts, ends, share FROM held JOIN placed USING (key) WHERE share > 0"

FIGURES = ("min", "max", "used")
Points = Mapping[int, Mapping[int, Cells]]  # basis points by hour, by place and pool


async def read_load(database: Database, question: LoadQuestion) -> ViewResult:
    """`{pool, range, grain, timezone, dimension, by, position, columns: {start, end, hours}, rows: [{name, bookings,
    min, max, used}], others}`."""
    starts = np.array(question.block_starts(), dtype=np.int64)
    async with database.snapshot() as snapshot:
        position, version = await _version(snapshot, question)
        groups = await snapshot.fetch(_statement(COUNTED, question), *_arguments(version.generation, question))
        points = await _points(snapshot, version.generation, question)
        sizes = {
            pool: await read_sizes(snapshot, version.generation, pool, question.period)
            for pool in sorted({pool for shares in points.values() for pool in shares})
        }
    rows = await asyncio.to_thread(rows_of, question, starts, groups, points, sizes)
    return ViewResult(position, CacheEntry(version, *_rendered(question, starts, rows)))


def _statement(text: str, question: LoadQuestion) -> str:
    return text.format(key=KEYS[question.by], dimension=question.dimension)


async def _version(reader: Reader, question: LoadQuestion) -> tuple[int, Version]:
    generation, position, pool, touched = live(await reader.fetchrow(VERSION, question.pool))
    if pool is None:
        raise question.unknown()
    return position, Version(generation, touched)


def _arguments(generation: int, question: LoadQuestion) -> tuple[Any, ...]:
    """The arguments of COUNTED and SHARED."""
    start, end = (instant_of(hour) for hour in question.period)
    account = None if question.account is None else spellings(question.account)
    return generation, question.pool, start, end, account, question.rows_max


async def _points(reader: Reader, generation: int, question: LoadQuestion) -> dict[int, dict[int, Cells]]:
    """The shares of clusters that each group holds, in basis points by hour."""
    points: dict[int, dict[int, Cells]] = {}
    start, end = question.period
    arguments = _arguments(generation, question)
    for place, pool, starts, ends, share in await reader.fetch(_statement(SHARED, question), *arguments):
        hours = points.setdefault(place, {}).setdefault(pool, np.zeros((1, end - start), dtype=np.int64))
        hours[:, hour_of(starts) - start : hour_of(ends) - start] += share
    return points


def rows_of(
    question: LoadQuestion, starts: Cells, groups: Sequence[Record], points: Points, sizes: Mapping[int, Cells]
) -> list[dict[str, Any]]:
    """`{name, names, bookings, min, max, used}` of each group, in the order of the groups. The rest has the name None.
    `names` is how many a group adds up."""
    edges, dimension = starts - question.period.start, DIMENSIONS.index(question.dimension)
    rows = []
    for group in groups:
        held = held_by(question.period, group)
        for pool, shares in points.get(group["place"], {}).items():
            held += reserved(sizes[pool], shares)[dimension]
        alone = group["place"] <= question.rows_max
        found = {"name": group["name"] if alone else None, "names": group["names"], "bookings": group["bookings"]}
        low, high = np.minimum.reduceat(held, edges), np.maximum.reduceat(held, edges)
        sums = np.add.reduceat(held, edges)
        rows.append({**found, "min": low.tolist(), "max": high.tolist(), "used": sums.tolist()})
    return rows


def held_by(period: Period, group: Record) -> Cells:
    """What the bookings of counts of a group hold in each hour."""
    steps = np.zeros(period.hours + 1, dtype=np.int64)
    amounts = np.frombuffer(group["amounts"], dtype=">i8").astype(np.int64)
    np.add.at(steps, hours_received(group["starts"], since=period.start), amounts)
    np.subtract.at(steps, hours_received(group["ends"], since=period.start), amounts)
    held: Cells = np.cumsum(steps)[:-1]
    return held


def _rendered(question: LoadQuestion, starts: Cells, rows: Sequence[dict[str, Any]]) -> tuple[bytes, bytes | None]:
    ends = np.append(starts[1:], question.period.end)
    columns = {"start": instants(starts), "end": instants(ends), "hours": (ends - starts).tolist()}
    if question.csv:
        return table(flat_rows(columns, rows), ["name", *columns, *FIGURES]), None
    opening = {
        "pool": question.pool,
        "range": {"start": iso(question.period.start), "end": iso(question.period.end)},
        "grain": question.grain if isinstance(question.grain, str) else f"{question.grain}h",
        "timezone": question.zone,
        "dimension": question.dimension,
        "by": question.by,
    }
    alone = [without(row, "names") for row in rows if row["name"] is not None]
    others = next((without(row, "name") for row in rows if row["name"] is None), None)
    return render_object(opening, {"columns": columns, "rows": alone, "others": others})


def without(row: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != field}


def flat_rows(columns: dict[str, list[Any]], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row of the table for each name and block."""
    for row in rows:
        for cells in zip(*columns.values(), *(row[figure] for figure in FIGURES), strict=True):
            yield {"name": row["name"], **dict(zip((*columns, *FIGURES), cells, strict=True))}
