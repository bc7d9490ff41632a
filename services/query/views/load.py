"""How much is booked in a pool and all pools inside it, added up by account or by cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database
from services.query.questions.load import LoadQuestion
from services.query.render.blocks import render_object, span
from services.query.render.tables import table
from services.query.rollup import Cells, instants
from services.query.views.accounts import read_sizes
from services.query.views.overlapping import overlaps
from services.query.views.tree import read_tree_version
from shared.capacity import DIMENSIONS, reserved
from shared.errors import InvalidField
from shared.hours import Period, hour_of, instant_of
from shared.names import spellings
from shared.postgres import Reader, Record, hours_received

# `{key}` is one of KEYS, `{dimension}` one of DIMENSIONS: never a text of the client. The groups that have booked the
# most hours stand alone, at the places up to $6. All others are one group, at the next place.
KEYS = {"account": "b.account", "cluster": "(SELECT p.id FROM pool p WHERE p.generation = $1 AND p.pool = b.pool)"}
WHERE = f"""
b.generation = $1 AND b.pool = ANY (ARRAY(
        SELECT p.pool FROM pool p
        WHERE p.generation = $1 AND p.project = split_part($2, '.', 1) AND (p.id = $2 OR starts_with(p.id, $2 || '.'))
    )) AND {overlaps("$3", "$4")} AND ($5::text[] IS NULL OR b.account = ANY ($5))
"""
COUNTED = f"""
WITH held AS (
    SELECT {{key}} AS key, b.id, greatest(b.starts, $3) AS starts, least(b.ends, $4) AS ends, b.{{dimension}} AS amount
    FROM live_booking b WHERE {WHERE}
), grouped AS (
    SELECT key, sum(ends - starts) AS held, count(DISTINCT id) AS bookings,
        string_agg(timestamptz_send(starts), ''::bytea) AS starts,
        string_agg(timestamptz_send(ends), ''::bytea) AS ends, string_agg(int8send(amount), ''::bytea) AS amounts
    FROM held GROUP BY key
), placed AS (
    SELECT least(row_number() OVER (ORDER BY held DESC, key), $6 + 1) AS place, * FROM grouped
)
SELECT place::int, min(key) AS name, count(*) AS names, sum(bookings)::bigint AS bookings,
    string_agg(starts, ''::bytea) AS starts, string_agg(ends, ''::bytea) AS ends,
    string_agg(amounts, ''::bytea) AS amounts
