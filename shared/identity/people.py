"""The directory of people: who stands behind an id. It is no history: a person can be forgotten.

`<issuer>:<subject>` is the actor of events, for ever. The name, the e-mail address and the groups stand here only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from shared.errors import UnknownId
from shared.identity.principals import GROUP, Principal
from shared.identity.stored import REVOKED, VERSION
from shared.identity.tokens import begin
from shared.identity.verifying import EMAIL_MAX, NAME_MAX, Verified
from shared.names import shown
from shared.postgres import Connection, Reader, rows_changed

# A person who has not changed is written once an hour at most.
NOTE = """
INSERT INTO person (id, name, email, groups)
SELECT t.id, t.name, t.email, ARRAY(SELECT jsonb_array_elements_text(t.groups))
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) AS t (id, name, email, groups)
ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, person.name),
    email = coalesce(excluded.email, person.email), groups = excluded.groups, seen_at = now()
WHERE person.seen_at < now() - interval '1 hour' OR person.groups <> excluded.groups
    OR (person.name, person.email) IS DISTINCT FROM
        (coalesce(excluded.name, person.name), coalesce(excluded.email, person.email))
"""
NOTE_GROUPS = """
INSERT INTO person (id, groups) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET groups = excluded.groups, seen_at = now()
"""
NAMES = "SELECT id, name, email FROM person WHERE id = ANY ($1::text[]) ORDER BY id"
LIST = """
SELECT p.id, p.name, p.email, p.seen_at,
    (SELECT count(*) FROM token t WHERE t.maker = p.id AND t.revoked_at IS NULL AND t.expires_at > now()) AS tokens,
    (SELECT count(*) FROM session s WHERE s.person = p.id AND s.expires_at > now()) AS sessions,
    (SELECT count(*) FROM feed_address f WHERE f.maker = p.id) AS feeds
FROM person p ORDER BY p.id
"""
FORGET = "DELETE FROM person WHERE id = $1"
END_SESSIONS = "DELETE FROM session WHERE person = $1"
END_FEEDS = "DELETE FROM feed_address WHERE maker = $1"
END_TOKENS = """
UPDATE token SET revoked_at = coalesce(revoked_at, now()), name = '(forgotten)' WHERE maker = $1
"""


class Person(msgspec.Struct, frozen=True):
    """A row of the directory, as the operator sees it. The counts are of what is valid."""

    id: str
    name: str | None
    email: str | None
    seen: datetime
    tokens: int
    sessions: int
    feeds: int


class Named(NamedTuple):
    """The name behind an id."""

    id: str
    name: str | None
    email: str | None


class Forgotten(NamedTuple):
    """What ended with a person: the numbers of their sessions, tokens and feed addresses."""

    sessions: int
    tokens: int
    feeds: int


def groups_of(principal: Principal) -> list[str]:
    """The groups of a person, as role bindings name them."""
    return sorted(member for member in principal.members if member.startswith(f"{GROUP}:"))


async def note_people(connection: Connection, seen: Iterable[Verified], since: int | None = None) -> None:
    """Writes what their issuers say of some people. In a transaction.

    With `since`, the version of the credentials at which they were verified, it writes nothing if a credential was
    revoked after: one of them may have been forgotten.
    """
    latest = {one.principal.id: one for one in seen}
    version = await connection.fetchval(f"{VERSION} FOR SHARE")
    if since is not None and version != since:
        return
    rows = [_row(one) for _, one in sorted(latest.items())]
    await connection.execute(NOTE, *(list(column) for column in zip(*rows, strict=True)))


async def note_groups(connection: Connection, principal: Principal) -> None:
    """Writes the groups of a person who makes a credential: what it may do depends on them."""
    await connection.execute(NOTE_GROUPS, principal.id, groups_of(principal))


def _row(verified: Verified) -> tuple[str, str | None, str | None, str]:
    groups = msgspec.json.encode(groups_of(verified.principal)).decode()
    return verified.principal.id, _text(verified.name, NAME_MAX), _text(verified.email, EMAIL_MAX), groups


def _text(text: str | None, most: int) -> str | None:
    """A text of the issuer: without control characters, and not too long."""
    return shown(text)[:most] or None if text else None


async def names_of(reader: Reader, ids: Sequence[str]) -> list[Named]:
    """The people behind the ids, ordered by id. An id that nobody has is left out."""
    return [Named(*record) for record in await reader.fetch(NAMES, ids)]


async def read_people(reader: Reader) -> list[Person]:
    """Everybody, ordered by id."""
    return [Person(*record) for record in await reader.fetch(LIST)]


async def forget_person(connection: Connection, person: str) -> Forgotten:
    """Erases a person, and ends their sessions, tokens and feed addresses, in every process. In a transaction.

    Raises UnknownId if there is nothing of this person.
    """
    await begin(connection)
    there = await _count(connection, FORGET, person)
    ended = Forgotten(
        await _count(connection, END_SESSIONS, person),
        await _count(connection, END_TOKENS, person),
        await _count(connection, END_FEEDS, person),
    )
    if not there and not any(ended):
        raise UnknownId("id", "person", person)
    await connection.execute(REVOKED)
    return ended


async def _count(connection: Connection, statement: str, person: str) -> int:
    return rows_changed(await connection.execute(statement, person))
