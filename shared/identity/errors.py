"""The errors of identity: no proof, no right, or a request that another web page sent."""

from __future__ import annotations

from typing import ClassVar

from shared.errors import HourbookError


class SignInRequired(HourbookError):
    """The request does not prove who sends it. Send `Authorization: Bearer …`, `X-Auth-Token`, or the session's
    cookie."""

    code: ClassVar[str] = "sign_in_required"
    status = 401
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
