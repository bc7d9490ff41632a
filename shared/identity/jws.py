"""Signed tokens (JWS in its compact form): their header, their signature, and their claims, read strictly.

joserfc checks the signatures. It reads JSON as Python does, so that the last of two members with one name counts; what
is read here has no such members.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from shared.identity.errors import InvalidCredential

TOKEN_MAX = 1024 * 1024  # characters; a token of a person with 10,000 groups has about 400,000
HEADER_MAX = 4096
SIGNATURE_MAX = 2048  # an RSA key of 8192 bits makes 1366
KID_MAX = 255
MALFORMED = "the token is not a signed JSON Web Token"


class Header(NamedTuple):
    """What counts of a token's header. `jwk`, `jku`, `x5u` and `x5c` say which key to believe; nobody reads them."""

    alg: str
    kid: str | None
    typ: str | None


class StrictRegistry(JWSRegistry):
    """joserfc's own takes HS256 if the list of allowed algorithms is empty."""

    max_header_length = HEADER_MAX
    max_payload_length = TOKEN_MAX
    max_signature_length = SIGNATURE_MAX

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=tuple(algorithms), strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def read_header(token: str, algorithms: Collection[str]) -> Header:
    """The header of a token. Raises InvalidCredential if the token is too long, encrypted or malformed, or its header
    asks for something that is not allowed."""
    if len(token) > TOKEN_MAX or not token.isascii():
        raise InvalidCredential(MALFORMED)
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > HEADER_MAX:
        raise InvalidCredential(MALFORMED)
    try:
        members = strict_json(urlsafe_b64decode(parts[0].encode()))
    except ValueError:
        raise InvalidCredential(MALFORMED) from None
    return _checked(members, algorithms)


def read_claims(token: str, key: Key, registry: StrictRegistry) -> dict[str, Any]:
    """The claims of a token that `key` has signed. Raises InvalidCredential."""
    try:
        signed = jws.deserialize_compact(token, key, registry=registry)
    except (JoseError, ValueError):
        raise InvalidCredential("the token's signature is not valid") from None
    try:
        return strict_json(signed.payload or b"")
    except ValueError:
        raise InvalidCredential("the token's claims are not a JSON object") from None


class _Issued(msgspec.Struct):
    iss: str


_ISSUED = msgspec.json.Decoder(_Issued)


def unchecked_issuer(token: str) -> str | None:
    """The issuer that a token names. Nobody has checked it: it may only select who verifies the token. None: the token
    names none, or cannot be read."""
    parts = token.split(".") if len(token) <= TOKEN_MAX and token.isascii() else ()
    if len(parts) != 3:
        return None
    try:
        return _ISSUED.decode(urlsafe_b64decode(parts[1].encode())).iss
    except (ValueError, RecursionError):
        return None


def strict_json(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 in which no object has two members with one name. Raises ValueError."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_members, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("two members have one name")
    return members


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _checked(members: dict[str, Any], algorithms: Collection[str]) -> Header:
    alg, kid, typ = members.get("alg"), members.get("kid"), members.get("typ")
    if not isinstance(alg, str) or alg not in algorithms:
        raise InvalidCredential(f"the token's algorithm is not allowed; these are: {', '.join(algorithms)}")
    if not {"crit", "b64"}.isdisjoint(members):
        raise InvalidCredential("the token's header has critical extensions; none is understood")
    if not {"enc", "zip", "cty"}.isdisjoint(members):
        raise InvalidCredential("the token holds another token, or is encrypted")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= KID_MAX and kid.isprintable()):
        raise InvalidCredential("the name of the token's key (kid) is not a short text")
    if typ is not None and not isinstance(typ, str):
        raise InvalidCredential(MALFORMED)
    return Header(alg, kid, typ)