FROM placed GROUP BY place ORDER BY place
"""
SHARED = f"""
SELECT {{key}} AS key, b.pool, greatest(b.starts, $3) AS starts, least(b.ends, $4) AS ends, b.share
FROM live_booking b WHERE {WHERE} AND b.share > 0
"""

FIGURES = ("min", "max", "used")
SIZES_MAX = 15_000_000  # hours of clusters whose sizes one answer is made of: 120 MB
Shares = Mapping[int, Sequence[Record]]  # the shares of clusters by place


async def read_load(database: Database, question: LoadQuestion) -> ViewResult:
    """`{pool, range, grain, timezone, dimension, by, position, columns: {start, end, hours}, rows: [{name, bookings,
    min, max, used}], others}`."""
    starts = np.array(question.block_starts(), dtype=np.int64)
    async with database.snapshot() as snapshot:
        position, version = await read_tree_version(snapshot, question)
        asked = *_arguments(version.generation, question), question.rows_max
        groups = await snapshot.fetch(_statement(COUNTED, question), *asked)
        shares = await _shares(snapshot, version.generation, question, groups)
        sizes = await _sizes(snapshot, version.generation, question, shares)
    entry = await asyncio.to_thread(_made, question, version, starts, groups, shares, sizes)
    return ViewResult(position, entry)


def _statement(text: str, question: LoadQuestion) -> str:
    return text.format(key=KEYS[question.by], dimension=question.dimension)


def _arguments(generation: int, question: LoadQuestion) -> tuple[Any, ...]:
    """The arguments of SHARED; COUNTED has one more, the number of groups that stand alone."""
    start, end = (instant_of(hour) for hour in question.period)
    account = None if question.account is None else spellings(question.account)
    return generation, question.pool, start, end, account


async def _shares(reader: Reader, generation: int, question: LoadQuestion, groups: Sequence[Record]) -> Shares:
    places = {group["name"]: group["place"] for group in groups if group["place"] <= question.rows_max}
    found: dict[int, list[Record]] = {}
    for share in await reader.fetch(_statement(SHARED, question), *_arguments(generation, question)):
        found.setdefault(places.get(share["key"], question.rows_max + 1), []).append(share)
    return found


async def _sizes(reader: Reader, generation: int, question: LoadQuestion, shares: Shares) -> Mapping[int, Cells]:
    """The sizes by hour of the clusters that have shares, in the dimension of the question. Raises InvalidField."""
    pools = sorted({share["pool"] for of_place in shares.values() for share in of_place})
    if len(pools) * question.period.hours > SIZES_MAX:
        raise InvalidField(
            "range",
            f"there are shares of {len(pools)} clusters; ask for at most {SIZES_MAX // len(pools)} hours, or for a"
            " cluster with fewer clusters inside it",
        )
    place = DIMENSIONS.index(question.dimension)
    return {
        pool: (await read_sizes(reader, generation, pool, question.period))[place].copy()  # the rest is freed
        for pool in pools
    }


def _made(
    question: LoadQuestion,
    version: Version,
    starts: Cells,
    groups: Sequence[Record],
    shares: Shares,
    sizes: Mapping[int, Cells],
) -> CacheEntry:
    """The encoded answer, without the position."""
    return CacheEntry(version, *_rendered(question, starts, rows_of(question, starts, groups, shares, sizes)))


def rows_of(
    question: LoadQuestion, starts: Cells, groups: Sequence[Record], shares: Shares, sizes: Mapping[int, Cells]
) -> list[dict[str, Any]]:
    """`{name, names, bookings, min, max, used}` of each group, in the order of the groups. The rest has the name None.
    `names` is how many a group adds up; the last three are arrays, with a number for each block."""
    edges = starts - question.period.start
    rows = []
    for group in groups:
        held = held_by(question.period, group)
        for pool, points in points_of(question.period, shares.get(group["place"], ())):
            held += reserved(sizes[pool], points)
        alone = group["place"] <= question.rows_max
        found = {"name": group["name"] if alone else None, "names": group["names"], "bookings": group["bookings"]}
        low, high = np.minimum.reduceat(held, edges), np.maximum.reduceat(held, edges)
        sums = np.add.reduceat(held, edges)
        rows.append({**found, "min": low, "max": high, "used": sums})
    return rows


def points_of(period: Period, shares: Sequence[Record]) -> Iterator[tuple[int, Cells]]:
    """Each pool that the shares are of, and what they come to there in each hour, in basis points. One pool at a time:
    many accounts may have shares of many clusters, over many hours."""
    by_pool: dict[int, list[Record]] = {}
    for share in shares:
        by_pool.setdefault(share["pool"], []).append(share)
    for pool, of_pool in by_pool.items():
        points = np.zeros(period.hours, dtype=np.int64)
        for share in of_pool:
            points[hour_of(share["starts"]) - period.start : hour_of(share["ends"]) - period.start] += share["share"]
        yield pool, points


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
        "range": span(question.period),
        "grain": question.grain if isinstance(question.grain, str) else f"{question.grain}h",
        "timezone": question.zone,
        "dimension": question.dimension,
        "by": question.by,
    }
    alone = [shown(row, without="names") for row in rows if row["name"] is not None]
    others = next((shown(row, without="name") for row in rows if row["name"] is None), None)
    return render_object(opening, {"columns": columns, "rows": alone, "others": others})


def shown(row: dict[str, Any], without: str) -> dict[str, Any]:
    """The row without a field. Its arrays are text, which takes less memory than a list of numbers."""
    texts = {name: msgspec.Raw(msgspec.json.encode(row[name].tolist())) for name in FIGURES}
    return {name: value for name, value in (row | texts).items() if name != without}


def flat_rows(columns: dict[str, list[Any]], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row of the table for each name and block."""
    for row in rows:
        for cells in zip(*columns.values(), *(row[figure].tolist() for figure in FIGURES), strict=True):
            yield {"name": row["name"], **dict(zip((*columns, *FIGURES), cells, strict=True))}
