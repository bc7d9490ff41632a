"""What changed between two positions: the hours of a pool, and the events that changed them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from services.query.answers import Answer
from services.query.database import Database, Reader
from services.query.params import parse_pool, required, unknown_pool
from services.query.rollup import reserved
from services.query.routes import POOL, AnyRequest, RangeText, ZoneText, past_of, refuse_unknown, respond
from shared.answer import Encoded
from shared.capacity import DIMENSIONS, Vector
from shared.errors import InvalidField
from shared.hours import Period, hour_of, iso, parse_range, parse_zone
from shared.past import read_changes, read_hours_at

if TYPE_CHECKING:
    from asyncpg import Record

CHANGES_MAX = 10_000
WIDTH = len(DIMENSIONS)
VALUES = ("granted", "booked", "shared", "available")

PlaceText = Annotated[
    str | None, QueryParameter(name="from", description="A position, or an instant: what was decided until then.")
]
UntilText = Annotated[str | None, QueryParameter(name="to", description="As from, and not before it.")]


class Diffs(Controller):
    database: ClassVar[Database]

    @get("/available/diff")
    async def diff(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        first: PlaceText = None,
        second: UntilText = None,
        period: RangeText = None,
        tz: ZoneText = "UTC",
    ) -> Encoded[bytes]:
        """`{pool, from, to, position, hours: [{start, end, before, after}], events: [{position, type, periods}]}`: the
        hours (of the range, if one is given) in which the pool has other figures after the event at `to` than after the
        one at `from`, those alike together, and the events in between that touched its hours, each with the hours that
        it touched. `before` and `after` are `{granted, booked, shared, available}` of each dimension."""
        refuse_unknown(request, POOL | {"from", "to", "range", "tz"})
        field, pool = parse_pool(project, clusterid)
        within = None if period is None else parse_range(period, parse_zone(tz))
        past = past_of(request)
        begin = (await past.parse(required(first, "from", "a position or an instant"), "from")).position
        end = (await past.parse(required(second, "to", "a position or an instant"), "to")).position
        if end < begin:
            raise InvalidField("to", f"it is position {end}, which is before from, {begin}")
        async with self.database.snapshot() as snapshot:
            record = await snapshot.fetchrow(NUMBER, pool, end)
            if record is None:
                raise unknown_pool(field, pool)
            body = await read_diff(snapshot, record["pool"], begin, end, within)
        answer = {"pool": pool, "from": begin, "to": end, "position": end, **body}
        return respond(Answer(end, msgspec.json.encode(answer)))


NUMBER = "SELECT pool FROM past_pool WHERE id = $1 AND since <= $2 LIMIT 1"
CHANGES = """
SELECT c.position, c.starts, c.ends, e.type FROM past_change c JOIN event e ON e.position = c.position
WHERE c.pool = $1 AND c.position > $2 AND c.position <= $3 ORDER BY c.position, c.starts, c.ends LIMIT $4
"""


async def read_diff(reader: Reader, pool: int, begin: int, end: int, within: Period | None) -> dict[str, Any]:
    """Raises InvalidField when there are too many changes for one answer."""
    changes = await reader.fetch(CHANGES, pool, begin, end, CHANGES_MAX + 1)
    if len(changes) > CHANGES_MAX:
        raise InvalidField("to", f"more than {CHANGES_MAX} changes lie between; choose positions that are nearer")
    periods = [clipped(change, within) for change in changes]
    touched = [period for period in periods if period is not None]
    if not touched:
        return {"hours": [], "events": []}
    low, high = min(period.start for period in touched), max(period.end for period in touched)
    before = await read_hours_at(reader, pool, begin, low, high)
    after = before + await read_changes(reader, pool, begin, end, low, high)
    return {"hours": runs(low, figures(before), figures(after)), "events": events_of(changes, periods)}


def clipped(change: Record, within: Period | None) -> Period | None:
    """The hours of a change that lie in the range; None when there are none."""
    start, end = hour_of(change["starts"]), hour_of(change["ends"])
    if within is not None:
        start, end = max(start, within.start), min(end, within.end)
    return Period(start, end) if start < end else None


def events_of(changes: Sequence[Record], periods: Sequence[Period | None]) -> list[dict[str, Any]]:
    events: dict[int, dict[str, Any]] = {}
    for change, period in zip(changes, periods, strict=True):
        if period is None:
            continue
        told = {"position": change["position"], "type": change["type"], "periods": []}
        hours = {"start": iso(period.start), "end": iso(period.end)}
        listed = events.setdefault(change["position"], told)["periods"]
        if hours not in listed:  # counts and their opposite, as of an amendment, are two changes of the same hours
            listed.append(hours)
    return list(events.values())


def figures(cells: Vector) -> Vector:
    """Granted, booked, shared and available, shape (hours, 4, 6), of hours of shape (hours, 13)."""
    granted, booked = cells[:, :WIDTH], cells[:, WIDTH : 2 * WIDTH]
    shared = reserved(granted.T, cells[:, 2 * WIDTH :].T).T
    found: Vector = np.stack([granted, booked, shared, granted - booked - shared], axis=1)
    return found


def runs(low: int, before: Vector, after: Vector) -> list[dict[str, Any]]:
    """The hours whose figures are not the same, those in a row that are alike together."""
    both = np.concatenate([before, after], axis=1)
    edges = np.flatnonzero((both[1:] != both[:-1]).any(axis=(1, 2))) + 1
    places = [0, *edges.tolist(), len(both)]
    changed = (before != after).any(axis=(1, 2))
    return [
        {"start": iso(low + start), "end": iso(low + end), "before": named(before[start]), "after": named(after[start])}
        for start, end in pairwise(places)
        if changed[start]
    ]


def named(cells: Vector) -> dict[str, dict[str, int]]:
    return {
        value: dict(zip(DIMENSIONS, counts, strict=True)) for value, counts in zip(VALUES, cells.tolist(), strict=True)
    }
