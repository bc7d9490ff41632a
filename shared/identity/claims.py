"""The claims of an access token: what they must say, and the person whom they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc.errors import ClaimError, ExpiredTokenError, MissingClaimError
from joserfc.jwt import JWTClaimsRegistry

from shared.errors import InvalidField
from shared.identity.auth_file import MEMBER_MAX, OidcIssuer, checked_member
from shared.identity.errors import InvalidCredential
from shared.identity.principals import person
from shared.identity.verifying import EMAIL_MAX, NAME_MAX, Verified

UNTIL_S = 300.0  # so long no token is checked again, however long it lives
ACCESS_HEADERS = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068
PLAIN_HEADERS = frozenset({None, "jwt", "application/jwt"})
ACCESS_KINDS = frozenset({"bearer", "dpop"})  # Keycloak's claim `typ`; that of an ID token is "ID"
HASHES = frozenset({"at_hash", "c_hash", "s_hash"})  # an ID token vouches with them for what was issued beside it
SCOPES = frozenset({"scope", "scp", "client_id"})  # no ID token has them: they say what the client may do
AUTHENTIK = frozenset({"azp", "uid"})  # Authentik's access tokens are its ID tokens with these two

WRONG = {
    "iss": "the token is not of this issuer",
    "aud": "the token's audience (aud) is not this service's",
    "nbf": "the token is not valid yet (nbf)",
    "iat": "the token's time of issue (iat) is not a time in the past",
    "exp": "the token's time of expiry (exp) is not a time",
    "sub": "the token's subject (sub) must be a text",
}


def verified(name: str, issuer: OidcIssuer, typ: str | None, claims: dict[str, Any], now: float) -> Verified:
    """The person whom a token names. `name` is the issuer's name in the auth file, `typ` the header's, `now` in seconds
    since 1970. The signature must have been checked. Raises InvalidCredential."""
    _check_values(issuer, claims, now)
    check_kind(issuer, typ, claims)
    return person_of(name, issuer, claims, min(claims["exp"] + issuer.leeway_s, now + UNTIL_S))


def person_of(name: str, issuer: OidcIssuer, claims: Mapping[str, Any], until: float) -> Verified:
    """The person whom the claims name. They must have been checked. Raises InvalidCredential."""
    email = claims.get("email") if claims.get("email_verified") is not False else None
    return Verified(
        person(name, subject_of(name, claims), groups_of(claims, issuer.groups_claim), "oidc"),
        until,
        text_for_people(claims.get(issuer.name_claim)),
        text_for_people(email, EMAIL_MAX),
    )


def _check_values(issuer: OidcIssuer, claims: dict[str, Any], now: float) -> None:
    registry = JWTClaimsRegistry(
        now=int(now),
        leeway=issuer.leeway_s,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError:
        raise InvalidCredential("the token has expired") from None
    except MissingClaimError as error:
        raise InvalidCredential(f"the token lacks: {error.claim.replace(',', ', ')}") from None
    except ClaimError as error:
        raise InvalidCredential(WRONG.get(error.claim, "a claim of the token is not valid")) from None


def check_kind(issuer: OidcIssuer, typ: str | None, claims: Mapping[str, Any]) -> None:
    """Raises InvalidCredential unless it is an access token.

    An ID token says who signed in, to the page that asked. It is no key to anything: it passes through addresses and
    logs (`id_token_hint`). The header says which it is where the issuer follows RFC 9068; claims tell it elsewhere.
    """
    kind = typ.lower() if typ else None
    if kind not in ACCESS_HEADERS | PLAIN_HEADERS or "events" in claims:
        raise InvalidCredential("the token is of another kind; send an access token")
    if issuer.id_tokens or kind in ACCESS_HEADERS:
        return
    if not _is_access(issuer, claims):
        raise InvalidCredential("the token may be an ID token; send an access token")


def _is_access(issuer: OidcIssuer, claims: Mapping[str, Any]) -> bool:
    kind = claims.get("typ")
    if kind is not None:
        return isinstance(kind, str) and kind.lower() in ACCESS_KINDS
    if not HASHES.isdisjoint(claims):
        return False
    if not SCOPES.isdisjoint(claims) or claims.keys() >= AUTHENTIK:
        return True
    # The audience of an ID token is the client. So it cannot be one if the audience here is another.
    return "nonce" not in claims and issuer.audience != issuer.client_id


def subject_of(name: str, claims: Mapping[str, Any]) -> str:
    """The subject, if it can be part of a person's id. Raises InvalidCredential."""
    subject = claims["sub"]
    try:
        checked_member(f"{name}:{subject}", "sub")
    except InvalidField:
        raise InvalidCredential(
            f"the token's subject (sub) must have 1 to {MEMBER_MAX - len(name) - 1} plain characters"
        ) from None
    return str(subject)


def groups_of(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The groups in a claim: a list of texts, one text, or nothing. `claim` is the claim's name, or the way to it, such
    as `realm_access.roles`. Leaves out groups that no binding can name: those with other than plain characters, and
    those that are too long. Raises InvalidCredential for a claim of another type."""
    found = claims[claim] if claim in claims else _inside(claims, claim.split("."))
    if found is None:
        return ()
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(group, str) for group in found):
        raise InvalidCredential(f"the token's groups ({claim}) must be a list of texts")
    return tuple(group for group in found if 0 < len(group) <= MEMBER_MAX and group.isascii() and group.isprintable())


def _inside(claims: object, way: list[str]) -> object:
    for step in way:
        claims = claims.get(step) if isinstance(claims, dict) else None
    return claims


def text_for_people(value: object, most: int = NAME_MAX) -> str | None:
    """A text for people to read, without characters that cannot be seen, of `most` characters; None if there is
    none."""
    if not isinstance(value, str):
        return None
    return "".join(char for char in value[:most] if char.isprintable()).strip() or None
