"""The entrance of an HTTP server, made from its settings: the guard, the TLS context, the headers of every response."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from shared.http.guard import Guard
from shared.http.host_names import AllowedHosts, hosts_from, is_loopback_host, origin_of
from shared.http.problem_document import COMMON_HEADERS
from shared.http.server_settings import ALLOWED_HOSTS, PUBLIC_URL, ServerSettings, check_settings
from shared.http.tls import server_context

# In HOURBOOK_ALLOWED_HOSTS: every IP address, for a service that a proxy on the same machine makes reachable.
ANY_ADDRESS = "any-address"
# A browser that has seen it uses HTTPS for this name, for a year, whatever a link says.
HSTS = {"Strict-Transport-Security": "max-age=31536000"}


class Entrance(NamedTuple):
    """`tls` is None where the server speaks plain HTTP. `headers` are sent with every response."""

    guard: Guard
    tls: ssl.SSLContext | None
    headers: dict[str, str]


def entrance_of(settings: ServerSettings) -> Entrance:
    """Raises CannotServe if a setting is wrong, or if strangers could reach the server without signing in.

    Where other machines can reach the service, an IP address is a good name of it, and /health and /live answer under
    any name: a cluster's health checks use both.
    """
    check_settings(settings)
    public = origin_of(settings.public_url, PUBLIC_URL) if settings.public_url else None
    names = hosts_from(settings.allowed_hosts, ALLOWED_HOSTS)
    if public is not None:
        names.append(public.host._replace(port=None))
    is_reached, tls = is_reached_by_others(settings), server_context(settings)
    hosts = AllowedHosts(names, any_address=is_reached)
    guard = Guard(hosts, public=public, https=tls is not None, open_health=is_reached)
    # The header holds for all ports of a name. So it is not sent for localhost, where other programs speak plain HTTP.
    return Entrance(guard, tls, COMMON_HEADERS | (HSTS if tls is not None and is_reached else {}))


def is_reached_by_others(settings: ServerSettings) -> bool:
    """Whether other machines reach the service: by its own port, by its public address, or by a proxy that passes on
    requests for any address (ANY_ADDRESS)."""
    is_public = settings.public_url and not origin_of(settings.public_url, PUBLIC_URL).host.is_loopback
    is_passed_on = any(name.name == ANY_ADDRESS for name in hosts_from(settings.allowed_hosts, ALLOWED_HOSTS))
    return not is_loopback_host(settings.host) or bool(is_public) or is_passed_on


# For a server on the loopback address that has no settings.
LOCAL = Entrance(Guard(), None, COMMON_HEADERS)
