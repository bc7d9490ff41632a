"""The tree of pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from services.query.answers.answers import Reply
from services.query.answers.freshness import Positions
from services.query.database import Database, live
from services.query.questions.sight import Sight
from services.query.render.layouts import COLUMNS, layout_json
from shared.errors import InvalidField, UnknownId
from shared.hours import Period, checked_period, hour_of, iso
from shared.postgres import Record

CLUSTER_PERIOD = """
SELECT p.starts, p.ends FROM generation g JOIN pool p ON p.generation = g.generation AND p.id = $1
WHERE g.live
"""


async def cluster_period(database: Database, cluster: str, positions: Positions, min_position: int) -> Period:
    """The cluster's own period. Raises UnknownId, and InvalidField for a cluster that has none."""
    await positions.reached(min_position)
    record = await database.fetchrow(CLUSTER_PERIOD, cluster)
    if record is None:
        raise UnknownId("id", "cluster", cluster)
    if record["starts"] is None or record["ends"] is None:
        raise InvalidField("range", "the cluster has no period of its own; give a range")
    return checked_period(Period(hour_of(record["starts"]), hour_of(record["ends"])), "range")


# `$3` is a text that the id or the name contains; null: any.
FOUND = "($3::text IS NULL OR strpos(lower({0}.id), lower($3)) > 0 OR strpos(lower({0}.name), lower($3)) > 0)"
PROJECTS = f"""
SELECT g.position, p.id, NULL AS parent, p.project, p.name, p.kind, p.starts, p.ends
FROM generation g LEFT JOIN LATERAL (
    SELECT * FROM pool WHERE pool.generation = g.generation AND pool.parent IS NULL AND pool.id > $1
        AND {FOUND.format("pool")} AND ($4::text[] IS NULL OR pool.id = ANY ($4))
    ORDER BY pool.id LIMIT $2
) p ON true
WHERE g.live ORDER BY p.id
"""


class Asked(NamedTuple):
    """A page of a list of pools: at most `limit`, with ids after `after`; with `find`, those whose id or name contains
    it."""

    after: str
    limit: int
    find: str | None = None

    @property
    def arguments(self) -> tuple[str, int, str | None]:
        """The first arguments of the statements. One more record says that another page follows."""
        return self.after, self.limit + 1, self.find


async def read_projects(database: Database, asked: Asked, within: Sight) -> Reply:
    """A page of the projects that are in `within`, ordered by id."""
    return listed(await database.fetch(PROJECTS, *asked.arguments, within.whole), "projects", asked.limit)


POOLS = f"""
SELECT g.position, p.*
FROM generation g LEFT JOIN LATERAL (
    SELECT child.id, parent.id AS parent, child.project, child.name, child.kind, child.starts, child.ends,
        child.masterflavor, child.mastercount, child.workerflavor, child.workercount, child.layout
    FROM pool child LEFT JOIN pool parent ON parent.generation = child.generation AND parent.pool = child.parent
    WHERE child.generation = g.generation AND child.id > $1 AND {FOUND.format("child")} AND {{which}}
    ORDER BY child.id LIMIT $2
) p ON true
WHERE g.live ORDER BY p.id
"""
ALL, OF_PROJECT = POOLS.format(which="true"), POOLS.format(which="child.project = $4")
# The pools of the projects around the roots are few, and an index finds them.
WITHIN = POOLS.format(
    which="""child.project = ANY ($4) AND (child.project = ANY ($5) OR EXISTS (
        SELECT FROM unnest($6::text[]) AS r (root) WHERE child.id = root OR starts_with(child.id, root || '.')))"""
)
KNOWN = "SELECT FROM generation g JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live"


async def read_pools(database: Database, project: str | None, asked: Asked, within: Sight) -> Reply:
    """A page of the pools that are in `within`, of one project or of all, ordered by id. `within` has no other project
    than that one. Raises UnknownId."""
    if not within.everything:
        roots = (within.around, within.projects, within.clusters)
        return listed(await database.fetch(WITHIN, *asked.arguments, *roots), "pools", asked.limit)
    if project is None:
        return listed(await database.fetch(ALL, *asked.arguments), "pools", asked.limit)
    records = await database.fetch(OF_PROJECT, *asked.arguments, project)
    if records and records[0]["id"] is None and await database.fetchrow(KNOWN, project) is None:
        raise UnknownId("project", "project", project)
    return listed(records, "pools", asked.limit)


def listed(records: Sequence[Record], name: str, limit: int) -> Reply:
    """`{position, <name>: [{id, parent, project, name, kind, start, end, layout}], next}`; a project has no layout."""
    live(records)
    position = records[0]["position"]
    pools = [pool_row(record) for record in records if record["id"] is not None]
    following = pools[limit - 1]["id"] if len(pools) > limit else None
    body = {"position": position, name: pools[:limit], "next": following}
    return Reply(position, msgspec.json.encode(body), following=following)


def pool_row(record: Record) -> dict[str, Any]:
    starts, ends = record["starts"], record["ends"]
    layout = {"layout": layout_json({**record})} if COLUMNS[-1] in record.keys() else {}  # noqa: SIM118  (no mapping)
    return {
        **{name: record[name] for name in ("id", "parent", "project", "name", "kind")},
        "start": None if starts is None else iso(hour_of(starts)),
        "end": None if ends is None else iso(hour_of(ends)),
        **layout,
    }
