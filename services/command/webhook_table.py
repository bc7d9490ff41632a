"""The table of registered webhooks, and their dead letters: every SQL statement that changes them on request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.errors import HourbookError, InvalidField, UnknownId
from shared.identity.errors import PersonNeeded
from shared.identity.people import note_groups
from shared.identity.principals import Principal
from shared.postgres import Connection, rows_changed

WEBHOOKS_MAX = 1000


class TooManyWebhooks(HourbookError):
    """No more webhooks can be registered. Delete those that nobody uses."""

    code = "too_many_webhooks"
    status = 409
    title = "Too many webhooks"


REGISTER = """
INSERT INTO webhook (id, url, project, types, kinds, secret, created_by, maker, maker_since, position, notice)
SELECT $1, $2, $3, $4, $5, $6, $7, $10, h.position, coalesce($8, g.position), n.seq
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
    principal: Principal,
    after: int | None,
) -> None:
    """Adds a webhook; `principal` is its maker. `types` None: all events; `kinds`: of notices. `after` None: it
    begins with what is new.

    Raises TooManyWebhooks, PersonNeeded, UnknownId for a project that does not exist, InvalidField if `after` is not
    reached yet.
    """
    maker = maker_of(principal)
    row = (webhook, url, project, types, kinds, secret, principal.id, after, WEBHOOKS_MAX, maker)
    status = await connection.execute(REGISTER, *row)
    if status == "INSERT 0 1":
        return await _note_maker(connection, principal)
    if project is not None and not await connection.fetchval(PROJECT_EXISTS, project):
        raise UnknownId("project", "project", project)
    if after is not None and after > (head := await connection.fetchval(HEAD)):
        raise InvalidField("after", f"{after} is beyond the last event, {head}")
    raise TooManyWebhooks(f"there are {WEBHOOKS_MAX} webhooks already")


def maker_of(principal: Principal) -> str | None:
    """Who answers for what the principal makes; None where nobody signs in. Raises PersonNeeded for an application
    credential: its user would answer, who may have more rights, and has them for longer."""
    if principal.person == principal.id and not principal.is_person:
        raise PersonNeeded("an application credential makes no webhooks; sign in as a person, or use a token")
    return None if principal.auth is None else principal.id


PROJECT = "SELECT project FROM webhook WHERE id = $1"


async def project_of(connection: Connection, webhook: UUID) -> str | None:
    """The project of a webhook; None for one of the whole ledger. Raises UnknownId."""
    record = await connection.fetchrow(PROJECT, webhook)
    if record is None:
        raise unknown(webhook)
    project: str | None = record["project"]
    return project


RESUME = """
UPDATE webhook SET maker = $2, maker_since = (SELECT position FROM event_head), ended = NULL WHERE id = $1
"""


async def resume(connection: Connection, webhook: UUID, principal: Principal) -> None:
    """Makes `principal` the maker, and lets the webhook go on if it was ended. Raises UnknownId,
    PersonNeeded."""
    maker = maker_of(principal)
    await _note_maker(connection, principal)
    await _changed(connection, webhook, RESUME, webhook, maker)


async def _note_maker(connection: Connection, principal: Principal) -> None:
    """What a person may see depends on their groups; the notifier reads them."""
    if principal.is_person:
        await note_groups(connection, principal)


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
        raise unknown(webhook)
    return rows_changed(await connection.execute(statement, *arguments))


def unknown(webhook: UUID) -> UnknownId:
    return UnknownId("id", "webhook", str(webhook))
