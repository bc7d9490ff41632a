"""The webhooks: what each one gets, how far it is, and the messages that it gave up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.query.database import Database
from services.query.questions.sight import Sight
from services.query.views.history import check_project
from shared.errors import UnknownId

WEBHOOKS = """
SELECT id, url, project, types, kinds AS notices, created_by, created_at, position, notice, attempts, failures,
    retry_at, delivered_at, last_error, disabled, maker, ended,
    (SELECT count(*) FROM webhook_dead_letter d WHERE d.webhook = webhook.id) AS dead_letters
FROM webhook
WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR project = $2)
    AND ($3::text[] IS NULL OR project = ANY ($3)) ORDER BY id
"""


async def read_webhooks(database: Database, project: str | None, within: Sight) -> list[dict[str, Any]]:
    """The webhooks of a project, or all, of the projects in `within`. Raises UnknownId for a project that is not
    there."""
    records = await database.fetch(WEBHOOKS, None, project, within.whole)
    if not records:
        await check_project(database, project)
    return [dict(record) for record in records]


async def read_webhook(database: Database, webhook: UUID) -> dict[str, Any]:
    """Raises UnknownId."""
    record = await database.fetchrow(WEBHOOKS, webhook, None, None)
    if record is None:
        raise unknown_webhook(webhook)
    return dict(record)


def unknown_webhook(webhook: UUID) -> UnknownId:
    return UnknownId("id", "webhook", str(webhook))


DEAD_LETTERS = """
SELECT message, source, number, attempts, error, failed_at, redeliver FROM webhook_dead_letter
WHERE webhook = $1 AND message > $2 ORDER BY message LIMIT $3
"""


async def read_dead_letters(
    database: Database, webhook: UUID, after: str, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the dead letters of a webhook, and the `after` of the next page, None on the last."""
    records = await database.fetch(DEAD_LETTERS, webhook, after.replace("\0", ""), limit + 1)
    page = [dict(record) for record in records[:limit]]
    return page, page[-1]["message"] if len(records) > limit else None
