"""Says who sends a request. One of it is in every service where principals sign in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, get_args
from urllib.parse import unquote

from shared import postgres
from shared.identity.auth_file import AuthFile
from shared.identity.cache import VerifiedCache
from shared.identity.credentials import Bearer, Credential, FeedKey, KeystoneToken, SessionCookie, credential_of
from shared.identity.errors import IdentityUnavailable, InvalidCredential, SignInRequired
from shared.identity.principals import Principal
from shared.identity.stored import VERSION, StoredCredentials
from shared.identity.verifying import Verified, Verifier
from shared.one_connection import OneConnection
from shared.postgres import LOST_OR_REFUSED
from shared.tasks import end_tasks

log = logging.getLogger(__name__)

LOOK_S = 1.0
TIMEOUT_S = 5.0
LOOK_TIMEOUT_S = 1.5  # where a standby can be asked next
STALE_S = 4.0  # without a look for so long, what was read from the database is not trusted any more
CONNECTIONS_MAX = 3
CONNECTED_AS = {"application_name": "hourbook-identity"}
OWN_PREFIX = "hbk_"


class Authenticator:
    """Verifies credentials, and remembers those that are valid.

    `bearer` verifies access tokens of the issuers, `keystone` Keystone's tokens, each Keystone in its turn. `noticed`
    is told of each person whose token was verified anew. What was read from the database is forgotten within LOOK_S
    after a credential was revoked, and not trusted at all if the database was not seen for STALE_S.

    `read_url` is a standby of the database. While the database does not answer, credentials are read there. A standby
    that has missed a revocation which was seen at the database is not trusted.
    """

    def __init__(
        self,
        file: AuthFile,
        database_url: str,
        *,
        read_url: str | None = None,
        bearer: Verifier | None = None,
        keystone: Sequence[Verifier] = (),
        noticed: Callable[[Verified], None] = lambda _: None,
    ) -> None:
        self.file, self.policy, self.bearer = file, file.policy(), bearer
        self._issuers = frozenset(name for name, _ in file.issuers())
        self._database_url, self._keystone, self._noticed = database_url, keystone, noticed
        self._standby_url = None if read_url == database_url else read_url
        self._issued, self._tokens, self._stored = VerifiedCache(), VerifiedCache(), VerifiedCache()
        self._version: int | None = None
        self._fresh_until = 0.0
        self.credentials: StoredCredentials

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Works until the block ends. It opens without the database too."""
        async with contextlib.AsyncExitStack() as stack:
            sources = [await self._source(stack, url) for url in (self._database_url, self._standby_url) if url]
            self.credentials = sources[0].credentials
            watching = asyncio.create_task(self._watch(*sources))
            try:
                yield
            finally:
                await end_tasks(watching)
                for verifier in (*([self.bearer] if self.bearer else []), *self._keystone):
                    await verifier.close()

    def known(self, scope: Any) -> Principal | None:
        """The principal of a request (an ASGI scope) whose credential was verified before; None if it must be verified.
        Raises SignInRequired for a request without a credential, InvalidCredential for one that is known to be
        wrong."""
        credential = self.credential(scope)
        cache = self._cache_of(credential)
        verified = cache.get(_key(credential)) if self._trusts(cache) else None
        return None if verified is None else verified.principal

    async def principal(self, scope: Any) -> Principal:
        """The principal of a request. Raises SignInRequired, InvalidCredential, IdentityUnavailable."""
        return (await self.verified(self.credential(scope))).principal

    def credential(self, scope: Any) -> Credential:
        """The credential of a request. Raises SignInRequired if it has none, InvalidCredential."""
        found = credential_of(scope["headers"], scope["path"], scope["query_string"])
        if found is None:
            raise SignInRequired("send a token in the header Authorization (Bearer …), or sign in on the page")
        if isinstance(found, FeedKey):
            if scope["method"] not in ("GET", "HEAD"):
                raise InvalidCredential("the key of a feed only reads that feed")
            # The application keeps a slash inside a segment of `path` by a stand-in.
            return found._replace(path=unquote(scope["raw_path"].partition(b"?")[0].decode("latin-1")))
        return found

    async def verified(self, credential: Credential) -> Verified:
        """Verifies a credential, unless it is remembered. Raises InvalidCredential, IdentityUnavailable."""
        cache = self._cache_of(credential)
        if self._trusts(cache):
            return await cache.verified(_key(credential), lambda _: self._verify(credential))
        return await self._verify(credential)

    async def check_again(self, scope: Any) -> None:
        """Looks whether the session of a request has ended a moment ago, for work that outlives the request. Raises
        InvalidCredential, IdentityUnavailable. A token of an issuer ends by itself."""
        credential = self.credential(scope)
        if isinstance(credential, SessionCookie):
            await self.credentials.session(credential.secret)

    def forget(self) -> None:
        """Forgets what was read from the database: a credential was revoked."""
        self._tokens.clear()
        self._stored.clear()

    @property
    def version(self) -> int | None:
        """The number of the credentials that were revoked, as it was at the last look; None before the first."""
        return self._version

    async def _verify(self, credential: Credential) -> Verified:
        match credential:
            case Bearer(token) if token.startswith(OWN_PREFIX):
                return self._of_an_issuer(await self.credentials.token(token))
            case Bearer(token):
                return await self._issued_by(self.bearer, token)
            case KeystoneToken(token):
                return await self._by_keystone(token)
            case SessionCookie(secret):
                return await self._by_session(secret)
            case FeedKey():
                return self._of_an_issuer(await self.credentials.feed(credential))

    def _of_an_issuer(self, verified: Verified) -> Verified:
        """Raises InvalidCredential if the issuer of the person is not in the auth file any more."""
        person = verified.principal.person
        if person is not None and person.partition(":")[0] not in self._issuers:
            raise InvalidCredential("its issuer is not in the auth file any more")
        return verified

    async def _by_session(self, secret: str) -> Verified:
        """A session of a token may do what the token may at this moment, and ends with it."""
        session = await self.credentials.session(secret)
        if session.sealed is None:
            return self._of_an_issuer(session.verified)
        from shared.identity.sealing import unseal  # only here: a service without sign-in starts sooner without it

        verified = await self._verify(unseal(session.sealed, secret))
        return verified._replace(until=min(verified.until, session.verified.until))

    async def _issued_by(self, verifier: Verifier | None, token: str) -> Verified:
        if verifier is None:
            raise InvalidCredential("no issuer of such tokens is configured here")
        verified = await verifier.verify(token)
        self._noticed(verified)
        return verified

    async def _by_keystone(self, token: str) -> Verified:
        """A token does not say which Keystone it is of. Unavailable is one that might have known it."""
        unavailable: IdentityUnavailable | None = None
        for verifier in self._keystone:
            try:
                return await self._issued_by(verifier, token)
            except InvalidCredential:
                continue
            except IdentityUnavailable as error:
                unavailable = error
        raise unavailable or InvalidCredential("no Keystone that is configured here knows the token")

    def _cache_of(self, credential: Credential) -> VerifiedCache:
        """Each request asks: comparing types is three times faster than `match`."""
        kind = type(credential)
        if kind is Bearer:
            return self._tokens if credential[0].startswith(OWN_PREFIX) else self._issued
        return self._issued if kind is KeystoneToken else self._stored

    def _trusts(self, cache: VerifiedCache) -> bool:
        """Whether what is remembered there may be used."""
        return cache is self._issued or asyncio.get_running_loop().time() < self._fresh_until

    async def _source(self, stack: contextlib.AsyncExitStack, url: str) -> _Source:
        """Connections to a database. The look has one of its own: behind a flood of wrong credentials it would come too
        late, and nothing that is remembered would be trusted."""
        pool = postgres.create_pool(
            url,
            min_size=0,
            max_size=CONNECTIONS_MAX,
            reset=postgres.keep_session,
            server_settings=CONNECTED_AS,
            command_timeout=TIMEOUT_S,
        )
        look = OneConnection(url, LOOK_TIMEOUT_S if self._standby_url else TIMEOUT_S, CONNECTED_AS)
        await stack.enter_async_context(look.opened())
        return _Source(StoredCredentials(await stack.enter_async_context(pool)), look)

    async def _watch(self, database: _Source, standby: _Source | None = None) -> None:
        """Looks every LOOK_S whether a credential was revoked: at the database, or while that does not answer, at the
        standby."""
        while True:
            if not await self._look(database, 0) and standby is not None:
                await self._look(standby, self._version or 0)
            await asyncio.sleep(LOOK_S)

    async def _look(self, source: _Source, least: int) -> bool:
        """Trusts the source from now on if it answers, and has seen `least` revocations. Returns whether it does."""
        asked = asyncio.get_running_loop().time()
        try:
            record = await source.look.fetchrow(VERSION)
        except LOST_OR_REFUSED as lost:
            log.debug("identity: %s: %s", type(lost).__name__, lost)
            return False
        if record is None or (version := int(record["version"])) < least:
            return False
        if version != self._version or source.credentials is not self.credentials:
            self.forget()
        self._version, self._fresh_until, self.credentials = version, asked + STALE_S, source.credentials
        return True


class _Source(NamedTuple):
    """A database that has the credentials, and the connection that looks whether one was revoked."""

    credentials: StoredCredentials
    look: OneConnection


_NAMES: dict[type[Credential], str] = {kind: kind.__name__ for kind in get_args(Credential)}


def _key(credential: Credential) -> str:
    """The text of a credential; two kinds never have the same."""
    return "\n".join((_NAMES[type(credential)], *credential))
