"""The compatibility endpoints: a Nova quota is a grant, a Magnum cluster is a cluster."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.calendar import OPENSTACK_COLUMNS, CalendarQuestion
from services.query.questions.model import ClusterQuestion, ProjectSizesQuestion, QuotaQuestion, ResizesQuestion
from services.query.render.blocks import openstack_rows, render_object, render_openstack
from services.query.render.layouts import FLAVORS, layout_json
from services.query.render.tables import table
from services.query.render.windows import render_long
from services.query.rollup import Rollup, roll_up, scatter
from services.query.views.items import state_of
from shared.capacity import DIMENSIONS
from shared.hours import hour_of, instant_of, iso

QUOTA = """
SELECT g.generation, g.position, p.id AS project, q.id, q.starts, q.ends, q.servers, q.cores, q.memory, q.tempdisc,
    q.userdisc, q.datadisc, q.source, q.actor
FROM generation g
LEFT JOIN live_grant q ON q.generation = g.generation AND q.id = $1
LEFT JOIN pool p ON p.generation = q.generation AND p.pool = q.pool
WHERE g.live
"""
PROJECT_OF_GRANT = """
SELECT p.id AS project FROM generation g
JOIN live_grant q ON q.generation = g.generation AND q.id = $1
JOIN pool p ON p.generation = q.generation AND p.pool = q.pool
WHERE g.live
"""
QUOTA_NAMES = ["id", "project", "startdate", "enddate", *DIMENSIONS, "source", "actor"]


async def project_of_grant(database: Database, grant: UUID) -> str | None:
    """The project of a grant; None if there is no such grant."""
    record = await database.fetchrow(PROJECT_OF_GRANT, grant)
    return None if record is None else str(record["project"])


async def read_quota(database: Database, question: QuotaQuestion) -> ViewResult:
    """`{position, id, project, startdate, enddate, servers, cores, memory, …, source, actor}`: the grant. A
    withdrawn grant ends at its withdrawal."""
    record = live(await database.fetchrow(QUOTA, question.grant))
    if record["id"] is None:
        raise question.unknown()
    row = {**record, **dates_of(record["starts"], record["ends"])}
    return one_row(
        Version(record["generation"], record["position"]), record["position"], row, QUOTA_NAMES, question.csv
    )


CLUSTER = """
SELECT g.generation, g.position, p.touched, p.id, parent.id AS parent, p.project, p.name, p.kind, p.starts, p.ends,
    p.masterflavor, p.mastercount, p.workerflavor, p.workercount, p.layout, p.tentative,
    coalesce(a.granted_servers, 0) AS servers, coalesce(a.granted_cores, 0) AS cores,
    coalesce(a.granted_memory, 0) AS memory, coalesce(a.granted_tempdisc, 0) AS tempdisc,
    coalesce(a.granted_userdisc, 0) AS userdisc, coalesce(a.granted_datadisc, 0) AS datadisc
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN pool parent ON parent.generation = p.generation AND parent.pool = p.parent
LEFT JOIN availability_hour a ON a.generation = p.generation AND a.pool = p.pool
    AND a.hour = greatest(least($2, p.ends - interval '1 hour'), p.starts)
