"""What is read, and how it becomes an answer. Every SQL statement stands above the one function that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from services.query.cache import Bodies, Body, Version
from services.query.database import Database, Reader
from services.query.freshness import Freshness, NoGeneration, Positions
from services.query.params import Cursor, Selection
from services.query.render import Item, item_names, render_csv, render_items_csv, render_json
from services.query.rollup import Rollup, figures, read_for, roll_up, scatter
from shared.capacity import DIMENSIONS
from shared.errors import InvalidField, UnknownId
from shared.hours import Period, checked_period, hour_of, instant_of, iso

if TYPE_CHECKING:
    from asyncpg import Record

# An answer with more figures than this is made beside the event loop, so that others need not wait for it.
FIGURES_INLINE_MAX = 50_000


class Answer(NamedTuple):
    """What goes back, at the position it shows; a `body` of None says that the reader's own copy is still good."""

    position: int
    body: bytes | None
    etag: str | None = None
    following: str | None = None


class Read(NamedTuple):
    """An answer as it was read, and the position that was shown then."""

    position: int
    body: Body


class Hours(NamedTuple):
    """What is known of a pool's hours in one snapshot; `packed` as `scatter` takes it, none if there are no rows."""

    position: int
    version: Version
    pool: int
    hours: bytes
    packed: list[bytes]


HOURS = """
SELECT g.generation, g.position, p.pool, p.touched, h.*
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT {columns} FROM availability_hour a
    WHERE a.generation = g.generation AND a.pool = p.pool AND a.hour >= $2 AND a.hour < $3
) h ON true
WHERE g.live
"""
PACKED = {
    "granted": "string_agg(int8send(granted_{0}), ''::bytea)",
    "booked": "string_agg(int8send(booked_{0}), ''::bytea)",
    "available": "string_agg(int8send(granted_{0} - booked_{0}), ''::bytea)",
}
READS: tuple[tuple[str, ...], ...] = ((), ("granted",), ("booked",), ("granted", "booked"), ("available",))


def hours_statement(read: tuple[str, ...], dimensions: tuple[str, ...]) -> str:
    """HOURS with a packed column for each dimension of each value read. All aggregates meet the rows in one order."""
    packed = [PACKED[value].format(dimension) for value in read for dimension in dimensions]
    return HOURS.format(columns=", ".join(["string_agg(timestamptz_send(hour), ''::bytea)", *packed]))


# Every statement that there is, made of this module's own words only.
STATEMENTS = {
    (read, dimensions): hours_statement(read, dimensions)
    for read in READS
    for size in range(1, len(DIMENSIONS) + 1)
    for dimensions in combinations(DIMENSIONS, size)
}


async def read_hours(reader: Reader, selection: Selection) -> Hours:
    """The hours of the period that have a row. Raises UnknownId for a pool that is not there."""
    statement = STATEMENTS[read_for(selection.values), selection.dimensions]
    start, end = (instant_of(hour) for hour in selection.period)
    record = await reader.fetchrow(statement, selection.pool, start, end)
    if record is None:
        raise NoGeneration("no generation of the read models is live")
    generation, position, pool, touched, hours, *packed = record
    if pool is None:
        raise unknown(selection)
    return Hours(position, Version(generation, touched), pool, hours or b"", [column or b"" for column in packed])


GRANTS = """
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, source, actor
FROM live_grant
WHERE generation = $1 AND pool = $2 AND ends > $3 AND starts < $4 AND (starts, id) > ($5, $6)
ORDER BY starts, id LIMIT $7
"""
BOOKINGS = """
SELECT id, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, account, actor
FROM live_booking
WHERE generation = $1 AND pool = $2 AND ends > $3 AND starts < $4 AND (starts, id) > ($5, $6)
ORDER BY starts, id LIMIT $7
"""
ITEMS = {"resources": GRANTS, "bookings": BOOKINGS}


async def read_items(reader: Reader, selection: Selection, hours: Hours) -> tuple[list[Item], str | None]:
    """The grants or bookings of the pool that touch the period, a page of them, and the next page's cursor."""
    start, end = (instant_of(hour) for hour in selection.period)
    after, names = selection.after, item_names(selection)
    records = await reader.fetch(
        ITEMS[selection.view], hours.version.generation, hours.pool, start, end,
        instant_of(after.start), after.id, selection.limit + 1,
    )  # fmt: skip
    page = records[: selection.limit]
    items = [item_of(record, selection.pool, names) for record in page]
    if len(records) == len(page):
        return items, None
    return items, Cursor(hour_of(page[-1]["starts"]), page[-1]["id"]).text()


