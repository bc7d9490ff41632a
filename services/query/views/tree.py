"""A pool and the pools inside it, and the hours of all of them in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from services.query.answers.cache import Version
from services.query.database import live
from services.query.questions.matrix import TreeQuestion
from services.query.rollup import Cells, scatter
from services.query.views.hours import Columns, packed
from shared.hours import Period, instant_of
from shared.postgres import Reader


class TreePool(NamedTuple):
    """A pool of a tree. `pool` is its key in the tables."""

    pool: int
    id: str
    name: str
    kind: str


class Tree(NamedTuple):
    """A pool and the pools inside it, in one snapshot, each before those inside it, then by their ids."""

    position: int
    version: Version
    pools: Sequence[TreePool]


# A name may be given again. So a pool also lives in a period in which it has a size, whatever period it has now.
TREE = """
SELECT g.generation, g.position, t.touched, p.pool, p.id, p.name, p.kind
FROM generation g
CROSS JOIN LATERAL (SELECT max(touched) AS touched FROM pool WHERE generation = g.generation AND project = $2) t
LEFT JOIN LATERAL (
    SELECT o.pool, o.id, o.name, o.kind FROM pool o
    WHERE o.generation = g.generation AND o.project = $2 AND (o.id = $1 OR starts_with(o.id, $1 || '.') AND (
        o.starts IS NULL OR (o.starts < $4 AND o.ends > $3) OR EXISTS (
            SELECT FROM availability_hour a
            WHERE a.generation = g.generation AND a.pool = o.pool AND a.hour >= $3 AND a.hour < $4
                AND (a.granted_servers, a.granted_cores, a.granted_memory, a.granted_tempdisc, a.granted_userdisc,
                     a.granted_datadisc) <> (0, 0, 0, 0, 0, 0)
        )
    ))
) p ON true
WHERE g.live
"""


async def read_tree(reader: Reader, question: TreeQuestion) -> Tree:
    """The pool of the question, and those inside it that live in the period and may be shown. Raises UnknownId."""
    start, end = (instant_of(hour) for hour in question.period)
    project = question.pool.partition(".")[0]
    records = live(await reader.fetch(TREE, question.pool, project, start, end))
    generation, position, touched, *_ = records[0]
    found = [TreePool(*record[3:]) for record in records]
    if all(pool.id != question.pool for pool in found):
        raise question.unknown()
    pools = sorted((pool for pool in found if question.within.has(pool.id)), key=lambda pool: pool.id.split("."))
    return Tree(position, Version(generation, touched), pools)


HOURS_OF_POOLS = """
SELECT pool, {columns} FROM availability_hour a
WHERE a.generation = $1 AND a.pool = ANY ($2::int[]) AND a.hour >= $3 AND a.hour < $4 GROUP BY pool
"""


@lru_cache(maxsize=1024)
def hours_of_pools_statement(columns: Columns) -> str:
    """HOURS_OF_POOLS with packed columns. No text of a client goes into it."""
    return HOURS_OF_POOLS.format(columns=", ".join(packed(columns)))


class TreeHours:
    """The hours of many pools, as they were received."""

    def __init__(self, period: Period, columns: Columns, received: Mapping[int, Sequence[bytes]]) -> None:
        self._period, self._columns, self._received = period, columns, received

    def of(self, pool: TreePool) -> Cells:
        """The hours of a pool, shape (columns, hours). An hour without a row is zero."""
        hours, *cells = self._received.get(pool.pool, [b""] * (1 + len(self._columns)))
        return scatter(self._period, hours, cells)


async def read_tree_hours(reader: Reader, tree: Tree, period: Period, columns: Columns) -> TreeHours:
    """The hours of the period of all pools of a tree, in the snapshot of `reader`."""
    start, end = (instant_of(hour) for hour in period)
    statement, pools = hours_of_pools_statement(columns), [pool.pool for pool in tree.pools]
    records = await reader.fetch(statement, tree.version.generation, pools, start, end)
    return TreeHours(period, columns, {pool: cells for pool, *cells in records})
