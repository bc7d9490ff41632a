"""The errors of identity: no proof, no right, or a request that another web page sent."""

from __future__ import annotations

from typing import ClassVar

from shared.errors import HourbookError


class SignInRequired(HourbookError):
    """The request does not prove who sends it. Send `Authorization: Bearer …`, `X-Auth-Token`, or the session's
    cookie."""

    code: ClassVar[str] = "sign_in_required"
    status = 401
    denied = True
    title = "Sign in first"


class InvalidCredential(SignInRequired):
    """The token or the session of the request is not valid: it is wrong, expired or revoked."""

    code = "invalid_credential"
    title = "The credential is not valid"


class Forbidden(HourbookError):
    """The principal may see this, but lacks the role for the request. `needs` is a role that would be enough, and
    `pool` is where; null: on the whole ledger."""

    code = "forbidden"
    status = 403
    denied = True
    title = "You lack the role for this"


class CrossSite(HourbookError):
    """A browser sent the command for a page of another site. Only the page of this Hourbook may send commands."""

    code = "cross_site"
    status = 403
    title = "Another web page sent this"


class UnknownHost(HourbookError):
    """The request names a host that is not one of this service's names. The operator can add it to
    `HOURBOOK_ALLOWED_HOSTS`."""

    code = "unknown_host"
    status = 403
    title = "The service does not have this name"


class IdentityUnavailable(HourbookError):
    """The credential could not be checked: its issuer, or the database, does not answer. Nothing was done. Try
    again."""

    code = "identity_unavailable"
    status = 503
    title = "The credential cannot be checked now"


class SignInNotSetUp(HourbookError):
    """Nobody signs in at this ledger, so there are no tokens, feed addresses or people. The operator sets it up with
    `HOURBOOK_AUTH_FILE`, or with `hourbook up --auth`."""

    code = "sign_in_not_set_up"
    status = 409
    title = "Sign-in is not set up"

    def __init__(self) -> None:
        super().__init__("nobody signs in at this ledger; the operator sets it up with HOURBOOK_AUTH_FILE")


class PublicUrlNeeded(SignInNotSetUp):
    """Nobody can sign in with an issuer, because the service does not know its own address. The operator sets
    `HOURBOOK_PUBLIC_URL` to the address at which people open the page."""

    code = "public_url_needed"

    def __init__(self) -> None:
        HourbookError.__init__(
            self, "the service does not know where people open the page; the operator sets HOURBOOK_PUBLIC_URL"
        )


class SignInFailed(HourbookError):
    """You were not signed in: the attempt is not known here or is too old, or the issuer's answer is not right. Sign in
    again."""

    code = "sign_in_failed"
    status = 400
    title = "You were not signed in"


class PersonNeeded(HourbookError):
    """Only a person may do this: sign in on the page, or send an access token of your issuer. Tokens, and Keystone's
    application credentials, make no tokens and no feed addresses. Application credentials make no webhooks either."""

    code = "person_needed"
    status = 403
    denied = True
    title = "Only a person may do this"


class TooManyCredentials(HourbookError):
    """You have as many tokens or feed addresses as one may have. Revoke those that nobody uses."""

    code = "too_many_credentials"
    status = 409
    title = "There are too many"


def forbidden(pool: str | None, role: str) -> Forbidden:
    """The error for whoever sees the pool (None: for the whole ledger), and lacks a right of the role there."""
    where = "the whole ledger" if pool is None else repr(pool)
    return Forbidden(f"this needs the role {role!r} on {where}", needs=role, pool=pool)
