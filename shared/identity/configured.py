"""The authenticator that the settings of a service describe."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.identity.auth_file import AuthFile, AuthFileError, read_auth_file
from shared.identity.authenticator import Authenticator
from shared.identity.errors import IdentityUnavailable
from shared.identity.roles import Policy
from shared.identity.verifying import Verified

if TYPE_CHECKING:
    from shared.identity.code_flow import CodeFlow

log = logging.getLogger(__name__)


def authenticator_from(
    auth_file: str | None,
    database_url: str,
    noticed: Callable[[Verified], None] = lambda _: None,
    *,
    read_url: str | None = None,
) -> Authenticator | None:
    """The authenticator of a service; None without an auth file: then nobody signs in. It reads from `read_url` while
    the database does not answer. Exits with a message if the file cannot be used."""
    file = _auth_file(auth_file)
    return None if file is None else authenticator_of(file, database_url, noticed, read_url=read_url)


def authenticator_of(
    file: AuthFile,
    database_url: str,
    noticed: Callable[[Verified], None] = lambda _: None,
    *,
    read_url: str | None = None,
) -> Authenticator:
    """The authenticator that an auth file describes, with a verifier for each of its issuers."""
    # only here: where nobody signs in, a service starts 0.4 s sooner without them
    from shared.identity.keystone import KeystoneVerifier
    from shared.identity.oidc import OidcVerifiers

    bearer = OidcVerifiers(file.oidc) if file.oidc else None
    keystone = [KeystoneVerifier(name, issuer) for name, issuer in file.keystone.items()]
    return Authenticator(file, database_url, read_url=read_url, bearer=bearer, keystone=keystone, noticed=noticed)


def policy_from(auth_file: str | None) -> Policy | None:
    """The roles on the whole ledger, for a service that nobody sends requests to; None without an auth file. Exits with
    a message if the file cannot be used."""
    file = _auth_file(auth_file)
    return None if file is None else file.policy()


def _auth_file(path: str | None) -> AuthFile | None:
    if not path:
        return None
    try:
        return read_auth_file(path)
    except AuthFileError as error:
        sys.exit(f"hourbook: HOURBOOK_AUTH_FILE: {error}")


def code_flows_of(authenticator: Authenticator, public_url: str) -> dict[str, CodeFlow]:
    """The ways to sign in on the page with an issuer, by its name: of each that has a `client_id`. `public_url` has no
    slash at its end. Exits with a message if the secret of a client cannot be read."""
    if not any(issuer.client_id for issuer in authenticator.file.oidc.values()):
        return {}
    from shared.identity.code_flow import CodeFlow
    from shared.identity.oidc import OidcVerifiers

    if not public_url:
        log.warning("nobody can sign in on the page with an issuer: HOURBOOK_PUBLIC_URL is not set")
    verifiers = authenticator.bearer if isinstance(authenticator.bearer, OidcVerifiers) else ()
    flows = {
        one.name: CodeFlow(one, f"{public_url}/sign-in/{one.name}/callback")
        for one in verifiers
        if one.issuer.client_id
    }
    for flow in flows.values():
        try:
            flow.check_secret()
        except IdentityUnavailable:
            sys.exit(f"hourbook: HOURBOOK_AUTH_FILE: oidc.{flow.name}.client_secret_file cannot be read")
    return flows
