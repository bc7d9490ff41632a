"""What verifies a credential, and what it answers."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from shared.identity.principals import Principal

NAME_MAX, EMAIL_MAX = 200, 254  # characters


class Verified(NamedTuple):
    """A credential that is valid. `until` is when it must be verified again, in seconds since 1970. `name` and `email`
    are the person's, for the directory of people; None where the issuer does not say them."""

    principal: Principal
    until: float
    name: str | None = None
    email: str | None = None


class Verifier(Protocol):
    """Verifies credentials of one kind, such as the access tokens of one issuer."""

    async def verify(self, credential: str) -> Verified:
        """Raises InvalidCredential if the credential is not valid, IdentityUnavailable if it cannot be checked now."""

    async def close(self) -> None:
        """Ends the verifier's connections."""
