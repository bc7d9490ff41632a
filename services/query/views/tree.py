"""A pool and the pools inside it, and the hours of all of them in one statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from services.query.answers.cache import Version
from services.query.database import live
from services.query.held_hours import Columns
from services.query.questions.model import PoolQuestion
from services.query.questions.trees import TreeQuestion
from services.query.rollup import Cells, scatter
from services.query.views.hours import packed
from shared.hours import Period, hour_of, instant_of
from shared.postgres import Reader


class TreePool(NamedTuple):
    """A pool of a tree. `pool` is its key in the tables, `own` a cluster's own period; None for a project."""

    pool: int
    id: str
    name: str
    kind: str
    own: Period | None


class Tree(NamedTuple):
    """A pool and the pools inside it, in one snapshot, each before those inside it, then by their ids."""

    position: int
    version: Version
    pools: Sequence[TreePool]


# A name may be given again. So a pool also lives in a period in which it has a size, whatever period it has now.
TREE = """
WITH g AS MATERIALIZED (  -- once, and not for each pool
    SELECT generation, position, (
        SELECT max(touched) FROM pool WHERE pool.generation = l.generation AND pool.project = $2
    ) AS touched FROM generation l WHERE l.live
)
SELECT g.generation, g.position, g.touched, p.pool, p.id, p.name, p.kind, p.starts, p.ends
FROM g LEFT JOIN LATERAL (
    SELECT o.pool, o.id, o.name, o.kind, o.starts, o.ends FROM pool o
    WHERE o.generation = g.generation AND o.project = $2 AND (o.id = $1 OR starts_with(o.id, $1 || '.') AND (
        o.starts IS NULL OR (o.starts < $4 AND o.ends > $3) OR EXISTS (
            SELECT FROM availability_hour a
            WHERE a.generation = g.generation AND a.pool = o.pool AND a.hour >= $3 AND a.hour < $4
                AND (a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc,
                     a.granted_datadisc) <> (0, 0, 0, 0, 0, 0)
        )
    ))
) p ON true
"""


async def read_tree(reader: Reader, question: TreeQuestion) -> Tree:
    """The pool of the question, and those inside it that live in the period and may be shown. Raises UnknownId."""
    start, end = (instant_of(hour) for hour in question.period)
    project = question.pool.partition(".")[0]
    records = live(await reader.fetch(TREE, question.pool, project, start, end))
    generation, position, touched, *_ = records[0]
    found = [_pool(*record[3:]) for record in records]
    if all(pool.id != question.pool for pool in found):
        raise question.unknown()
    pools = sorted((pool for pool in found if question.within.has(pool.id)), key=lambda pool: pool.id.split("."))
    return Tree(position, Version(generation, touched), pools)


def _pool(pool: int, name: str, title: str, kind: str, starts: datetime | None, ends: datetime | None) -> TreePool:
    own = None if starts is None or ends is None else Period(hour_of(starts), hour_of(ends))
    return TreePool(pool, name, title, kind, own)


TREE_VERSION = """
SELECT g.generation, g.position, p.pool, (
    SELECT max(t.touched) FROM pool t WHERE t.generation = g.generation AND t.project = p.project
)
FROM generation g LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live
"""


async def read_tree_version(reader: Reader, question: PoolQuestion) -> tuple[int, Version]:
    """The position of the live generation, and the version of the whole project of the pool. Raises UnknownId."""
    generation, position, pool, touched = live(await reader.fetchrow(TREE_VERSION, question.pool))
    if pool is None:
        raise question.unknown()
    return position, Version(generation, touched)


NUMBERS_AT_ONCE = 2_000_000  # hours and figures that one statement reads: 16 MB
HOURS_OF_POOLS = """
SELECT pool, {columns} FROM availability_hour a
WHERE a.generation = $1 AND a.pool = ANY ($2::int[]) AND a.hour >= $3 AND a.hour < $4 GROUP BY pool
"""


@lru_cache(maxsize=1024)
def hours_of_pools_statement(columns: Columns) -> str:
    """HOURS_OF_POOLS with packed columns. No text of a client goes into it."""
    return HOURS_OF_POOLS.format(columns=", ".join(packed(columns)))


async def read_pool_hours(
    reader: Reader, generation: int, pools: Sequence[TreePool], period: Period, columns: Columns
) -> AsyncIterator[tuple[TreePool, Cells]]:
    """Each of the pools with its hours of the period, shape (columns, hours), in order. An hour without a row is zero.
    One statement reads many pools, up to NUMBERS_AT_ONCE."""
    start, end = (instant_of(hour) for hour in period)
    many = max(1, NUMBERS_AT_ONCE // ((1 + len(columns)) * period.hours))
    none = [b""] * (1 + len(columns))
    for begin in range(0, len(pools), many):
        some = pools[begin : begin + many]
        keys = [pool.pool for pool in some]
        records = await reader.fetch(hours_of_pools_statement(columns), generation, keys, start, end)
        received = {key: packs for key, *packs in records}
        for pool in some:
            hours, *cells = received.get(pool.pool, none)
            yield pool, scatter(period, hours, cells)
