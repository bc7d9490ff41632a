"""An attempt to sign in: what the browser keeps between the page, the issuer and back, in a cookie of its own."""

from __future__ import annotations

import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hmac import compare_digest
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from shared.errors import InvalidField
from shared.identity.errors import SignInFailed

COOKIE = "__Host-hourbook-sign-in"
LASTS_S = 600
TARGET_MAX = 1000
RANDOM = 32  # bytes of a state, a nonce, a verifier: 43 characters
BEGIN_AGAIN = "The attempt is unknown here, or older than ten minutes, or another one was begun after it; sign in again"

_TARGET = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/?#]*")


class Answer(NamedTuple):
    """What an issuer gave to the browser: a code, or an error. `issuer` is its own address (RFC 9207), None without."""

    code: str | None
    error: str | None
    issuer: str | None


class Attempt(msgspec.Struct, frozen=True):
    """`issuer` is its name in the auth file. `state`, `nonce` and `verifier` (PKCE) are random. `target` is where the
    page goes on. `until` in seconds since 1970."""

    issuer: str
    state: str
    nonce: str
    verifier: str
    target: str
    until: float

    def cookie(self) -> str:
        """The value of the cookie."""
        return urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()


def new_attempt(issuer: str, target: str) -> Attempt:
    """Raises InvalidField for a target that is no path of the page."""
    state, nonce, verifier = (secrets.token_urlsafe(RANDOM) for _ in range(3))
    return Attempt(issuer, state, nonce, verifier, local_path(target, "to"), time.time() + LASTS_S)


def attempt_in(cookie: str | None, issuer: str, state: str | None) -> Attempt:
    """The attempt to which an issuer's answer belongs: this browser began it, with this issuer, and this `state` came
    back. Raises SignInFailed: so nobody signs another person in."""
    attempt = _read(cookie or "")
    if attempt is None or attempt.issuer != issuer or attempt.until <= time.time():
        raise SignInFailed(BEGIN_AGAIN)
    if not compare_digest(attempt.state.encode(), (state or "").encode("utf-8", "surrogatepass")):
        raise SignInFailed(BEGIN_AGAIN)
    return attempt


def local_path(target: str, field: str) -> str:
    """A path of this address, with a query and a fragment perhaps. Raises InvalidField for what a browser, or a proxy
    that decodes it, could take for another host's address."""
    path = target.partition("#")[0].partition("?")[0]
    decoded = unquote(unquote(path))
    parts = decoded.split("/")[1:]
    if (
        len(target) > TARGET_MAX
        or not _TARGET.fullmatch(target)
        or "" in parts[:-1]
        or not {".", ".."}.isdisjoint(parts)
        or "\\" in decoded
        or not decoded.isprintable()
    ):
        raise InvalidField(field, "give a path of the page, such as /; nothing that names another host")
    return target


def _read(cookie: str) -> Attempt | None:
    try:
        padded = cookie.encode() + b"=" * (-len(cookie) % 4)
        attempt = msgspec.json.decode(urlsafe_b64decode(padded), type=Attempt)
        local_path(attempt.target, "to")
        return attempt
    except (ValueError, InvalidField):  # msgspec's and base64's errors are ValueErrors
        return None
