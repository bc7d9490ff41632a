"""The host of a request: parse the `Host` header, and decide whether it is a name of this service.

A browser sends the name that its page asked for. A stranger can make a name of theirs resolve to 127.0.0.1 (DNS
rebinding), so a name counts only when the operator has given it. Nobody can make an address, such as 192.0.2.7, resolve
to another machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from shared.errors import InvalidField

DEFAULT_PORTS = (80, 443)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9_.-]{1,254}))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Host(NamedTuple):
    """A host in small letters, without a dot at its end; and its port, if there is one."""

    name: str
    port: int | None
    address: IPv4Address | IPv6Address | None = None

    @property
    def is_loopback(self) -> bool:
        return self.name == "localhost" or (self.address is not None and is_loopback_address(self.address))


def parse_host(text: str) -> Host | None:
    """The host of a `Host` header: a name or an address, and perhaps a port. None if it is neither.

    An address has its usual form: four decimal numbers, or IPv6 in brackets without a zone.
    """
    found = _HOST.fullmatch(text.lower())
    if found is None or (found["port"] and not 0 < int(found["port"]) < 65536):
        return None
    port = int(found["port"]) if found["port"] else None
    if (literal := found["v6"]) is not None:
        address = _address(literal)
        return Host(str(address), port, address) if isinstance(address, IPv6Address) else None
    name = found["name"].removesuffix(".")
    address = _address(name)
    if address is None and (not _is_name(name) or _looks_numeric(name)):
        return None
    return Host(name, port, address)


def is_loopback_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether only this machine can reach the address. IPv6 may have an IPv4 address in it (::ffff:127.0.0.1)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_loopback_host(host: str) -> bool:
    """Whether a server that listens on `host` (an address or a name) can be reached from this machine only."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else is_loopback_address(address)


def in_url(host: str) -> str:
    """The host as a URL has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


class AllowedHosts:
    """The hosts that are names of this service.

    Loopback names (localhost, 127.0.0.0/8, [::1]) always are, with any port. `names` are the operator's; one with a
    port allows that port alone. `any_address` allows every IP address: for a service that other machines can reach.
    """

    def __init__(self, names: Iterable[Host] = (), *, any_address: bool = False) -> None:
        self._names = {(name.name, name.port) for name in names}
        self._any_address = any_address

    def __contains__(self, host: Host) -> bool:
        if host.is_loopback or (self._any_address and host.address is not None):
            return True
        ports = DEFAULT_PORTS if host.port is None else (host.port,)
        return any((host.name, port) in self._names for port in (None, *ports))


def hosts_from(text: str, field: str) -> list[Host]:
    """The hosts in a list that commas separate. Raises InvalidField."""
    hosts = []
    for item in filter(None, (item.strip() for item in text.split(","))):
        host = parse_host(item) or parse_host(in_url(item))
        if host is None:
            raise InvalidField(
                field, f"{item[:100]!r} is not a host: give names such as hourbook.example.org, or name:port"
            )
        hosts.append(host)
    return hosts


class Origin(NamedTuple):
    """Scheme and host of a web page's address. `text` is as a browser writes it: without the scheme's own port."""

    scheme: str
    host: Host

    @property
    def text(self) -> str:
        port = self.host.port
        own = port is None or port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{in_url(self.host.name)}" + ("" if own else f":{port}")


def parse_origin(text: str) -> Origin | None:
    """The origin with this text: scheme, host and perhaps a port, no path. None if it is not one, as `null` is not."""
    scheme, separator, rest = text.lower().partition("://")
    host = parse_host(rest) if separator else None
    return Origin(scheme, host) if host is not None and scheme in ("http", "https") else None


def origin_of(url: str, field: str) -> Origin:
    """The origin of the address at which people open the page; it may end in a path. Raises InvalidField."""
    scheme, _, rest = url.partition("://")
    origin = parse_origin(f"{scheme}://{rest.partition('/')[0]}")
    if origin is None:
        raise InvalidField(field, f"{url[:100]!r} is not an address: give one such as https://hourbook.example.org")
    return origin


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_name(text: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in text.split("."))


def _looks_numeric(name: str) -> bool:
    """Whether a browser would read the name as an IPv4 address in another form: 2130706433, 0x7f.1, 0177.0.0.1."""
    last = name.rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
