"""The settings of every HTTP server: where it listens, under which names, who signs in, its certificate."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.errors import InvalidField
from shared.http.host_names import hosts_from, is_loopback_host, origin_of
from shared.identity.auth_file import AuthFile, AuthFileError, read_auth_file

AUTH_FILE, ALLOWED_HOSTS, PUBLIC_URL = "HOURBOOK_AUTH_FILE", "HOURBOOK_ALLOWED_HOSTS", "HOURBOOK_PUBLIC_URL"
OPEN = "HOURBOOK_OPEN"
TLS_CERT, TLS_KEY = "HOURBOOK_TLS_CERT_FILE", "HOURBOOK_TLS_KEY_FILE"


class CannotServe(Exception):
    """The settings of the server cannot be used. The message names the setting and says what to do."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_HOST` (the address to listen on), `HOURBOOK_AUTH_FILE` (who signs in; without it nobody does),
    `HOURBOOK_OPEN` (`yes`: whoever reaches the port is trusted), `HOURBOOK_ALLOWED_HOSTS` (names of the service),
    `HOURBOOK_PUBLIC_URL` (where people open the page), `HOURBOOK_TLS_CERT_FILE` and `…_KEY_FILE` (HTTPS).

    An empty text means the same as no setting.

    `HOURBOOK_HANDOVER_FD` is for `hourbook up` alone: its line to the service (`handover.py`).
    """

    host: str = "127.0.0.1"
    auth_file: str = ""
    open: str = "no"
    allowed_hosts: str = ""
    public_url: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    handover_fd: int | None = None


def check_settings(settings: ServerSettings) -> AuthFile | None:
    """The auth file, if there is one. Raises CannotServe if a setting is wrong, or if a stranger could reach the
    server without signing in."""
    try:
        hosts_from(settings.allowed_hosts, ALLOWED_HOSTS)
        if settings.public_url:
            origin_of(settings.public_url, PUBLIC_URL)
        auth = read_auth_file(Path(settings.auth_file)) if settings.auth_file else None
    except AuthFileError as error:
        raise CannotServe(f"{AUTH_FILE}: {error}") from None
    except InvalidField as error:
        raise CannotServe(error.detail) from None
    if settings.open not in ("yes", "no", ""):
        raise CannotServe(f"{OPEN}: {settings.open[:100]!r} is neither yes nor no")
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise CannotServe(f"{TLS_CERT} and {TLS_KEY} go together: set both, or none")
    if (why := open_to_strangers(settings)) is not None:
        raise CannotServe(why)
    return auth


def open_to_strangers(settings: ServerSettings) -> str | None:
    """Why the server must not start; None if it may. THE rule: beyond loopback somebody signs in, or the operator says
    that whoever reaches the port is trusted."""
    if is_loopback_host(settings.host) or settings.auth_file or settings.open == "yes":
        return None
    return (
        f"other machines can reach {settings.host or 'all addresses'}, and nobody signs in. "
        f"Set {AUTH_FILE} (`hourbook up --auth FILE`) so that people sign in. Or listen on 127.0.0.1. "
        f"Or set {OPEN}=yes: then whoever reaches the port may do everything"
    )
