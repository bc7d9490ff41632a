"""The log of refused commands, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.query.database import Database
from services.query.questions.events import RefusalFilter
from services.query.questions.sight import Sight
from services.query.views.history import check_after
from shared.postgres import Record

REFUSAL_NAMES = ("id", "at", "project", "actor", "command", "asked", "reason", "code", "detail", "facts", "dropped")

# {0} is > or <, {1} ASC or DESC.
REFUSALS = """
SELECT id, at, project, actor, command, asked, reason, code, detail, facts, dropped FROM refusal
WHERE id {0} $1 AND ($3::text IS NULL OR project = $3) AND ($4::text[] IS NULL OR actor = ANY ($4))
    AND ($5::text IS NULL OR code = $5) AND ($6::timestamptz IS NULL OR at >= $6)
    AND ($7::timestamptz IS NULL OR at < $7) AND ($8::timestamptz IS NULL OR at <= $8)
    AND ($9::text[] IS NULL OR project = ANY ($9))
ORDER BY id {1} LIMIT $2
"""


async def read_refusals(
    database: Database, where: RefusalFilter, within: Sight, limit: int
) -> tuple[list[dict[str, object]], int | None]:
    """A page of the refusals of projects in `within`, and the `after` of the next page, None on the last. Raises
    InvalidField for an `after` beyond the last refusal. It scans the log, which is bounded: an index would make each
    refusal cost more to write."""
    statement = REFUSALS.format(*(("<", "DESC") if where.newest_first else (">", "ASC")))
    records: Sequence[Record] = await database.fetch(
        statement,
        where.after,
        limit + 1,
        where.project,
        where.actor,
        where.code,
        where.since,
        where.until,
        where.at_most,
        within.whole,
    )
    if not records and not where.newest_first:
        check_after(where.after, await last_refusal(database), "refusal")
    page = [refusal_of(record) for record in records[:limit]]
    return page, records[limit - 1]["id"] if len(records) > limit else None


LAST = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('refusal', 'id')::regclass), 0) AS id"


async def last_refusal(database: Database) -> int:
    """The id of the last refusal that was logged, whether it is still there or not."""
    record = await database.fetchrow(LAST)
    assert record is not None
    last: int = record["id"]
    return last


def refusal_of(record: Record) -> dict[str, object]:
    asked, facts = msgspec.Raw(record["asked"].encode()), msgspec.Raw(record["facts"].encode())
    return {**record, "asked": asked, "facts": facts}
