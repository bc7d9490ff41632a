"""The one address of `hourbook up`: where it listens, who may use it, and what the services are told about it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from services.cli.failure import Failure
from shared.http.connection_limits import set_unread_timeout
from shared.http.entrance import ANY_ADDRESS, Entrance, entrance_of, is_reached_by_others
from shared.http.host_names import in_url, parse_host
from shared.http.server_settings import (
    ALLOWED_HOSTS,
    AUTH_FILE,
    PUBLIC_URL,
    TLS_CERT,
    TLS_KEY,
    CannotServe,
    ServerSettings,
)
from shared.identity.auth_file import read_auth_file
from shared.settings import settings_from

LOOPBACK = "127.0.0.1"
EVERYWHERE = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1"}


class Address(NamedTuple):
    """`url` is how this machine reaches it. `public_url` is where people open the page. `issuers` are the names of
    those that people sign in with; None: nobody signs in."""

    url: str
    public_url: str
    settings: ServerSettings
    issuers: tuple[str, ...] | None
    entrance: Entrance

    def for_services(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of the services. They listen on the loopback interface and speak plain HTTP there."""
        told = {"HOURBOOK_HOST": LOOPBACK, PUBLIC_URL: self.public_url, AUTH_FILE: self.settings.auth_file}
        if is_reached_by_others(self.settings):  # then a request for an IP address passes here, and has to pass there
            told[ALLOWED_HOSTS] = f"{self.settings.allowed_hosts},{ANY_ADDRESS}"
        return {**environment, **told, TLS_CERT: "", TLS_KEY: ""}

    def access(self) -> str:
        """Who may use it, in words."""
        return access(self.issuers)


def access(issuers: tuple[str, ...] | None) -> str:
    """Who may use the address, in words. `issuers`: as in `Address`."""
    if issuers is None:
        return "open: nobody signs in, and whoever reaches this address may do everything"
    return f"signed in: by {', '.join(issuers) or 'tokens of Hourbook'}"


def address_of(
    environment: Mapping[str, str], host: str, port: int, auth: Path | None, tls_cert: Path | None, tls_key: Path | None
) -> Address:
    """The address by the options of `up` and by the environment; an option goes first. Raises Failure if a setting or
    the auth file is wrong, or if strangers could reach the address without signing in."""
    given = {"HOURBOOK_HOST": host, AUTH_FILE: auth, TLS_CERT: tls_cert, TLS_KEY: tls_key}
    named = {name: str(value) for name, value in given.items() if value is not None}
    try:
        settings = settings_from({**environment, **named}, ServerSettings)
        if settings.auth_file:  # the services may have another working directory
            settings = msgspec.structs.replace(settings, auth_file=os.path.abspath(settings.auth_file))
        url, public = urls(settings, port)
        entrance = entrance_of(msgspec.structs.replace(settings, public_url=public))
    except (CannotServe, msgspec.ValidationError) as error:
        raise Failure(str(error)) from None
    auth_file = read_auth_file(settings.auth_file) if settings.auth_file else None
    issuers = None if auth_file is None else tuple(name for name, _ in auth_file.issuers())
    return Address(url, public, settings, issuers, entrance)


def urls(settings: ServerSettings, port: int) -> tuple[str, str]:
    """The URL for this machine, and that for people. A certificate holds for the public name alone, so with HTTPS both
    are the public one."""
    scheme = "https" if settings.tls_cert_file else "http"
    local = f"{scheme}://{in_url(EVERYWHERE.get(settings.host, settings.host))}:{port}"
    is_everywhere = settings.host in EVERYWHERE and parse_host(socket.gethostname()) is not None
    public = settings.public_url or (f"{scheme}://{socket.gethostname().lower()}:{port}" if is_everywhere else local)
    return (public if settings.tls_cert_file else local), public.rstrip("/")


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Binds the port before anything starts. Requests that come early wait in the queue. Raises Failure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        set_unread_timeout(taken)
        try:
            taken.bind((host, port))
            taken.listen(1024)
        except PermissionError:
            raise Failure(f"only root may use port {port}: choose one from 1024 on, as --port 8080") from None
        except OSError as error:
            raise Failure(
                f"cannot use port {port} of {host} ({error.strerror}): "
                f"choose another, as --port {port + 1 if port < 65535 else 8080}"
            ) from None
        yield taken