def item_of(record: Record, pool: str, names: Sequence[str]) -> Item:
    start, end = iso(hour_of(record["starts"])), iso(hour_of(record["ends"]))
    item = {**record, "pool": pool, "start": start, "end": end}
    return {name: item[name] for name in names}


def unknown(selection: Selection) -> UnknownId:
    return UnknownId(selection.field, "project" if selection.field == "project" else "cluster", selection.pool)


class Calendar:
    """The answers about one pool's hours: from the cache if nothing about the pool has changed, or read in one go."""

    def __init__(self, database: Database, freshness: Freshness, positions: Positions, bodies: Bodies) -> None:
        self._database, self._freshness, self.positions, self._bodies = database, freshness, positions, bodies
        self._reading: dict[Selection, asyncio.Task[Read]] = {}
        self._to_read: dict[Selection, asyncio.Task[Read]] = {}

    async def answer(self, selection: Selection, etags: str | None, min_position: int) -> Answer:
        """`etags` is If-None-Match. Raises UnknownId, InvalidField, NotYetVisible, and asyncpg's errors."""
        return await visible(self.positions, min_position, lambda: self._answer(selection, etags))

    async def _answer(self, selection: Selection, etags: str | None) -> Answer:
        body = self._bodies.get(selection)
        if body is not None or etags is not None:
            position, version = await self._freshness.of(selection.pool)
            if version is None:
                raise unknown(selection)
            etag = etag_of(selection, version)
            if etags is not None and matches(etags, etag):
                return Answer(position, None, etag)
            if body is not None and body.version == version:
                return Answer(position, body.at(position), etag, body.following)
        position, body = await self._read_together(selection)
        return Answer(position, body.at(position), etag_of(selection, body.version), body.following)

    async def _read_together(self, selection: Selection) -> Read:
        """One read at a time of one answer. Who comes while it is under way shares the next, which sees all that was
        there when they came."""
        task = self._to_read.get(selection)
        if task is None:
            task = self._to_read[selection] = asyncio.create_task(self._read_after(selection))
        return await asyncio.shield(task)

    async def _read_after(self, selection: Selection) -> Read:
        while (before := self._reading.get(selection)) is not None:
            await asyncio.wait([before])
        self._reading[selection] = self._to_read.pop(selection)
        try:
            return await self._read(selection)
        finally:
            del self._reading[selection]

    async def _read(self, selection: Selection) -> Read:
        starts = selection.block_starts()
        items: Sequence[Item] | None = None
        following: str | None = None
        if selection.view in ITEMS:
            async with self._database.snapshot() as snapshot:
                hours = await read_hours(snapshot, selection)
                items, following = await read_items(snapshot, selection, hours)
        else:
            hours = await read_hours(self._database, selection)
        if len(starts) * len(selection.values) * len(selection.dimensions) > FIGURES_INLINE_MAX:
            body = await asyncio.to_thread(encode, selection, starts, hours, items, following)
        else:
            body = encode(selection, starts, hours, items, following)
        self._bodies.put(selection, body)
        return Read(hours.position, body)


def encode(
    selection: Selection, starts: list[int], hours: Hours, items: Sequence[Item] | None, following: str | None
) -> Body:
    """The answer's bytes, but for the position."""
    if selection.csv and items is not None:
        return Body(hours.version, render_items_csv(items, item_names(selection)), None, following)
    rollup = rolled_up(selection, starts, hours)
    if selection.csv:
        return Body(hours.version, render_csv(selection, rollup))
    return Body(hours.version, *render_json(selection, rollup, items, following), following)


def rolled_up(selection: Selection, starts: list[int], hours: Hours) -> Rollup:
    period, dimensions = selection.period, selection.dimensions
    cells = scatter(period, hours.hours, hours.packed)
    width = len(dimensions)
    read = {value: cells[i * width : (i + 1) * width] for i, value in enumerate(read_for(selection.values))}
    return roll_up(figures(selection.values, read, (width, period.hours)), period, starts)


