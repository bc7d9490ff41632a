"""The credential of a request, as it stands in the headers or in the address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs

from shared.identity.errors import InvalidCredential
from shared.identity.secrets import FEED, TOKEN

COOKIE = "__Host-hourbook"
FEED_KEY = "key"  # the parameter of a feed's address
_COOKIE_AS_TEXT = f"{COOKIE}="
_COOKIE_IN_HEADER = _COOKIE_AS_TEXT.encode()
_FEED_IN_QUERY = f"{FEED_KEY}={FEED}_".encode()
_OWN = f"{TOKEN}_"
CREDENTIAL_MAX = 64 * 1024

Headers = Iterable[tuple[bytes, bytes]]


class Bearer(NamedTuple):
    """One of Hourbook's own tokens, or an access token of an issuer."""

    token: str


class KeystoneToken(NamedTuple):
    token: str


class SessionCookie(NamedTuple):
    secret: str


class FeedKey(NamedTuple):
    """The key in the address of a feed, and the path that it is for."""

    secret: str
    path: str


Token = Bearer | KeystoneToken
Credential = Token | SessionCookie | FeedKey


def credential_of(headers: Headers, path: str, query_string: bytes) -> Credential | None:
    """The credential of a request; None if it has none. `headers` are ASGI's: lower-case names. A token comes before a
    cookie. Raises InvalidCredential for two credentials of one kind, and for one that cannot be read."""
    bearer = keystone = session = None
    for name, value in headers:
        if name == b"authorization":
            bearer = _once(bearer, _bearer(value), "Authorization")
        elif name == b"x-auth-token":
            keystone = _once(keystone, _text(value), "X-Auth-Token")
        elif name == b"cookie" and _COOKIE_IN_HEADER in value:
            session = _once(session, _in_cookie(value), "Cookie")
    if bearer is not None:
        if keystone is not None:
            raise InvalidCredential("the request has both Authorization and X-Auth-Token; send one of them")
        return Bearer(bearer)
    if keystone is not None:  # OpenStack's services send there what token they are given, one of Hourbook's too
        return Bearer(keystone) if keystone.startswith(_OWN) else KeystoneToken(keystone)
    if _FEED_IN_QUERY in query_string and (keys := parse_qs(query_string.decode("latin-1")).get(FEED_KEY)):
        return FeedKey(keys[0], path)
    return None if session is None else SessionCookie(session)


def session_in(headers: Headers) -> str | None:
    """The secret of the session's cookie, whatever other credential the request has; None without a cookie, or for one
    that cannot be read."""
    try:
        secrets = [_in_cookie(value) for name, value in headers if name == b"cookie" and _COOKIE_IN_HEADER in value]
    except InvalidCredential:
        return None
    return secrets[0] if len(secrets) == 1 else None


def _once(before: str | None, given: str, header: str) -> str:
    if before is not None:
        raise InvalidCredential(f"the request has two credentials in {header}; send one")
    return given


def _bearer(value: bytes) -> str:
    scheme, _, token = _text(value).partition(" ")
    if scheme.lower() != "bearer" or not (token := token.strip()):
        raise InvalidCredential("the header Authorization must be: Bearer, a space, and the token")
    return token


def _text(value: bytes) -> str:
    text = value.strip()
    if not text.isascii() or len(text) > CREDENTIAL_MAX:
        raise InvalidCredential("the credential must be plain ASCII text of at most 64 KiB")
    return text.decode("ascii")


def _in_cookie(value: bytes) -> str:
    """The session's secret in a Cookie header; it may be malformed. Raises InvalidCredential if it is there twice."""
    parts = [part.strip() for part in _text(value).split(";")]
    found = [part for part in parts if part.startswith(_COOKIE_AS_TEXT)]
    secret = found[0].removeprefix(_COOKIE_AS_TEXT) if len(found) == 1 else ""
    if not secret:
        raise InvalidCredential("the cookie of the session is malformed; sign in again")
    return secret
