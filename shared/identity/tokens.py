"""Tokens of programs: made, listed, revoked. The database has the hash of each and never the token itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from shared.errors import InvalidField, UnknownId
from shared.identity.errors import TooManyCredentials
from shared.identity.principals import TOKEN as TOKEN_PRINCIPAL
from shared.identity.principals import Principal
from shared.identity.roles import Limit, Policy, administers
from shared.identity.secrets import TOKEN, hash_of, new_secret
from shared.identity.stored import REVOKED
from shared.ids import new_id
from shared.postgres import Connection, Reader, Record

DAYS, DAYS_MAX = 90, 366
LIMITS_MAX = 50
LIVE_MAX = 100  # tokens of one maker that are valid
ENDED_MAX = 100  # tokens of one maker that are not valid any more, kept so that people see what they were
NOT_BEFORE = timedelta(minutes=1)

# Whoever makes or revokes a credential, or forgets a person, waits for the others. So nobody has more than the bounds
# allow, and nobody who was forgotten makes a credential after.
LOCK = "SELECT version FROM identity_head FOR UPDATE"
COUNT = """
SELECT count(*) FROM token WHERE maker IS NOT DISTINCT FROM $1 AND revoked_at IS NULL AND expires_at > now()
"""
FORGET_ENDED = """
DELETE FROM token WHERE id IN (
    SELECT id FROM token WHERE maker IS NOT DISTINCT FROM $1 AND (revoked_at IS NOT NULL OR expires_at <= now())
    ORDER BY coalesce(revoked_at, expires_at) DESC OFFSET $2
)
"""
CREATE = """
INSERT INTO token (id, hash, name, maker, limits, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
REVOKE = """
UPDATE token SET revoked_at = now()
WHERE id = $1 AND revoked_at IS NULL AND ($2::text IS NULL OR maker = $2 OR id = $3)
"""
EXISTS = "SELECT EXISTS (SELECT FROM token WHERE id = $1 AND ($2::text IS NULL OR maker = $2 OR id = $3))"
LIST = """
SELECT id, name, maker, limits, created_at, expires_at, revoked_at FROM token
WHERE ($1::text IS NULL OR maker = $1 OR id = $2) AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4
"""


class NewToken(NamedTuple):
    """A token that was made. Nothing keeps `secret`: whoever makes the token shows it once."""

    id: UUID
    secret: str
    expires: datetime


class Token(msgspec.Struct, frozen=True):
    """A token as lists show it. `maker` None: the operator made it. Times are instants."""

    id: UUID
    name: str
    maker: str | None
    limits: msgspec.Raw
    created: datetime
    expires: datetime
    revoked: datetime | None


class Mine(NamedTuple):
    """Whose tokens a request means: those of a `maker`, None for everybody's; and the one with the id `own`."""

    maker: str | None
    own: UUID | None = None


def mine_of(policy: Policy, principal: Principal) -> Mine:
    """The tokens that are a principal's own: of a person those that he or she made, of a token itself, of an admin of
    the whole ledger all. Whoever else acts for a person has none."""
    if administers(policy, principal):
        return Mine(None)
    if principal.auth == TOKEN_PRINCIPAL:
        return Mine("", UUID(principal.id.partition(":")[2]))
    return Mine(principal.id if principal.is_person else "")


async def begin(connection: Connection) -> None:
    """Waits for others who make or end credentials. They wait until the transaction of the connection ends."""
    await connection.execute(LOCK)


async def create_token(
    connection: Connection, name: str, maker: str | None, limits: Sequence[Limit], expires: datetime
) -> NewToken:
    """Adds a token, in the transaction of the connection, after `begin`. Raises TooManyCredentials."""
    if await connection.fetchval(COUNT, maker) >= LIVE_MAX:
        raise TooManyCredentials(f"there are {LIVE_MAX} valid tokens already; revoke those that nobody uses")
    await connection.execute(FORGET_ENDED, maker, ENDED_MAX)
    made = NewToken(new_id(), new_secret(TOKEN), expires)
    stored = msgspec.json.encode(tuple(limits)).decode()
    await connection.execute(CREATE, made.id, hash_of(made.secret), name, maker, stored, expires)
    return made


async def revoke_token(connection: Connection, token: UUID, mine: Mine) -> bool:
    """Revokes a token, and has every process forget what it knows. Returns whether it was valid before. Raises
    UnknownId if there is no such token among `mine`."""
    await begin(connection)
    if await connection.execute(REVOKE, token, *mine) == "UPDATE 1":
        await connection.execute(REVOKED)
        return True
    if not await connection.fetchval(EXISTS, token, *mine):
        raise UnknownId("id", "token", str(token))
    return False


async def read_tokens(
    reader: Reader, mine: Mine, after: UUID | None = None, limit: int = 1000
) -> tuple[list[Token], UUID | None]:
    """A page of tokens, ordered by id, which is the order in which they were made; and the `after` of the next page,
    None on the last."""
    records = await reader.fetch(LIST, *mine, after, limit + 1)
    page = [_token(record) for record in records[:limit]]
    return page, page[-1].id if len(records) > limit else None


def _token(record: Record) -> Token:
    id_, name, maker, limits, created, expires, revoked = tuple(record)
    return Token(id_, name, maker, msgspec.Raw(limits.encode()), created, expires, revoked)


def expiry(expires: datetime | None, days: int | None, now: datetime | None = None) -> datetime:
    """When a token expires: at an instant, or after some days; DAYS without both. Raises InvalidField."""
    now = now or datetime.now(UTC)
    if expires is not None and days is not None:
        raise InvalidField("days", "give either expires or days, not both")
    if expires is None:
        return now + timedelta(days=DAYS if days is None else days)
    if not now + NOT_BEFORE <= expires <= now + timedelta(days=DAYS_MAX):
        raise InvalidField("expires", f"give an instant within the next {DAYS_MAX} days")
    return expires


def checked_limits(limits: Iterable[Limit], field: str = "limits") -> tuple[Limit, ...]:
    """The limits, each once. Raises InvalidField if there are none, or too many."""
    once = tuple(dict.fromkeys(limits))
    if not 0 < len(once) <= LIMITS_MAX:
        raise InvalidField(field, f"give 1 to {LIMITS_MAX} limits: the token may do no more than they say")
    return once
