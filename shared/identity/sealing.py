"""The token with which somebody signed in on the page, encrypted with a key that only the session's secret gives.

The database has the hash of that secret. So neither the database nor a backup of it gives the token.
"""

from __future__ import annotations

import hmac

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from shared.identity.credentials import CREDENTIAL_MAX, Bearer, KeystoneToken, Token
from shared.identity.errors import InvalidCredential

SEALED = {"alg": "dir", "enc": "A256GCM"}
SEAL = b"the credential of a session"  # what the key is for: the hash in the database is made otherwise


class _Kept(msgspec.Struct, array_like=True):
    """A token as it is sealed."""

    kind: str
    token: str


class _Registry(JWERegistry):
    max_ciphertext_length = 2 * CREDENTIAL_MAX  # of base64url


REGISTRY = _Registry(algorithms=list(SEALED.values()))


def seal(token: Token, secret: str) -> bytes:
    """The token, encrypted. Only the session's secret opens it."""
    kept = msgspec.json.encode(_Kept(type(token).__name__, token.token))
    return jwe.encrypt_compact(SEALED, kept, _key(secret), registry=REGISTRY).encode()


def unseal(sealed: bytes, secret: str) -> Token:
    """The token that was sealed. Raises InvalidCredential."""
    try:
        opened = jwe.decrypt_compact(sealed, _key(secret), registry=REGISTRY)
        kept = msgspec.json.decode(opened.plaintext or b"", type=_Kept)
    except (JoseError, ValueError):
        raise InvalidCredential("the session cannot be read; sign in again") from None
    return KeystoneToken(kept.token) if kept.kind == KeystoneToken.__name__ else Bearer(kept.token)


def _key(secret: str) -> OctKey:
    return OctKey.import_key(hmac.digest(secret.encode(), SEAL, "sha256"))
