"""The templates of a project, and the counts of one version."""

from __future__ import annotations

from typing import NamedTuple

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.model import TemplatesQuestion
from services.query.questions.parameters import TemplateName
from services.query.questions.roles import row_text
from services.query.render.blocks import render_object
from services.query.render.tables import table
from shared.capacity import DIMENSIONS
from shared.errors import InvalidField, UnknownId
from shared.postgres import Reader


class TemplateVersion(NamedTuple):
    name: str
    version: int
    counts: tuple[int, ...]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions of which the template takes something."""
        return tuple(dimension for dimension, count in zip(DIMENSIONS, self.counts, strict=True) if count)

    @property
    def required(self) -> tuple[int, ...]:
        """The amount of each of `dimensions`."""
        return tuple(count for count in self.counts if count)

    @property
    def capacity(self) -> dict[str, int]:
        return dict(zip(DIMENSIONS, self.counts, strict=True))


ONE = """
SELECT t.version, t.servers, t.cores, t.memory, t.tempdisc, t.userdisc, t.datadisc
FROM generation g JOIN template t ON t.generation = g.generation AND t.project = $1 AND t.name = $2
WHERE g.live AND ($3::int IS NULL OR t.version = $3) ORDER BY t.version DESC LIMIT 1
"""


POOL = "SELECT p.pool FROM generation g JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live"


async def read_template(
    reader: Reader, pool: str, wanted: TemplateName, unknown: UnknownId, field: str = "template"
) -> TemplateVersion:
    """The wanted version of a template of the pool's project, or its newest version. Raises InvalidField for a version
    that does not exist, and `unknown` for a pool that does not exist."""
    project = pool.partition(".")[0]
    record = await reader.fetchrow(ONE, project, wanted.name, wanted.version)
    if record is None:
        if await reader.fetchrow(POOL, pool) is None:
            raise unknown
        version = "" if wanted.version is None else f"version {wanted.version} of "
        raise InvalidField(field, f"there is no {version}template {wanted.name!r} in {project!r}; see /templates")
    version, *counts = record
    return TemplateVersion(wanted.name, version, tuple(counts))


NEWEST = """
SELECT DISTINCT ON (name) name, version, servers, cores, memory, tempdisc, userdisc, datadisc
FROM template WHERE generation = $1 AND project = $2 ORDER BY name, version DESC
"""


async def read_newest(reader: Reader, generation: int, project: str) -> list[TemplateVersion]:
    """The newest version of every template, ordered by name."""
    records = await reader.fetch(NEWEST, generation, project)
    return [TemplateVersion(name, version, tuple(counts)) for name, version, *counts in records]


ALL = """
SELECT g.generation, g.position, p.touched, t.name, t.version, t.servers, t.cores, t.memory, t.tempdisc, t.userdisc,
    t.datadisc, t.actor, t.created
FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1
LEFT JOIN LATERAL (
    SELECT * FROM template WHERE template.generation = g.generation AND template.project = p.id
        AND ($2::text IS NULL OR (template.name, -template.version) > ($2, -$3::int))
    ORDER BY template.name, template.version DESC LIMIT $4
) t ON true
WHERE g.live ORDER BY t.name, t.version DESC
"""


async def read_templates(database: Database, question: TemplatesQuestion) -> ViewResult:
    """A page of every version of every template, ordered by name, the newest first."""
    after = question.after or (None, None)
    records = live(await database.fetch(ALL, question.project, *after, question.limit + 1))
    generation, position, touched, *_ = records[0]
    if touched is None:
        raise question.unknown()
    version, following = Version(generation, touched), None
    rows = [
        {
            "id": f"{name}@{number}",
            "name": name,
            "version": number,
            "actor": actor if question.names else None,
            "created": created,
            "capacity": dict(zip(DIMENSIONS, counts, strict=True)),
        }
        for _, _, _, name, number, *counts, actor, created in records[: question.limit]
        if name is not None
    ]
    if len(records) > len(rows) > 0:
        following = row_text(rows[-1]["name"], str(rows[-1]["version"]))
    if question.csv:
        flat = [{**row, **row["capacity"]} for row in rows]
        names = ["name", "version", *DIMENSIONS, "actor", "created"]
        return ViewResult(position, CacheEntry(version, table(flat, names), None, following))
    rest = {"templates": rows, "next": following}
    return ViewResult(position, CacheEntry(version, *render_object({"project": question.project}, rest), following))
