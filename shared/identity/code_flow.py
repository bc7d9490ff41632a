"""Signing in on the page by OpenID Connect: the authorization code flow, with PKCE, state and nonce.

Authlib writes the requests. They go out with the limits that hold for every request to an issuer, and the ID token is
verified as strictly as an access token.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from shared.identity.attempts import Answer, Attempt
from shared.identity.claims import person_of
from shared.identity.errors import IdentityUnavailable, InvalidCredential, SignInFailed
from shared.identity.fetching import FetchFailed
from shared.identity.id_token import check_id_token
from shared.identity.jws import StrictRegistry, read_claims, read_header, strict_json
from shared.identity.oidc import OidcVerifier
from shared.identity.verifying import Verified

log = logging.getLogger(__name__)


class Endpoints(msgspec.Struct):
    """What the code flow uses of a provider's `/.well-known/openid-configuration`."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class CodeFlow:
    """The code flow with one issuer that has a `client_id`. `redirect` is the address to which it sends people back."""

    def __init__(self, verifier: OidcVerifier, redirect: str) -> None:
        self.name, self.issuer, self._verifier = verifier.name, verifier.issuer, verifier
        self._redirect = redirect
        self._registry = StrictRegistry(self.issuer.algorithms)

    async def address(self, attempt: Attempt) -> str:
        """The address at the issuer where the person signs in. Raises IdentityUnavailable."""
        found = await self._endpoints()
        url = prepare_grant_uri(
            found.authorization_endpoint,
            self.issuer.client_id or "",
            "code",
            redirect_uri=self._redirect,
            scope=list(dict.fromkeys(("openid", *self.issuer.scopes))),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),  # type: ignore[no-untyped-call]
            code_challenge_method="S256",
        )
        return str(url)

    async def person(self, attempt: Attempt, answer: Answer) -> Verified:
        """Who signed in. Raises SignInFailed, IdentityUnavailable."""
        found = await self._endpoints()
        self._check(found, answer)
        tokens = await self._exchange(found, answer.code or "", attempt.verifier)
        try:
            return await self._said(found, attempt, *tokens)
        except InvalidCredential as error:
            log.warning("issuer %s: nobody signed in: %s", self.name, error.detail)
            raise SignInFailed(f"The answer of {self.name} cannot be trusted: {error.detail}") from None

    async def sign_out_address(self, page: str) -> str | None:
        """Where the browser may go to end the session at the issuer, too; None if the issuer has no such address, or
        does not answer."""
        try:
            found = await self._endpoints()
        except IdentityUnavailable:
            return None
        if found.end_session_endpoint is None:
            return None
        said = urlencode({"client_id": self.issuer.client_id, "post_logout_redirect_uri": page})
        return f"{found.end_session_endpoint}{'&' if '?' in found.end_session_endpoint else '?'}{said}"

    def check_secret(self) -> None:
        """Raises IdentityUnavailable if the client's secret cannot be read."""
        self._secret()

    async def _endpoints(self) -> Endpoints:
        try:
            found = msgspec.json.decode(await self._verifier.keys.document(), type=Endpoints)
        except ValueError as error:
            raise self._unavailable(f"its configuration is of no use for signing in: {error}") from None
        addresses = (found.authorization_endpoint, found.token_endpoint, found.userinfo_endpoint or "https:")
        if self.issuer.issuer.startswith("https:") and not all(one.startswith("https:") for one in addresses):
            raise self._unavailable("its configuration names addresses without https")
        return found

    def _check(self, found: Endpoints, answer: Answer) -> None:
        """An answer of another issuer, or without its issuer's name where this one gives it, may be a mix-up."""
        if answer.issuer is None and found.authorization_response_iss_parameter_supported:
            raise SignInFailed(f"The answer does not say that it comes from {self.name} (iss)")
        if answer.issuer is not None and answer.issuer != self.issuer.issuer:
            raise SignInFailed(f"The answer comes from another issuer than {self.name} (iss)")
        if answer.error == "access_denied":
            raise SignInFailed(f"{self.name} did not let you in, or you said no there")
        if answer.error is not None or not answer.code:
            log.warning("issuer %s: it answered the error %.60r, and no code", self.name, answer.error)
            raise SignInFailed(f"{self.name} answered with an error; try again, or ask who runs this service")

    async def _exchange(self, found: Endpoints, code: str, verifier: str) -> tuple[str, str]:
        """The ID token and the access token that a code is worth."""
        form = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect, code=code, code_verifier=verifier
        )
        auth = self._client_auth(found)
        _, headers, body = auth.prepare("POST", found.token_endpoint, {}, form)  # type: ignore[no-untyped-call]
        try:
            answer = await self._verifier.fetcher.post(found.token_endpoint, headers, body)
            tokens = strict_json(answer.body)
        except (FetchFailed, ValueError) as error:
            raise self._unavailable(f"its token endpoint: {error}") from None
        if answer.status >= 500:
            raise self._unavailable(f"its token endpoint answered {answer.status}")
        if answer.status != 200:
            log.warning("issuer %s: it did not take a code: %d, %.60r", self.name, answer.status, tokens.get("error"))
            raise SignInFailed(f"{self.name} did not take its own code; sign in again")
        return self._token(tokens, "id_token"), self._token(tokens, "access_token")

    def _token(self, tokens: dict[str, Any], kind: str) -> str:
        token = tokens.get(kind)
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._unavailable(f"its token endpoint gave no {kind}")
        return token

    async def _said(self, found: Endpoints, attempt: Attempt, id_token: str, access_token: str) -> Verified:
        header = read_header(id_token, self.issuer.algorithms)
        claims = read_claims(id_token, await self._verifier.keys.key(header), self._registry)
        check_id_token(
            self.issuer, header, claims, nonce=attempt.nonce, access_token=access_token, now=self._verifier.clock()
        )
        if found.userinfo_endpoint is not None and not {self.issuer.groups_claim, self.issuer.name_claim} <= set(
            claims
        ):
            claims = await self._more(found.userinfo_endpoint, access_token, claims) | claims
        return person_of(self.name, self.issuer, claims, claims["exp"])

    async def _more(self, url: str, access_token: str, claims: dict[str, Any]) -> dict[str, Any]:
        """What the issuer's userinfo says of the same person; nothing if it does not know the access token."""
        try:
            answer = await self._verifier.fetcher.get(url, {"authorization": f"Bearer {access_token}"})
        except FetchFailed as error:
            raise self._unavailable(str(error)) from None
        if answer.status != 200:
            log.warning("issuer %s: its userinfo answered %d; the ID token counts alone", self.name, answer.status)
            return {}
        try:
            more = strict_json(answer.body)
        except ValueError:
            log.warning("issuer %s: its userinfo is not a JSON object; the ID token counts alone", self.name)
            return {}
        if more.get("sub") != claims["sub"]:
            raise InvalidCredential("its userinfo is about another person (sub)")
        return more

    def _client_auth(self, found: Endpoints) -> ClientAuth:
        secret, methods = self._secret(), found.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return ClientAuth(self.issuer.client_id, secret, "none" if secret is None else method)

    def _secret(self) -> str | None:
        """The client's secret; None for a public client. It is read each time, so that the file may change."""
        if self.issuer.client_secret_file is None:
            return None
        try:
            return Path(self.issuer.client_secret_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise self._unavailable(f"client_secret_file: {type(error).__name__}") from None

    def _unavailable(self, why: str) -> IdentityUnavailable:
        log.warning("issuer %s: nobody can sign in: %s", self.name, why)
        return IdentityUnavailable(f"{self.name} does not answer as it should, so nobody can sign in with it now")
