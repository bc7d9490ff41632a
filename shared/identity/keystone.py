"""OpenStack Keystone: verifies tokens by asking Keystone, with the token itself. It needs no account there."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from shared.errors import InvalidField
from shared.identity.auth_file import KeystoneIssuer, checked_member
from shared.identity.cache import SingleFlight
from shared.identity.claims import text_for_people
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.fetching import TIMEOUT_S, Answer, Fetcher, FetchFailed
from shared.identity.principals import Principal, person
from shared.identity.verifying import Verified

UNTIL_S = 60.0  # Keystone is asked again after that, so that a revoked token ends
QUIET_S = 10.0  # strangers send what Keystone cannot check as often as they like: it is logged once in this time
log = logging.getLogger(__name__)
_TOKEN = re.compile(r"(?!hb[kfs]_)[!-~]{1,8192}")  # Keystone must not see a secret of Hourbook in the wrong header


class Named(msgspec.Struct):
    id: str
    name: str | None = None


class Federated(msgspec.Struct):
    groups: list[Named] = []


class User(Named, kw_only=True):
    federation: Federated | None = msgspec.field(default=None, name="OS-FEDERATION")


class ApplicationCredential(msgspec.Struct):
    """`restricted` is what Keystone makes them unless its user says otherwise."""

    restricted: bool = True
    access_rules: list[Any] | None = None


class KeystoneToken(msgspec.Struct, kw_only=True):
    """What counts of the answer to `GET /v3/auth/tokens`."""

    user: User
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    project: Named | None = None
    domain: Named | None = None
    system: dict[str, bool] | None = None
    roles: list[Named] = []
    application_credential: ApplicationCredential | None = None
    trust: dict[str, Any] | None = msgspec.field(default=None, name="OS-TRUST:trust")
    oauth1: dict[str, Any] | None = msgspec.field(default=None, name="OS-OAUTH1")
    oauth2: dict[str, Any] | None = msgspec.field(default=None, name="oauth2_credential")


class _Body(msgspec.Struct):
    token: KeystoneToken


class KeystoneVerifier:
    """Verifies the tokens of one Keystone. `name` is its name in the auth file. `clock` gives seconds since 1970."""

    def __init__(
        self, name: str, issuer: KeystoneIssuer, clock: Callable[[], float] = time.time, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name, self._clock = name, clock
        self._url = f"{issuer.url.rstrip('/')}/auth/tokens?nocatalog=1"
        self._fetcher = Fetcher(issuer.ca_file, timeout_s)
        self._calls: SingleFlight[bytes, Verified] = SingleFlight()
        self._quiet_until = float("-inf")

    async def verify(self, credential: str) -> Verified:
        """The user of a token. Requests with the same token share one call of Keystone. Raises InvalidCredential, or
        IdentityUnavailable."""
        if not _TOKEN.fullmatch(credential):
            raise InvalidCredential("X-Auth-Token is not a token of Keystone")
        return await self._calls.run(sha256(credential.encode()).digest(), lambda: self._ask(credential))

    async def close(self) -> None:
        await self._fetcher.close()

    async def _ask(self, token: str) -> Verified:
        try:
            answer = await self._fetcher.get(self._url, {"x-auth-token": token, "x-subject-token": token})
        except FetchFailed as error:
            raise self._unavailable(str(error)) from None
        return self._verified(self._read(answer))

    def _read(self, answer: Answer) -> KeystoneToken:
        if answer.status in (401, 404):
            raise InvalidCredential(f"Keystone ({self.name}) does not know the token: it is wrong, expired or revoked")
        if answer.status == 403:  # the token is valid, but its user may not look at it: so it is with impersonation
            raise InvalidCredential(f"Keystone ({self.name}) does not let the token be checked; it may be of a trust")
        if answer.status != 200:
            raise self._unavailable(f"it answered {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Body).token
        except ValueError as error:
            raise self._unavailable(f"its answer is not a token: {error}") from None

    def _verified(self, token: KeystoneToken) -> Verified:
        until = min(token.expires_at.timestamp(), self._clock() + UNTIL_S)
        return Verified(principal_of(self.name, token), until, text_for_people(token.user.name))

    def _unavailable(self, why: str) -> IdentityUnavailable:
        if (now := time.monotonic()) >= self._quiet_until:
            log.warning("Keystone %s: %s", self.name, why)
            self._quiet_until = now + QUIET_S
        return IdentityUnavailable(f"Keystone ({self.name}) cannot check the token now")


def principal_of(name: str, token: KeystoneToken) -> Principal:
    """The user of a token. Its groups are where the token is valid, alone and with each of its roles, and the groups of
    a federated user:

    - `group:<name>:<project id>` and `group:<name>:<project id>:<role>`
    - `group:<name>:domain:<domain id>` and `group:<name>:domain:<domain id>:<role>`
    - `group:<name>:system` and `group:<name>:system:<role>`
    - `group:<name>:group:<group id>`

    An unscoped token has the last ones only. A token of an application credential may do what its project and its roles
    may do, and not what the user may do elsewhere: bindings of the user's own id do not count for it, unless Keystone
    calls it unrestricted. Raises InvalidCredential for a token with which somebody acts for somebody else.
    """
    _check_kind(token)
    try:
        checked_member(f"{name}:{token.user.id}", "user")
    except InvalidField:
        raise InvalidCredential("the id of the token's user has other than plain characters") from None
    groups = tuple(group for group in _groups(token) if group.isascii() and group.isprintable())
    user = person(name, token.user.id, groups, "keystone")
    credential = token.application_credential
    if credential is not None and credential.restricted:
        return msgspec.structs.replace(user, members=user.members - {user.id})
    return user


def _check_kind(token: KeystoneToken) -> None:
    if token.trust is not None or token.oauth1 is not None:
        raise InvalidCredential("the token acts for somebody else (a trust); use an application credential")
    if token.oauth2 is not None:
        raise InvalidCredential("the token is bound to a client's certificate, which is not seen here")
    if token.application_credential is not None and token.application_credential.access_rules:
        raise InvalidCredential("the application credential has access rules; use one without them")


def _groups(token: KeystoneToken) -> Iterator[str]:
    scope = _scope(token)
    if scope is not None:
        yield scope
        for role in token.roles:
            yield f"{scope}:{role.name}"
    if token.user.federation is not None:
        for group in token.user.federation.groups:
            yield f"group:{group.id}"


def _scope(token: KeystoneToken) -> str | None:
    if token.project is not None:
        return token.project.id
    if token.domain is not None:
        return f"domain:{token.domain.id}"
    return "system" if token.system else None
