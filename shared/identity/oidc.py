"""OpenID Connect: verifies the access tokens of the issuers in the auth file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from shared.identity.auth_file import OidcIssuer
from shared.identity.claims import verified
from shared.identity.errors import InvalidCredential
from shared.identity.fetching import Fetcher
from shared.identity.jwks import KeySource
from shared.identity.jws import StrictRegistry, read_claims, read_header, unchecked_issuer
from shared.identity.verifying import Verified


class OidcVerifier:
    """Verifies the access tokens of one issuer. `name` is its name in the auth file.

    `clock` gives seconds since 1970; `monotonic` gives seconds that only grow.
    """

    def __init__(
        self,
        name: str,
        issuer: OidcIssuer,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.issuer, self.clock = name, issuer, clock
        self.fetcher = Fetcher(issuer.ca_file)
        self.keys = KeySource(name, issuer, self.fetcher, monotonic)
        self._registry = StrictRegistry(issuer.algorithms)

    async def verify(self, credential: str) -> Verified:
        """The person of an access token. Raises InvalidCredential, or IdentityUnavailable."""
        header = read_header(credential, self.issuer.algorithms)
        key = await self.keys.key(header)
        claims = read_claims(credential, key, self._registry)
        return verified(self.name, self.issuer, header.typ, claims, self.clock())

    async def close(self) -> None:
        """Ends the connections and the fetch that may go on in the background."""
        await self.keys.close()
        await self.fetcher.close()


class OidcVerifiers:
    """Verifies the access tokens of several issuers. The issuer that a token names only selects who verifies it."""

    def __init__(self, issuers: Mapping[str, OidcIssuer], clock: Callable[[], float] = time.time) -> None:
        self._verifiers = {issuer.issuer: OidcVerifier(name, issuer, clock) for name, issuer in issuers.items()}

    def __iter__(self) -> Iterator[OidcVerifier]:
        return iter(self._verifiers.values())

    async def verify(self, credential: str) -> Verified:
        """The person of an access token. Raises InvalidCredential, or IdentityUnavailable."""
        verifier = self._verifiers.get(unchecked_issuer(credential) or "")
        if verifier is None:
            raise InvalidCredential("the token is not a signed token of an issuer that is trusted here")
        return await verifier.verify(credential)

    async def close(self) -> None:
        for verifier in self._verifiers.values():
            await verifier.close()
