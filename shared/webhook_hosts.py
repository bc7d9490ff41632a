"""The hosts to which webhooks may go. Only the operator names them: a client that registers a webhook makes the server
send requests, and must not reach other hosts of the server's network."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from shared.errors import HourbookError, InvalidField

URL_MAX = 2000


class HostNotAllowed(HourbookError):
    """The operator of the service does not allow webhooks to this host."""

    code = "host_not_allowed"
    status = 403
    title = "Webhooks may not go to this host"


def allowed_hosts(setting: str) -> tuple[str, ...]:
    """The hosts of `HOURBOOK_WEBHOOK_HOSTS`, in lower case. The setting has names with commas between them. `*.name`
    means all names below `name`. A name ends with `:port` unless the port is the default one of http or https."""
    return tuple(host.strip().lower() for host in setting.split(",") if host.strip())


def check_url(url: str, allowed: Sequence[str]) -> str:
    """The URL of a webhook. Raises InvalidField if it is not valid, HostNotAllowed if its host is not in `allowed`."""
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidField("url", f"give an ASCII URL of at most {URL_MAX} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidField("url", str(error)) from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.fragment:
        raise InvalidField("url", "give http://host/path or https://host/path, without a user name or password")
    if not any(matches(host, port, one) for one in allowed):
        named = ", ".join(allowed) or "none"
        raise HostNotAllowed(f"url: {host!r} is not an allowed host; HOURBOOK_WEBHOOK_HOSTS allows: {named}")
    return url


def matches(host: str, port: int | None, allowed: str) -> bool:
    """Whether one entry of `allowed_hosts` allows the host and the port. `port` is None for the scheme's default."""
    name, _, its_port = allowed.partition(":")
    if (str(port) if port is not None else "") != its_port:
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name
