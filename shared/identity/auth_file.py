"""The auth file (TOML): which issuers are trusted, and who has roles on the whole ledger.

`HOURBOOK_AUTH_FILE` names it. Without the file nobody signs in. See docs/security.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from shared.errors import InvalidField
from shared.events import Role
from shared.identity.principals import RESERVED
from shared.identity.roles import RIGHTS, Policy

ISSUER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
MEMBER_MAX = 255
_PRINCIPAL = re.compile(r"(?P<group>group:)?(?P<issuer>[a-z0-9][a-z0-9-]{0,30}):(?P<subject>[!-~]|[!-~][ -~]*[!-~])")

Url = Annotated[str, Meta(min_length=1, pattern=r"^https?://")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


class AuthFileError(Exception):
    """The auth file cannot be used. The message names the file, and what is wrong in it."""


class LedgerBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role on the whole ledger for some members."""

    role: Role
    members: tuple[str, ...]


class OidcIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID Connect provider. `client_id` and `client_secret_file` are for signing in on the page; without them the
    issuer's access tokens are accepted, and the page does not offer it. `leeway_s` is for clocks that differ.

    `groups_claim` is a claim's name, or the way to it, such as `realm_access.roles`. `algorithms` are
    those of the signatures that are accepted; by default every one with a public key. `ca_file` has the certificates
    (PEM) of the only authorities that vouch for the issuer's address; without it, those of the system do. `id_tokens`
    accepts ID tokens, too: for an issuer whose access tokens cannot be told from them, such as Dex."""

    issuer: Url
    audience: Annotated[str, Meta(min_length=1)]
    client_id: str | None = None
    client_secret_file: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    name_claim: str = "name"
    algorithms: tuple[Algorithm, ...] = get_args(Algorithm)
    leeway_s: Annotated[int, Meta(ge=0, le=300)] = 30
    ca_file: str | None = None
    id_tokens: bool = False
    title: str | None = None  # what the page calls it


class KeystoneIssuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenStack Keystone. `url` is its identity API, such as https://keystone.example.org/v3. `ca_file` is as
    for `[oidc]`."""

    url: Url
    ca_file: str | None = None
    title: str | None = None


class AuthFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. `everyone` is what any principal may do anywhere. `session_hours` is how long a sign-in on the page
    lasts."""

    everyone: Literal["none", "viewer"] = "none"
    session_hours: Annotated[int, Meta(ge=1, le=720)] = 12
    ledger: tuple[LedgerBinding, ...] = ()
    oidc: dict[str, OidcIssuer] = {}
    keystone: dict[str, KeystoneIssuer] = {}

    def policy(self) -> Policy:
        """The bindings for the whole ledger."""
        held: dict[str, int] = {}
        for binding in self.ledger:
            for member in binding.members:
                held[member] = held.get(member, 0) | RIGHTS[binding.role]
        return Policy(RIGHTS["viewer"] if self.everyone == "viewer" else 0, held)

    def issuers(self) -> Iterator[tuple[str, OidcIssuer | KeystoneIssuer]]:
        yield from self.oidc.items()
        yield from self.keystone.items()


def read_auth_file(path: Path | str) -> AuthFile:
    """The auth file at `path`. A file that it names without its whole path lies beside it. Raises AuthFileError."""
    try:
        return _from(Path(path).absolute().parent, parse_auth_file(Path(path).read_bytes()))
    except OSError as error:
        raise AuthFileError(f"{path}: {error.strerror}") from None
    except (ValueError, InvalidField) as error:  # msgspec's errors are ValueErrors
        raise AuthFileError(f"{path}: {error}") from None


def _from(folder: Path, file: AuthFile) -> AuthFile:
    """The auth file with the whole paths of the files that it names: services may have another working directory."""

    def whole(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    oidc = {
        name: replace(one, ca_file=whole(one.ca_file), client_secret_file=whole(one.client_secret_file))
        for name, one in file.oidc.items()
    }
    keystone = {name: replace(one, ca_file=whole(one.ca_file)) for name, one in file.keystone.items()}
    return replace(file, oidc=oidc, keystone=keystone)


def parse_auth_file(text: bytes) -> AuthFile:
    """The auth file with this text. Raises ValueError, or InvalidField for a wrong member."""
    file: AuthFile = msgspec.toml.decode(text, type=AuthFile)
    names = [*file.oidc, *file.keystone]
    for name in names:
        if not ISSUER_NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(f"{name!r} cannot name an issuer: use 1 to 31 small letters, digits and dashes")
    if twice := set(file.oidc) & set(file.keystone):
        raise ValueError(f"{min(twice)!r} names an issuer in both [oidc] and [keystone]; give each its own name")
    urls = [issuer.issuer for issuer in file.oidc.values()]
    if len(set(urls)) < len(urls):
        raise ValueError("two names in [oidc] have the same issuer; a person would be two")
    for binding in file.ledger:
        for member in binding.members:
            checked_member(member, "ledger.members")
    return file


def checked_member(member: str, field: str) -> str:
    """A member of a role binding or an account: `<issuer>:<subject>`, or `group:<issuer>:<group>`. Raises
    InvalidField."""
    parts = _PRINCIPAL.fullmatch(member) if len(member) <= MEMBER_MAX else None
    if parts is None:
        raise InvalidField(field, "give <issuer>:<subject> or group:<issuer>:<group>, at most 255 plain characters")
    if parts["issuer"] in RESERVED:
        raise InvalidField(field, f"{member[:100]!r} names no person and no group of an issuer")
    return member
