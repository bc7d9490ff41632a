"""The keys of an OpenID Connect provider: found by discovery, kept in memory, refreshed in the background."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key

from shared.identity.auth_file import OidcIssuer
from shared.identity.cache import SingleFlight
from shared.identity.errors import IdentityUnavailable, InvalidCredential
from shared.identity.fetching import Fetcher, FetchFailed
from shared.identity.jws import Header, StrictRegistry
from shared.tasks import end_tasks

FRESH_S = 300.0  # after that, the next use fetches them again, and does not wait for it
OLD_S = 600.0  # after that, it waits, so that a key which was withdrawn long ago is not used once more
# How long known keys go on while the provider does not answer: longer than tokens live, for it makes no new ones. A
# provider that withdrew a key is believed as soon as it answers.
STALE_S = 24 * 3600.0
AGAIN_S = 10.0  # unknown keys, however many, make no more than one fetch in this time
AGAIN_FAILED_S = 2.0  # the same, after a fetch that failed
KEYS_MAX = 200

log = logging.getLogger(__name__)


class IssuerKey(NamedTuple):
    """A public key, and the algorithms for which it may be used."""

    key: Key
    kid: str | None
    algorithms: frozenset[str]


class Discovery(msgspec.Struct):
    """What counts of a provider's `/.well-known/openid-configuration`."""

    issuer: str
    jwks_uri: str


class KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


class KeySource:
    """The keys of one issuer. `name` is the issuer's name in the auth file. `clock` gives seconds that only grow."""

    def __init__(
        self, name: str, issuer: OidcIssuer, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._issuer, self._fetcher, self._clock = name, issuer, fetcher, clock
        self._registry = StrictRegistry(issuer.algorithms)
        self._keys: tuple[IssuerKey, ...] | None = None
        self._document = b""
        self._fetched_at = 0.0
        self._ask_again_at = float("-inf")
        self._failing = False
        self._fetches: SingleFlight[None, None] = SingleFlight()
        self._behind: asyncio.Task[None] | None = None

    async def key(self, header: Header) -> Key:
        """The key that a token names. Raises InvalidCredential if the issuer has no such key, IdentityUnavailable if it
        cannot be asked."""
        found = self._fitting(await self._usable(), header)
        if not found and self._may_ask():
            await self._fetches.run(None, self._fetch)
            found = self._fitting(self._keys or (), header)
        if not found and self._failing:
            raise self._unavailable()
        if not found:
            raise InvalidCredential(f"the issuer {self._name} has no key that fits the token")
        if len(found) > 1:
            raise InvalidCredential(f"the issuer {self._name} has several keys that fit the token; it must name one")
        return found[0]

    async def document(self) -> bytes:
        """The provider's `/.well-known/openid-configuration`, as old as the keys are at most. Raises
        IdentityUnavailable."""
        await self._usable()
        return self._document

    async def close(self) -> None:
        if self._behind is not None:
            await end_tasks(self._behind)

    async def _usable(self) -> tuple[IssuerKey, ...]:
        """The known keys. Fetches them first if there are none or they are old; in the background if they are a little
        old, or the provider does not answer."""
        age = self._clock() - self._fetched_at
        if self._keys is None or age >= STALE_S:
            if not self._may_ask():
                raise self._unavailable()
            await self._fetches.run(None, self._fetch)
        elif age >= OLD_S and not self._failing:
            await self._refresh()
        elif age >= FRESH_S and self._may_ask():
            self._fetch_behind()
        return self._keys or ()

    def _fitting(self, keys: Iterable[IssuerKey], header: Header) -> list[Key]:
        return [known.key for known in keys if header.alg in known.algorithms and header.kid in (None, known.kid)]

    def _may_ask(self) -> bool:
        """Also while a fetch goes on: who asks then waits for that one."""
        return self._clock() >= self._ask_again_at

    def _fetch_behind(self) -> None:
        if self._behind is None or self._behind.done():
            self._behind = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        with suppress(IdentityUnavailable):  # it is logged, and the known keys go on
            await self._fetches.run(None, self._fetch)

    async def _fetch(self) -> None:
        again_s = AGAIN_FAILED_S
        try:
            self._keys = await self._published()
            self._fetched_at, again_s = self._clock(), AGAIN_S
            self._failing = False
        except (FetchFailed, ValueError) as error:
            if not self._failing:
                log.warning("issuer %s: its keys could not be fetched: %s", self._name, error)
            self._failing = True
            raise self._unavailable() from None
        finally:
            self._ask_again_at = self._clock() + again_s

    async def _published(self) -> tuple[IssuerKey, ...]:
        """Raises FetchFailed, or ValueError for documents that are not as they should be."""
        url = f"{self._issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._fetcher.get_document(url)
        found = msgspec.json.decode(document, type=Discovery)
        if found.issuer != self._issuer.issuer:
            raise ValueError(f"{url} is of the issuer {found.issuer[:200]!r}; the auth file must name it so")
        if self._issuer.issuer.startswith("https:") and not found.jwks_uri.startswith("https:"):
            raise ValueError(f"{url} names keys (jwks_uri) without https")
        published = msgspec.json.decode(await self._fetcher.get_document(found.jwks_uri), type=KeySet)
        self._document = document
        return usable_keys(published.keys[:KEYS_MAX], self._registry)

    def _unavailable(self) -> IdentityUnavailable:
        return IdentityUnavailable(f"the keys of the issuer {self._name} cannot be fetched now")


def usable_keys(published: Iterable[dict[str, Any]], registry: StrictRegistry) -> tuple[IssuerKey, ...]:
    """The keys with which signatures by the allowed algorithms can be checked. Leaves out every other one: a key for
    encryption, a key of a kind that joserfc does not know, a secret one, a short one. A key that is listed twice counts
    once."""
    keys: dict[tuple[object, ...], IssuerKey] = {}
    for members in published:
        key = _imported(members)
        algorithms = frozenset(alg for alg in registry.allowed or () if key and _fits(key, alg, registry))
        if key and algorithms:
            keys[key.thumbprint(), key.kid, algorithms] = IssuerKey(key, key.kid, algorithms)
    return tuple(keys.values())


def _imported(members: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # a short RSA key
            key = import_key(members)
        key.check_key_op("verify")
        public = not isinstance(key, OctKey) and not key.is_private
        return key if public and len(key.kid or "") <= 255 else None  # type: ignore[return-value]
    except (JoseError, SecurityWarning, ValueError, TypeError, KeyError, AttributeError):
        return None


def _fits(key: Key, alg: str, registry: StrictRegistry) -> bool:
    if isinstance(key, OKPKey) and key.curve_name not in ("Ed25519", "Ed448"):
        return False
    try:
        registry.get_alg(alg).check_key(key)
        return True
    except JoseError:
        return False
