"""The authenticator that the settings of a service describe."""

from __future__ import annotations

import sys
from collections.abc import Callable

from shared.identity.auth_file import AuthFile, AuthFileError, read_auth_file
from shared.identity.authenticator import Authenticator
from shared.identity.verifying import Verified


def authenticator_from(
    auth_file: str | None, database_url: str, noticed: Callable[[Verified], None] = lambda _: None
) -> Authenticator | None:
    """The authenticator of a service; None without an auth file: then nobody signs in. Exits with a message if the file
    cannot be used."""
    if not auth_file:
        return None
    try:
        file = read_auth_file(auth_file)
    except AuthFileError as error:
        sys.exit(f"hourbook: HOURBOOK_AUTH_FILE: {error}")
    return authenticator_of(file, database_url, noticed)


def authenticator_of(
    file: AuthFile, database_url: str, noticed: Callable[[Verified], None] = lambda _: None
) -> Authenticator:
    """The authenticator that an auth file describes, with a verifier for each of its issuers."""
    # only here: where nobody signs in, a service starts 0.4 s sooner without them
    from shared.identity.keystone import KeystoneVerifier
    from shared.identity.oidc import OidcVerifiers

    bearer = OidcVerifiers(file.oidc) if file.oidc else None
    keystone = [KeystoneVerifier(name, issuer) for name, issuer in file.keystone.items()]
    return Authenticator(file, database_url, bearer=bearer, keystone=keystone, noticed=noticed)
