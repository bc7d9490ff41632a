"""Which process of the one address a request belongs to. The gateway and the services ask the same functions.

The paths are those of the OpenAPI document, which describes the one address. A path that it does not have is asked for
at the gateway, which asks both services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from shared.http.connection_limits import HEAD_BYTES_MAX
from shared.http.guard import LIVE
from shared.http.openapi import FILE

COMMAND, PROJECTOR, QUERY = "command", "projector", "query"
SERVICES = (COMMAND, PROJECTOR, QUERY)
GATEWAY = "gateway"
NOBODY = "nobody"  # what begins so is no request; whoever has the connection says so

READS = frozenset({"GET", "HEAD"})
SIGN_IN = "/sign-in/"  # the command service begins sessions, by GET too: a browser comes back from an issuer so
HEALTH, METRICS = "/health", "/metrics"
OWN = ("/schema", HEALTH, METRICS)

KNOWN_MAX, KNOWN_BYTES_MAX = 4096, 256
_KNOWN: dict[bytes, str] = {}  # the owners of the requests that were seen, by method and path
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[^\s]*)")
_BEGUN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,32}(?: [^\s]*)?")


class Target(NamedTuple):
    """The service to ask, and the path to ask for."""

    service: str
    path: str


def route(method: str, path: str) -> Target:
    """Which service takes a request, and under which path.

    Everything below /sign-in goes to the command service.

    Each service has its own /schema, /health and /metrics. A GET reaches those of the query service; a suffix names
    another service: /schema/command, /health/command, /health/projector, /metrics/command, /metrics/projector. The last
    one is for whoever may see the metrics of the query service.
    """
    if method not in READS or path.startswith(SIGN_IN):
        return Target(COMMAND, path)
    for own in OWN:
        for service in SERVICES:
            prefix = f"{own}/{service}"
            if path == prefix or path.startswith((f"{prefix}/", f"{prefix}?")):
                return Target(service, own + path.removeprefix(prefix))
    return Target(QUERY, path)


def owner(begun: bytes) -> str | None:
    """Whose request begins with these bytes: COMMAND, QUERY, GATEWAY or NOBODY. None: too few bytes are there."""
    size = len(begun)
    if begun[:1] in (b"\r", b"\n"):  # a parser takes empty lines before a request
        begun = begun.lstrip(b"\r\n")
    end = begun.find(b" ", begun.find(b" ") + 1)
    if end < 0:
        return None if size < HEAD_BYTES_MAX and _BEGUN.fullmatch(begun) else NOBODY
    line = begun[:end].partition(b"?")[0]
    return _KNOWN.get(line) or _owner_of_new(line)


def _owner_of_new(line: bytes) -> str:
    found = _LINE.fullmatch(line)
    if found is None:
        return NOBODY
    whose = owner_of(found[1].decode(), found[2].decode("latin-1"))
    if len(line) <= KNOWN_BYTES_MAX:
        if len(_KNOWN) >= KNOWN_MAX:
            _KNOWN.clear()
        _KNOWN[line] = whose
    return whose


def owner_of(method: str, path: str) -> str:
    """COMMAND, QUERY or GATEWAY. `path` is as the client wrote it, without a query.

    The gateway has what needs more than one service: the health of a service by its name, a read of a path that only
    takes commands, and a method that the path does not take."""
    commands = _commands()
    place = _decoded(path)
    if method not in READS:
        takes = commands.get(method)
        return COMMAND if takes is not None and takes.fullmatch(place) else GATEWAY
    if path == LIVE or route(method, path).path != path or _only_commands().fullmatch(place):
        return GATEWAY
    return route(method, path).service


def _decoded(path: str) -> str:
    """The path as the framework compares it with its routes: decoded, a slash in a segment replaced, none at the
    end."""
    if "%" in path:
        path = "/".join(unquote(segment).replace("/", "\0") for segment in path.split("/"))
    return path.rstrip("/") or "/"


class _Described(msgspec.Struct):
    """The part of the OpenAPI document that has the paths, and their methods in small letters."""

    paths: dict[str, dict[str, msgspec.Raw]]


@cache
def _paths() -> dict[str, frozenset[str]]:
    """The methods of each path that has a command."""
    described = msgspec.json.decode(FILE.read_bytes(), type=_Described).paths
    methods = {path: frozenset(map(str.upper, operations)) for path, operations in described.items()}
    return {path: taken for path, taken in methods.items() if taken & {"POST", "PUT", "PATCH", "DELETE"}}


@cache
def _commands() -> dict[str, re.Pattern[str]]:
    """The paths of the commands, by method."""
    methods = frozenset().union(*_paths().values()) - READS
    return {method: _matching(path for path, taken in _paths().items() if method in taken) for method in methods}


@cache
def _only_commands() -> re.Pattern[str]:
    """The paths that take commands and no read."""
    return _matching(path for path, taken in _paths().items() if not taken & READS)


def _matching(paths: Iterable[str]) -> re.Pattern[str]:
    each = ("[^/]+".join(map(re.escape, re.split(r"\{[^}]*\}", path))) for path in paths)
    return re.compile("|".join(each), re.DOTALL)
