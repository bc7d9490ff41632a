"""The address of a database, which may name several hosts, in the form that PostgreSQL's own clients read.

`postgresql://user:password@h1:5432,h2:5433/db?sslmode=require` and `postgresql:///db?host=h1,h2&port=5432,5433` name
two hosts. An IPv6 address stands in brackets before the `/`. A host that begins with `/` (there as `%2F`) is the folder
of a Unix socket.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

import asyncpg

PORT = "5432"
# The password may hold an @: the last one before the hosts counts.
ADDRESS = re.compile(
    r"(?P<scheme>\w+)://(?:(?P<login>[^/?]*)@)?(?P<hosts>[^/?@]*)(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?"
)
LISTED = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d*))?")


class BadAddress(asyncpg.ClientConfigurationError):
    """The address of a database is wrong. The message says how, without the password."""


class Host(NamedTuple):
    """A host of an address. `name` shows it (`10.0.0.1:5432`); `url` is the address with this host alone."""

    name: str
    url: str


class Address(NamedTuple):
    """The parts of an address. `login` is the role and the password, `path` the database, all percent-encoded."""

    scheme: str
    login: str | None
    hosts: str
    path: str | None
    query: str

    def text(self) -> str:
        login = "" if self.login is None else f"{self.login}@"
        path = "" if self.path is None else f"/{self.path}"
        return f"{self.scheme}://{login}{self.hosts}{path}{'?' if self.query else ''}{self.query}"

    def parameters(self) -> list[tuple[str, str]]:
        """The names and values of the query, decoded."""
        return parse_qsl(self.query, keep_blank_values=True)


def parse_address(url: str) -> Address:
    """Raises BadAddress for a text that is no address."""
    found = ADDRESS.fullmatch(url)
    if found is None:
        raise BadAddress("the address of the database must be like postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return Address(found["scheme"], found["login"], found["hosts"], found["path"], found["query"] or "")


def hosts_of(url: str) -> tuple[Host, ...]:
    """The hosts that the address names, at least one. The `url` of an only host is `url` itself. Raises BadAddress."""
    address = parse_address(url)
    asked = dict(address.parameters())
    listed = address.hosts.split(",")
    if asked.get("host"):  # as PostgreSQL's clients do, it replaces the hosts before the path
        places = list(zip(asked["host"].split(","), repeat("")))
    elif len(listed) > 1:
        places = [_listed(text) for text in listed]
    else:
        return (Host(unquote(address.hosts) or "the host by default", url),)
    if len(places) == 1:
        return (Host(places[0][0], url),)
    ports = _ports(asked.get("port", ""), [port for _, port in places])
    return tuple(_host(address, place, port) for (place, _), port in zip(places, ports, strict=True))


def _listed(text: str) -> tuple[str, str]:
    """The host and the port (or an empty text) of one of the hosts before the path."""
    found = LISTED.fullmatch(text)
    if found is None:
        raise BadAddress(f"the address of the database has a host that nobody can read: {text!r} between the commas")
    return unquote(found["six"] or found["name"]), found["port"] or ""


def _ports(asked: str, listed: list[str]) -> list[str]:
    """A port for each host: those of `port=` (one for all, or one for each), else those that stand with the hosts."""
    given = asked.split(",") if asked else listed
    if len(given) == 1:
        given = given * len(listed)
    if len(given) != len(listed):
        raise BadAddress(
            f"the address of the database names {len(listed)} hosts and {len(given)} ports: name one port each"
        )
    for port in given:
        if port and not port.isdecimal():
            raise BadAddress(f"the address of the database has the port {port!r}: a port is a number")
    return [port or PORT for port in given]


def _host(address: Address, place: str, port: str) -> Host:
    if not place:
        raise BadAddress("the address of the database has an empty host between two commas")
    query = [pair for pair in address.parameters() if pair[0] not in ("host", "port")]
    if place.startswith("/"):
        hosts, query = "", [("host", place), ("port", port), *query]
    else:
        hosts = f"[{quote(place, safe=':')}]:{port}" if ":" in place else f"{quote(place)}:{port}"
    name = hosts or f"{place}:{port}"
    one = address._replace(hosts=hosts, query=urlencode(query, quote_via=quote, safe="/"))
    return Host(name, one.text())
