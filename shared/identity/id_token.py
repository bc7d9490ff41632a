"""ID tokens: what an issuer says of whoever signed in on the page, to the page that asked."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import new
from typing import Any

from joserfc.errors import ClaimError
from joserfc.jwt import JWTClaimsRegistry

from shared.identity.auth_file import OidcIssuer
from shared.identity.claims import ACCESS_KINDS, PLAIN_HEADERS
from shared.identity.errors import InvalidCredential
from shared.identity.jws import Header


def check_id_token(
    issuer: OidcIssuer, header: Header, claims: Mapping[str, Any], *, nonce: str, access_token: str, now: float
) -> None:
    """Raises InvalidCredential unless the ID token is of this issuer, for this client, for this attempt (`nonce`), in
    time, and for this access token. The signature must have been checked."""
    if (header.typ or "jwt").lower() not in PLAIN_HEADERS or "events" in claims:
        raise InvalidCredential("its ID token is a token of another kind")
    if str(claims.get("typ")).lower() in ACCESS_KINDS:
        raise InvalidCredential("its ID token is an access token")
    registry = JWTClaimsRegistry(
        now=int(now),
        leeway=issuer.leeway_s,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.client_id or ""},
        nonce={"essential": True, "value": nonce},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except ClaimError as error:
        raise InvalidCredential(f"its ID token is not valid here ({error.claim})") from None
    _check_party(issuer, claims)
    _check_hash(header.alg, claims.get("at_hash"), access_token)


def _check_party(issuer: OidcIssuer, claims: Mapping[str, Any]) -> None:
    """With several audiences, the ID token says for which of them it was made (azp)."""
    party, audience = claims.get("azp"), claims["aud"]
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise InvalidCredential("its ID token has several audiences, and does not say for which it was made (azp)")
    if party is not None and party != issuer.client_id:
        raise InvalidCredential("its ID token was made for another client (azp)")


def _check_hash(alg: str, given: object, access_token: str) -> None:
    """`at_hash` is the first half of the access token's hash. An issuer need not give it."""
    if given is None:
        return
    digest = new("sha512" if alg.startswith("Ed") else f"sha{alg[-3:]}", access_token.encode()).digest()
    if given != urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode():
        raise InvalidCredential("its ID token was issued with another access token (at_hash)")