def etag_of(selection: Selection, version: Version) -> str:
    """Weak, for the position that an answer shows moves on while all else in it stands still."""
    question = blake2b(msgspec.json.encode(selection), digest_size=8).hexdigest()
    return f'W/"{version.generation}-{version.touched}-{question}"'


def matches(etags: str, etag: str) -> bool:
    """Whether If-None-Match names the answer, compared weakly as RFC 9110 has it."""
    opaque = etag.removeprefix("W/")
    return any(given.strip().removeprefix("W/") in ("*", opaque) for given in etags.split(","))


async def visible(positions: Positions, min_position: int, read: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `read` answers, once it shows at least `min_position`. Raises NotYetVisible."""
    deadline = asyncio.get_running_loop().time() + positions.timeout_s
    while True:
        await positions.reached(min_position)
        answer = await read()
        if answer.position >= min_position:
            return answer
        positions.seen = answer.position  # another generation went live, and is behind the one before
        if asyncio.get_running_loop().time() > deadline:
            raise positions.not_yet(min_position)


CLUSTER_PERIOD = """
SELECT p.starts, p.ends FROM generation g JOIN pool p ON p.generation = g.generation AND p.id = $1
WHERE g.live
"""


async def cluster_period(database: Database, cluster: str, positions: Positions, min_position: int) -> Period:
    """The hours from the cluster's start to its end. Raises UnknownId, and InvalidField when it has no such hours."""
    await positions.reached(min_position)
    record = await database.fetchrow(CLUSTER_PERIOD, cluster)
    if record is None:
        raise UnknownId("id", "cluster", cluster)
    if record["starts"] is None or record["ends"] is None:
        raise InvalidField("range", "the cluster has no period of its own; give a range")
    return checked_period(Period(hour_of(record["starts"]), hour_of(record["ends"])), "range")


PROJECTS = """
SELECT g.position, p.id, NULL AS parent, p.project, p.name, p.kind, p.starts, p.ends
FROM generation g LEFT JOIN LATERAL (
    SELECT * FROM pool WHERE pool.generation = g.generation AND pool.parent IS NULL AND pool.id > $1
    ORDER BY pool.id LIMIT $2
) p ON true
WHERE g.live ORDER BY p.id
"""


async def read_projects(database: Database, after: str, limit: int) -> Answer:
    """The projects in the order of their ids."""
    return listed(await database.fetch(PROJECTS, after, limit + 1), "projects", limit)


POOLS = """
SELECT g.position, p.id, p.parent, p.project, p.name, p.kind, p.starts, p.ends
FROM generation g LEFT JOIN LATERAL (
    SELECT child.id, parent.id AS parent, child.project, child.name, child.kind, child.starts, child.ends
    FROM pool child LEFT JOIN pool parent ON parent.generation = child.generation AND parent.pool = child.parent
    WHERE child.generation = g.generation AND child.id > $1 AND ($3::text IS NULL OR child.project = $3)
    ORDER BY child.id LIMIT $2
) p ON true
WHERE g.live ORDER BY p.id
"""


async def read_pools(database: Database, project: str | None, after: str, limit: int) -> Answer:
    """The pools, of one project or of all, in the order of their ids. Raises UnknownId."""
    records = await database.fetch(POOLS, after, limit + 1, project)
    if project is not None and not after and records and records[0]["id"] is None:
        raise UnknownId("project", "project", project)
    return listed(records, "pools", limit)


def listed(records: Sequence[Record], name: str, limit: int) -> Answer:
    """`{position, <name>: [{id, parent, project, name, kind, start, end}], next}`."""
    if not records:
        raise NoGeneration("no generation of the read models is live")
    position = records[0]["position"]
    pools = [pool_row(record) for record in records if record["id"] is not None]
    following = pools[limit - 1]["id"] if len(pools) > limit else None
    body = {"position": position, name: pools[:limit], "next": following}
    return Answer(position, msgspec.json.encode(body), following=following)


def pool_row(record: Record) -> dict[str, Any]:
    starts, ends = record["starts"], record["ends"]
    return {
        **{name: record[name] for name in ("id", "parent", "project", "name", "kind")},
        "start": None if starts is None else iso(hour_of(starts)),
        "end": None if ends is None else iso(hour_of(ends)),
    }
