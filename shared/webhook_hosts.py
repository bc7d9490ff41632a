"""Where webhooks may go. Only hosts that the operator has named: whoever registers a webhook makes our server send
requests, and must not choose from what it can reach."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from shared.errors import HourbookError, InvalidField

URL_MAX = 2000


class HostNotAllowed(HourbookError):
    """The webhook's host is none of those that the operator allows."""

    code = "host_not_allowed"
    status = 403
    title = "Webhooks may not go to this host"


def allowed_hosts(setting: str) -> tuple[str, ...]:
    """The hosts in `HOURBOOK_WEBHOOK_HOSTS`: names with commas between them, `*.` before one for all below it, each
    with a port where it is not the scheme's own."""
    return tuple(host.strip().lower() for host in setting.split(",") if host.strip())


def check_url(url: str, allowed: Sequence[str]) -> str:
    """The URL itself. Raises InvalidField for one that is none, HostNotAllowed for a host that is not on the list."""
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidField("url", f"give an ASCII URL of at most {URL_MAX} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidField("url", str(error)) from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.fragment:
        raise InvalidField("url", "give http://host/path or https://host/path, without a name or a password in it")
    if not any(matches(host, port, one) for one in allowed):
        named = ", ".join(allowed) or "none"
        raise HostNotAllowed(f"url: {host!r} is not allowed; HOURBOOK_WEBHOOK_HOSTS names the hosts: {named}")
    return url


def matches(host: str, port: int | None, allowed: str) -> bool:
    name, _, its_port = allowed.partition(":")
    if (str(port) if port is not None else "") != its_port:
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
