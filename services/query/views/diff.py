"""The changes of a pool between two positions: the hours whose figures differ, and the events that changed them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from litestar.types import Receive

from services.query.answers.admission import Admission
from services.query.answers.answers import Reply, weight_of
from services.query.answers.long import Long, windows
from services.query.database import Database
from services.query.questions.parameters import unknown_pool
from services.query.rollup import VALUES, instants
from shared.as_of import read_changes, read_hours_at
from shared.capacity import DIMENSIONS, Vector, reserved
from shared.errors import InvalidField
from shared.hours import PERIOD_HOURS_MAX, Period, hour_of, iso
from shared.postgres import Reader, Record

CHANGES_MAX = 10_000
WIDTH = len(DIMENSIONS)
RUN_ROWS = 2 + 2 * len(VALUES) * WIDTH
RUNS_AT_ONCE = 500
RUN_BYTES = 900  # of JSON for one run, about


class Comparison(NamedTuple):
    """The pool that the parameter `field` named, and the positions to compare: after `begin`, up to `end`. With
    `within`, only the hours of that period."""

    field: str
    pool: str
    begin: int
    end: int
    within: Period | None


async def read_diff(database: Database, compared: Comparison, wide: Admission, receive: Receive) -> Reply:
    """`{pool, from, to, position, hours: [{start, end, before, after}], events: [{position, type, periods}]}`. Waits
    for its turn in `wide` if it reads many hours. Raises UnknownId, InvalidField, TooBusy."""
    field, pool, begin, end, within = compared
    record = await database.fetchrow(NUMBER, pool, end)
    if record is None:
        raise unknown_pool(field, pool)
    changes = await read_between(database, record["pool"], begin, end)
    periods = [clipped(change, within) for change in changes]
    hours = hull(periods)
    async with wide.admitted(weight_of(hours.hours), receive), database.snapshot() as snapshot:
        cells = await read_runs(snapshot, record["pool"], begin, end, hours)
    opening = msgspec.json.encode({"pool": pool, "from": begin, "to": end, "position": end})[:-1]
    rest = msgspec.json.encode({"events": events_of(changes, periods)})[1:]
    return Reply(end, body_of(opening, cells, rest))


NUMBER = "SELECT pool FROM past_pool WHERE id = $1 AND since <= $2 LIMIT 1"
CHANGES = """
SELECT c.position, c.starts, c.ends, e.type FROM past_change c JOIN event e ON e.position = c.position
WHERE c.pool = $1 AND c.position > $2 AND c.position <= $3 ORDER BY c.position, c.starts, c.ends LIMIT $4
"""


async def read_between(reader: Reader, pool: int, begin: int, end: int) -> Sequence[Record]:
    """The changes of the pool between two positions. Raises InvalidField for more than CHANGES_MAX."""
    changes = await reader.fetch(CHANGES, pool, begin, end, CHANGES_MAX + 1)
    if len(changes) > CHANGES_MAX:
        raise InvalidField("to", f"more than {CHANGES_MAX} changes lie between; choose positions that are nearer")
    return changes


def hull(periods: Sequence[Period | None]) -> Period:
    """The period from the first hour of all periods to the last. Raises InvalidField for more than ten years."""
    touched = [period for period in periods if period is not None]
    if not touched:
        return Period(0, 0)
    hours = Period(min(period.start for period in touched), max(period.end for period in touched))
    if hours.hours > PERIOD_HOURS_MAX:
        raise InvalidField("range", "what changed lies more than ten years apart; give a range of ten years or less")
    return hours


async def read_runs(reader: Reader, pool: int, begin: int, end: int, hours: Period) -> Vector:
    """The result of `runs` for two positions."""
    if not hours.hours:
        return np.zeros((RUN_ROWS, 0), dtype=np.int64)
    before = await read_hours_at(reader, pool, begin, *hours)
    after = before + await read_changes(reader, pool, begin, end, *hours)
    return await asyncio.to_thread(runs, hours.start, before, after)


def body_of(opening: bytes, cells: Vector, rest: bytes) -> bytes | Long:
    """The answer: `opening`, the hours, then the text `rest`. The text of many hours is made while it is sent."""
    before, count = b',"hours":[', cells.shape[1]
    if count <= RUNS_AT_ONCE:
        return opening + before + runs_text(cells) + b"]," + rest
    parts = windows(cells, runs_text, RUN_BYTES, between=b",", before=before, after=b"]")
    return Long(opening, tuple(parts), b"," + rest)


def clipped(change: Record, within: Period | None) -> Period | None:
    """The hours of a change that lie in the range; None when no hour does."""
    start, end = hour_of(change["starts"]), hour_of(change["ends"])
    if within is not None:
        start, end = max(start, within.start), min(end, within.end)
    return Period(start, end) if start < end else None


def events_of(changes: Sequence[Record], periods: Sequence[Period | None]) -> list[dict[str, Any]]:
    """`{position, type, periods}` of each event. `periods` are the clipped periods of the changes."""
    events: dict[int, dict[str, Any]] = {}
    for change, period in zip(changes, periods, strict=True):
        if period is None:
            continue
        event = {"position": change["position"], "type": change["type"], "periods": []}
        hours = {"start": iso(period.start), "end": iso(period.end)}
        listed = events.setdefault(change["position"], event)["periods"]
        if (
            hours not in listed
        ):  # an amendment makes two changes of the same hours: the old amount less, the new one more
            listed.append(hours)
    return list(events.values())


def hourly_figures(cells: Vector) -> Vector:
    """Granted, booked, shared and available amounts, shape (hours, 4, 6). `cells` has shape (hours, 13)."""
    granted, booked = cells[:, :WIDTH], cells[:, WIDTH : 2 * WIDTH]
    shared = reserved(granted.T, cells[:, 2 * WIDTH :].T).T
    found: Vector = np.stack([granted, booked, shared, granted - booked - shared], axis=1)
    return found


def runs(low: int, before: Vector, after: Vector) -> Vector:
    """The hours whose figures differ between `before` and `after`, as runs of equal hours: of each run the first hour,
    the end, the figures before, the figures after; shape (RUN_ROWS, runs). `before` and `after` have shape
    (hours, 13)."""
    edges = np.flatnonzero((np.diff(before, axis=0) != 0).any(axis=1) | (np.diff(after, axis=0) != 0).any(axis=1)) + 1
    starts = np.concatenate([[0], edges])  # only there can a figure change
    both = np.concatenate([hourly_figures(before[starts]), hourly_figures(after[starts])], axis=1).reshape(
        len(starts), -1
    )
    first = np.concatenate([[True], (np.diff(both, axis=0) != 0).any(axis=1)])
    starts, both = starts[first], both[first]
    ends = np.append(starts[1:], len(before))
    changed = (both[:, : both.shape[1] // 2] != both[:, both.shape[1] // 2 :]).any(axis=1)
    found: Vector = np.concatenate([[low + starts[changed], low + ends[changed]], both[changed].T])
    return found


def runs_text(cells: Vector) -> bytes:
    starts, ends = instants(cells[0]), instants(cells[1])
    both = cells[2:].T.reshape(len(starts), 2, len(VALUES), WIDTH).tolist()
    hours = [
        {"start": start, "end": end, "before": named(before), "after": named(after)}
        for start, end, (before, after) in zip(starts, ends, both, strict=True)
    ]
    return msgspec.json.encode(hours)[1:-1]


def named(counts: list[list[int]]) -> dict[str, dict[str, int]]:
    return {value: dict(zip(DIMENSIONS, amounts, strict=True)) for value, amounts in zip(VALUES, counts, strict=True)}
