"""The table of registered webhooks, and their dead letters: every SQL statement that changes them on request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.errors import HourbookError, InvalidField, UnknownId
from shared.postgres import Connection

WEBHOOKS_MAX = 1000


class TooManyWebhooks(HourbookError):
    """No more webhooks can be registered. Delete those that nobody uses."""

    code = "too_many_webhooks"
    status = 409
    title = "Too many webhooks"


REGISTER = """
INSERT INTO webhook (id, url, project, types, kinds, secret, created_by, position, notice)
SELECT $1, $2, $3, $4, $5, $6, $7, coalesce($8, g.position), n.seq
FROM generation g, notice_head n, event_head h
WHERE g.live AND (SELECT count(*) FROM webhook) < $9 AND coalesce($8, 0) <= h.position
    AND ($3::text IS NULL OR EXISTS (SELECT FROM stream_head WHERE stream = $3))
"""
HEAD = "SELECT position FROM event_head"
PROJECT_EXISTS = "SELECT EXISTS (SELECT FROM stream_head WHERE stream = $1)"


async def register(
    connection: Connection,
    webhook: UUID,
    *,
    url: str,
    project: str | None,
    types: list[str] | None,
    kinds: list[str],
    secret: str,
    actor: str,
    after: int | None,
) -> None:
    """Adds a webhook. `types` None: all events; `kinds`: of notices. `after` None: it begins with what is new.

    Raises TooManyWebhooks, UnknownId for a project that does not exist, InvalidField if `after` is not reached yet.
    """
    status = await connection.execute(REGISTER, webhook, url, project, types, kinds, secret, actor, after, WEBHOOKS_MAX)
    if status == "INSERT 0 1":
        return
    if project is not None and not await connection.fetchval(PROJECT_EXISTS, project):
        raise UnknownId("project", "project", project)
    if after is not None and after > (head := await connection.fetchval(HEAD)):
        raise InvalidField("after", f"{after} is beyond the last event, {head}")
    raise TooManyWebhooks(f"there are {WEBHOOKS_MAX} webhooks already")


DELETE = "DELETE FROM webhook WHERE id = $1"


async def delete(connection: Connection, webhook: UUID) -> None:
    """Deletes a webhook with its dead letters. Raises UnknownId."""
    await _changed(connection, webhook, DELETE, webhook)


REDELIVER = """
UPDATE webhook_dead_letter SET redeliver = true WHERE webhook = $1 AND ($2::text IS NULL OR message = $2)
"""


async def redeliver(connection: Connection, webhook: UUID, message: str | None) -> int:
    """Has one dead letter delivered again, or, with None, all of them. Returns how many. Raises UnknownId for the
    webhook."""
    return await _changed(connection, webhook, REDELIVER, webhook, message)


EXISTS = "SELECT EXISTS (SELECT FROM webhook WHERE id = $1)"


async def _changed(connection: Connection, webhook: UUID, statement: str, *arguments: Any) -> int:
    """The number of rows that a statement changed. Raises UnknownId for a webhook that does not exist."""
    if not await connection.fetchval(EXISTS, webhook):
        raise UnknownId("id", "webhook", str(webhook))
    return int((await connection.execute(statement, *arguments)).rpartition(" ")[2])
