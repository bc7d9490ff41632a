"""Sessions of the page: begun, ended, swept. The database has the hash of each secret, never the secret itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.identity.credentials import Token
from shared.identity.people import END_SESSIONS, groups_of, note_people
from shared.identity.secrets import SESSION, hash_of, new_secret
from shared.identity.stored import REVOKED
from shared.identity.tokens import begin
from shared.identity.verifying import Verified
from shared.postgres import Connection, rows_changed

PERSON_MAX = 20  # sessions of one person; the oldest ends when there is one more
SWEPT_AT_ONCE = 1000

# It ends with the token of Hourbook that began it; $7 is that token's hash, and of no token if another began it.
CREATE = """
INSERT INTO session (hash, person, auth, groups, sealed, expires_at)
VALUES ($1, $2, $3, $4, $5, least(now() + $6, (SELECT expires_at FROM token WHERE hash = $7)))
RETURNING expires_at
"""
END = "DELETE FROM session WHERE hash = $1 RETURNING person"
END_OLDEST = """
DELETE FROM session WHERE hash IN (
    SELECT hash FROM session WHERE person = $1 ORDER BY created_at DESC, hash OFFSET $2
)
"""
SWEEP = """
DELETE FROM session WHERE hash IN (
    SELECT hash FROM session WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
)
"""


class NewSession(NamedTuple):
    """A session that has begun. `secret` is for the cookie; nothing keeps it."""

    secret: str
    expires: datetime


async def begin_session(
    connection: Connection, verified: Verified, hours: int, token: Token | None = None, before: str | None = None
) -> NewSession:
    """Begins a session, in the transaction of the connection. It has a new secret, whatever cookie the browser sent:
    the session of that one, `before`, ends.

    `token`: what the principal signed in with; None: an issuer said it by the authorization code flow.
    """
    principal, secret = verified.principal, new_secret(SESSION)
    await begin(connection)
    if principal.is_person:
        await note_people(connection, [verified])
    sealed, of_token = (None, None) if token is None else (_sealed(token, secret), hash_of(token.token))
    who = principal.id, principal.auth, groups_of(principal)
    expires = await connection.fetchval(CREATE, hash_of(secret), *who, sealed, timedelta(hours=hours), of_token)
    ended = rows_changed(await connection.execute(END_OLDEST, principal.id, PERSON_MAX))
    replaced = None if before is None else await connection.fetchval(END, hash_of(before))
    if replaced is not None or ended:
        await connection.execute(REVOKED)
    return NewSession(secret, expires)


async def end_session(connection: Connection, secret: str) -> str | None:
    """Ends a session in every process. In a transaction. Returns whose it was; None if there is no such session."""
    await begin(connection)
    person: str | None = await connection.fetchval(END, hash_of(secret))
    if person is not None:
        await connection.execute(REVOKED)
    return person


async def end_sessions(connection: Connection, person: str) -> int:
    """Ends all sessions of a person in every process. In a transaction. Returns how many."""
    await begin(connection)
    ended = rows_changed(await connection.execute(END_SESSIONS, person))
    if ended:
        await connection.execute(REVOKED)
    return ended


async def sweep_sessions(connection: Connection) -> None:
    """Removes sessions that have expired, some at a time."""
    while rows_changed(await connection.execute(SWEEP, SWEPT_AT_ONCE)) == SWEPT_AT_ONCE:
        pass


def _sealed(token: Token, secret: str) -> bytes:
    from shared.identity.sealing import seal  # only here: where nobody signs in, a service starts sooner without it

    return seal(token, secret)
