"""Gives a session the hours of a past position, which its views `availability_hour` and `short_hour` then show.

The hours are computed here and held in settings of the session: one array for each column, with one value for each run
of equal hours. A setting can be changed where nothing can be written. The function past.given_hours reads them.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import numpy as np

from services.query.answers.answers import Question
from services.query.questions.model import ConflictsQuestion, UsageQuestion
from services.query.questions.trees import TreeQuestion, check_pool_hours
from shared.as_of import AMOUNTS, Snapshot, read_all_hours, read_hours_at
from shared.capacity import DIMENSIONS, Vector, reserved
from shared.hours import Period, hour_of
from shared.names import spellings
from shared.postgres import Reader

WIDTH = len(DIMENSIONS)
COLUMNS = ("pool", "starts", "ends", "short", *AMOUNTS)
MANY = 2000  # runs: a thread makes the text of more

POOL = "SELECT pool, beyond_hours, starts, id FROM pool WHERE id = $1"
TREE = "SELECT pool, beyond_hours, starts, id FROM pool WHERE project = $1"
SHARED = """
SELECT DISTINCT pool, NULL::int AS beyond_hours, NULL::timestamptz AS starts, NULL::text AS id
FROM live_booking WHERE account = ANY ($1::text[]) AND share > 0
"""
GIVE = """
SELECT count(set_config('hourbook.given_' || name, value, true)) FROM unnest($1::text[], $2::text[]) AS t (name, value)
"""


class PoolHours(NamedTuple):
    """The hours of a pool from `start` on: `cells` has shape (hours, 13). `short_from` is the first hour that can be
    short; None: no hour can."""

    pool: int
    start: int
    cells: Vector
    short_from: int | None


async def give_hours(reader: Reader, question: Question, period: Period, position: int) -> None:
    """Gives the session of `reader`, until its transaction ends, the hours of the pools on which an answer depends."""
    kind, name = question.scope
    if isinstance(question, UsageQuestion):
        pools = await reader.fetch(SHARED, spellings(question.account))
    else:
        pools = await reader.fetch(POOL if kind == "pool" else TREE, name)
    if isinstance(question, TreeQuestion):
        pools = [pool for pool in pools if question.shows(pool["id"])]
        check_pool_hours(len(pools), period)
    runs = []
    for pool, beyond_hours, starts, _ in pools:
        start = period.start
        if beyond_hours is not None and isinstance(question, ConflictsQuestion):
            start = first_short(await read_all_hours(reader, pool, position), start)
        cells = await read_hours_at(reader, pool, position, start, period.end)
        short_from = None if beyond_hours is None else 0 if starts is None else hour_of(starts)
        runs.append(runs_of(PoolHours(pool, start, cells, short_from)))
    if runs:
        given = np.concatenate(runs, axis=1)
        texts = arrays_of(given) if given.shape[1] < MANY else await asyncio.to_thread(arrays_of, given)
        await reader.fetchrow(GIVE, COLUMNS, texts)


def first_short(snapshot: Snapshot, start: int) -> int:
    """The first hour of the run of short hours that ends just before `start`; `start` itself without such a run."""
    before = short_hours(snapshot.cells[: max(0, start - snapshot.base)])
    if start > snapshot.base + len(before) or not len(before):
        return start
    not_short = np.flatnonzero(~before)
    return snapshot.base + (int(not_short[-1]) + 1 if len(not_short) else 0)


def short_hours(cells: Vector) -> Any:
    """Which hours lack an amount of some dimension: bools of shape (n,). `cells` has shape (n, 13)."""
    granted, booked, shares = cells[:, :WIDTH], cells[:, WIDTH : 2 * WIDTH], cells[:, 2 * WIDTH :]
    return (granted - booked < reserved(granted, shares)).any(axis=1)


def runs_of(hours: PoolHours) -> Vector:
    """The runs of equal hours that are not empty: the columns COLUMNS, shape (17, runs)."""
    pool, start, cells, short_from = hours
    short = np.zeros(len(cells), dtype=np.int64)
    if short_from is not None:
        first = max(0, short_from - start)
        short[first:] = short_hours(cells[first:])
    columns = np.vstack([short, cells.T])
    edges = np.flatnonzero((np.diff(columns, axis=1) != 0).any(axis=0)) + 1
    begins, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(cells)]])
    kept = np.flatnonzero(cells[begins].any(axis=1))
    begins, ends = begins[kept], ends[kept]
    found: Vector = np.vstack([np.full(len(kept), pool), begins + start, ends + start, columns[:, begins]])
    return found


def arrays_of(columns: Vector) -> list[str]:
    """Each row of `columns` as the text of an array of PostgreSQL. In most rows all numbers are the same: zero."""
    texts = []
    for column in columns:
        if len(column) and (column == column[0]).all():
            words = [str(column[0])] * len(column)
        else:
            words = list(map(str, column.tolist()))
        texts.append("{" + ",".join(words) + "}")
    return texts
