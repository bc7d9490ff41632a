"""Credentials that Hourbook gives out: tokens, sessions, feed addresses. Verified in the database, by their hashes."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec

from shared.identity.credentials import FeedKey
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.principals import TOKEN, Auth, Principal, program
from shared.identity.roles import Limit, limits_of
from shared.identity.secrets import hash_of, is_secret
from shared.identity.verifying import Verified
from shared.postgres import LOST_OR_REFUSED, Pool, Record

T = TypeVar("T")

log = logging.getLogger(__name__)

FIND_TOKEN = """
SELECT t.id, t.maker, t.limits, extract(epoch FROM t.expires_at)::float8 AS expires,
    coalesce(p.groups, '{}') AS groups, t.revoked_at IS NOT NULL AS revoked, t.expires_at <= now() AS expired
FROM token t LEFT JOIN person p ON p.id = t.maker WHERE t.hash = $1
"""
FIND_SESSION = """
SELECT person, auth, groups, sealed, extract(epoch FROM expires_at)::float8 AS expires
FROM session WHERE hash = $1 AND expires_at > now()
"""
FIND_FEED = """
SELECT f.id, f.path, f.maker, coalesce(p.groups, '{}') AS groups
FROM feed_address f LEFT JOIN person p ON p.id = f.maker WHERE f.hash = $1
"""
# A number that grows when a credential is revoked.
VERSION = "SELECT version FROM identity_head"
REVOKED = "UPDATE identity_head SET version = version + 1"
# What a token or a feed address may do depends on the groups of its maker: they are read again after so long.
GROUPS_S = 60.0


class Session(NamedTuple):
    """A session that goes on. `sealed` is the token that it stands for, encrypted; None: the session itself says who it
    is."""

    verified: Verified
    sealed: bytes | None


class StoredCredentials:
    """Reads credentials from the database. `pool` opens a connection when one is needed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def token(self, secret: str) -> Verified:
        """Raises InvalidCredential, IdentityUnavailable."""
        if not is_secret(secret, "hbk"):
            raise InvalidCredential("the token is malformed: some of its characters are wrong or missing")
        record = await self._find(FIND_TOKEN, secret)
        if record is None:
            raise InvalidCredential("there is no such token")
        if record["revoked"] or record["expired"]:
            raise InvalidCredential(f"the token {'was revoked' if record['revoked'] else 'has expired'}")
        own, maker = f"{TOKEN}:{record['id']}", record["maker"]
        principal = program(own, maker, record["groups"], _limits_of(record))
        return Verified(principal, min(record["expires"], time.time() + GROUPS_S))

    async def session(self, secret: str) -> Session:
        """Raises InvalidCredential, IdentityUnavailable."""
        if not is_secret(secret, "hbs"):
            raise InvalidCredential("the cookie of the session is malformed; sign in again")
        record = await self._find(FIND_SESSION, secret)
        if record is None:
            raise InvalidCredential("the session has ended; sign in again")
        auth: Auth = record["auth"]
        members = frozenset({record["person"], *record["groups"]})
        principal = Principal(id=record["person"], auth=auth, members=members)
        return Session(Verified(principal, record["expires"]), record["sealed"])

    async def feed(self, key: FeedKey) -> Verified:
        """The principal of a feed's address: its maker, who may do nothing but read. Raises InvalidCredential,
        IdentityUnavailable."""
        record = await self._find(FIND_FEED, key.secret) if is_secret(key.secret, "hbf") else None
        if record is None or record["path"] != key.path:
            raise InvalidCredential("the key of this address is not valid; make a new address")
        members = frozenset({record["maker"], *record["groups"]})
        principal = Principal(
            id=record["maker"], auth="token", members=members, maker=record["maker"], limits=(Limit("reader"),)
        )
        return Verified(principal, time.time() + GROUPS_S)

    async def _find(self, statement: str, secret: str) -> Record | None:
        return await _answered(lambda: self._pool.fetchrow(statement, hash_of(secret)))


def _limits_of(record: Record) -> tuple[Limit, ...]:
    """The limits of a token. Raises InvalidCredential for limits that this version does not know."""
    try:
        return limits_of(record["limits"])
    except msgspec.MsgspecError as error:
        log.error("token %s: its limits cannot be read: %s", record["id"], error)
        raise InvalidCredential("the limits of the token cannot be read; revoke it and make another") from None


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Raises IdentityUnavailable if the database does not answer."""
    try:
        return await ask()
    except LOST_OR_REFUSED as lost:
        raise IdentityUnavailable(f"the database does not answer ({type(lost).__name__}); nothing was done") from None
