"""The guard: refuses requests for other hosts, and commands that browsers send for pages of other sites.

Every server has it, signed in or not. A program sends no `Origin` and no `Sec-Fetch-Site`; for it only the host counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from litestar.types import ASGIApp, Receive, Scope, Send

from shared.errors import HourbookError
from shared.http.host_names import AllowedHosts, Host, Origin, parse_host, parse_origin
from shared.http.problems import refuse
from shared.identity.errors import CrossSite, UnknownHost

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEALTH = "/health"
LIVE = "/live"  # answers while the process does, whatever its servers do
KNOWN_MAX = 1024
_WATCHED = frozenset({b"host", b"origin", b"sec-fetch-site"})

Headers = Iterable[tuple[bytes, bytes]]


class Guard:
    """Decides about a request by its headers. `public` is the origin of HOURBOOK_PUBLIC_URL. `https`: the server itself
    speaks HTTPS. `open_health`: /health and /live answer under any name, for health checks in a cluster."""

    def __init__(
        self,
        hosts: AllowedHosts | None = None,
        *,
        public: Origin | None = None,
        https: bool = False,
        open_health: bool = False,
    ) -> None:
        self._hosts, self._public, self._https = hosts or AllowedHosts(), public, https
        self._open_health = open_health
        self._known: dict[bytes, Host] = {}  # the allowed hosts that have been seen, so that a repeat is one look-up

    def refusal(self, method: str, path: str, headers: Headers) -> HourbookError | None:
        """Why the request is refused; None if it is not. The names of `headers` have small letters."""
        host: bytes | None = None
        origin: bytes | None = None
        for name, value in headers:
            if name in _WATCHED:
                if name == b"host":
                    if host is not None:
                        return _unknown_host("Host: the request has two of them; send one")
                    host = value
                elif method in SAFE_METHODS:
                    continue
                elif name == b"sec-fetch-site":
                    if value != b"same-origin":
                        return _cross_site(f"Sec-Fetch-Site: {_shown(value)} is not same-origin")
                elif origin is not None:
                    return _cross_site("Origin: the request has two of them")
                else:
                    origin = value
        if host not in self._known and (refused := self._host_refusal(host, method, path)) is not None:
            return refused
        if origin is not None and not self._is_own(origin, self._known.get(host or b"")):
            return _cross_site(f"Origin: {_shown(origin)} is not the address of this service")
        return None

    def _host_refusal(self, given: bytes | None, method: str, path: str) -> UnknownHost | None:
        """Why the host is refused; None if it is allowed, which is then remembered."""
        host = parse_host(given.decode("latin-1")) if given is not None else None
        if host is not None and host in self._hosts:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[given or b""] = host
            return None
        if self._open_health and path in (HEALTH, LIVE) and method in SAFE_METHODS:
            return None
        if given is None:
            return _unknown_host("Host: the request has none; send the name of the service")
        if host is None:
            return _unknown_host(f"Host: {_shown(given)} is not a name or an address, with or without a port")
        return _unknown_host(
            f"Host: {_shown(given)} is not a name of this service. Use an address of this service, or add the name to "
            "HOURBOOK_ALLOWED_HOSTS and start the service again"
        )

    def _is_own(self, given: bytes, host: Host | None) -> bool:
        """Whether `given`, an Origin header, is this service's own page, when the request is for `host`."""
        origin = parse_origin(given.decode("latin-1"))
        if origin is None:
            return False
        if self._public is not None and origin.text == self._public.text:
            return True
        return host is not None and origin.text in {Origin(scheme, host).text for scheme in self._schemes(host)}

    def _schemes(self, host: Host) -> tuple[str, ...]:
        """The schemes under which people open the page at this host. A proxy may speak HTTPS for the service."""
        public = self._public
        secure = self._https or (public is not None and public.scheme == "https" and public.host.name == host.name)
        return ("https",) if secure else ("http", "https")


class GuardMiddleware:
    """Answers 403 to what the guard refuses, before the application sees it."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._refusal = app, guard.refusal

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope.get("method")
        if method is not None:
            refused = self._refusal(str(method), scope["path"], scope["headers"])
            if refused is not None:
                return refuse(refused, send)
        return self._app(scope, receive, send)


def _unknown_host(detail: str) -> UnknownHost:
    return UnknownHost(f"{detail}; nothing was done")


def _cross_site(why: str) -> CrossSite:
    return CrossSite(
        f"{why}; nothing was done. Only the page of this service may send commands from a browser. If this is its "
        "page, set HOURBOOK_PUBLIC_URL to the address at which people open it. A program sends neither header"
    )


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