WHERE g.live
"""
CLUSTER_NAMES = [
    "id",
    "parent",
    "project",
    "name",
    "kind",
    "startdate",
    "enddate",
    *FLAVORS,
    *DIMENSIONS,
    "state",
    "layout",
]


async def read_cluster(database: Database, question: ClusterQuestion) -> ViewResult:
    """The cluster, with the masters and workers of the latest decision, and its size in the current hour; before the
    cluster begins the size of its first hour, after its end the size of its last hour."""
    record = live(await database.fetchrow(CLUSTER, question.pool, instant_of(question.hour)))
    if record["id"] is None:
        raise question.unknown()
    row = {**record, **dates_of(record["starts"], record["ends"]), "state": state_of(record["tentative"])}
    row["layout"] = layout_json({**record})
    version = Version(record["generation"], record["touched"])
    return one_row(version, record["position"], row, CLUSTER_NAMES, question.csv)


RESIZES = """
SELECT g.generation, g.position AS shown, p.id AS pool_id, p.touched, r.request, r.position, r.decided, r.state,
    r.starts, r.ends, r.servers, r.cores, r.memory, r.tempdisc, r.userdisc, r.datadisc, r.masterflavor, r.mastercount,
    r.workerflavor, r.workercount, r.layout, r.lapsed, r.error, r.actor
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN cluster_resize r ON r.generation = p.generation AND r.pool = p.pool
WHERE g.live ORDER BY r.position
"""
RESIZE_NAMES = [
    "request",
    "position",
    "decided",
    "state",
    "startdate",
    "enddate",
    *FLAVORS,
    *DIMENSIONS,
    "lapsed",
    "error",
    "actor",
    "layout",
]


async def read_resizes(database: Database, question: ResizesQuestion) -> ViewResult:
    """`{pool, position, resizes: [{request, position, decided, state, startdate, enddate, …}]}`, in the order in which
    they were requested. `state` is requested, applied or failed, since the position `decided`."""
    records = live(await database.fetch(RESIZES, question.pool))
    if records[0]["pool_id"] is None:
        raise question.unknown()
    version, position = Version(records[0]["generation"], records[0]["touched"]), records[0]["shown"]
    rows = [
        {**record, **dates_of(record["starts"], record["ends"]), "layout": layout_json({**record})}
        for record in records
        if record["position"] is not None
    ]
    rows = [{name: row[name] for name in RESIZE_NAMES} for row in rows]
    if question.csv:
        return ViewResult(position, CacheEntry(version, table(rows, RESIZE_NAMES)))
    return ViewResult(position, CacheEntry(version, *render_object({"pool": question.pool}, {"resizes": rows})))


ROWS_AT_ONCE = 10_000  # the text of an answer with more rows is made while it is sent
PROJECT_SIZES = """
SELECT g.generation, g.position, p.pool, t.touched, h.*
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT max(touched) AS touched FROM pool WHERE generation = g.generation AND project = $1
) t ON true
LEFT JOIN LATERAL (
    SELECT string_agg(timestamptz_send(s.hour), ''::bytea), string_agg(int8send(s.servers), ''::bytea),
        string_agg(int8send(s.memory), ''::bytea), string_agg(int8send(s.cores), ''::bytea)
    FROM (
        SELECT a.hour, sum(a.granted_servers)::bigint AS servers, sum(a.granted_cores)::bigint AS cores,
            sum(a.granted_memory)::bigint AS memory
        FROM pool m
        JOIN availability_hour a ON a.generation = m.generation AND a.pool = m.pool AND a.hour >= $2 AND a.hour < $3
        WHERE m.generation = g.generation AND m.project = $1 AND m.kind = 'magnum' AND NOT EXISTS (
            SELECT FROM string_to_array(m.id, '.') AS names
            CROSS JOIN generate_series(1, cardinality(names) - 1) AS length
            JOIN pool above ON above.generation = m.generation AND above.id = array_to_string(names[:length], '.')
            WHERE above.kind = 'magnum'
        )
        GROUP BY a.hour
    ) s
) h ON true
WHERE g.live
"""


async def read_project_sizes(database: Database, question: ProjectSizesQuestion) -> ViewResult:
    """The sizes of the project's Magnum clusters, added up for each hour first, in rows."""
    calendar = question.calendar
    starts = calendar.block_starts()
    start, end = (instant_of(hour) for hour in calendar.period)
    record = live(await database.fetchrow(PROJECT_SIZES, calendar.pool, start, end))
    generation, position, pool, touched, hours, *packed = record
    if pool is None:
        raise question.unknown()
    cells = scatter(calendar.period, hours or b"", [column or b"" for column in packed])
    rollup = roll_up(cells[None], calendar.period, starts)
    return ViewResult(
        position, await asyncio.to_thread(openstack_entry, calendar, rollup, Version(generation, touched))
    )


def openstack_entry(calendar: CalendarQuestion, rollup: Rollup, version: Version) -> CacheEntry:
    if len(rollup.starts) > ROWS_AT_ONCE:
        head, tail, windows = render_long(calendar, rollup, None, None)
        return CacheEntry(version, head, tail, None, windows)
    if calendar.csv:
        return CacheEntry(version, table(openstack_rows(calendar, rollup), ["date", *OPENSTACK_COLUMNS]))
    return CacheEntry(version, *render_openstack(calendar, rollup))


def one_row(version: Version, position: int, row: dict[str, Any], names: list[str], csv: bool) -> ViewResult:
    if csv:
        return ViewResult(position, CacheEntry(version, table([row], names)))
    return ViewResult(position, CacheEntry(version, *render_object({}, {name: row[name] for name in names})))


def dates_of(starts: Any, ends: Any) -> dict[str, str | None]:
    """The period under the names of the compatibility endpoints; None where there is no period."""
    return {
        "startdate": None if starts is None else iso(hour_of(starts)),
        "enddate": None if ends is None else iso(hour_of(ends)),
    }
