"""Whose a request is: by its first bytes, and by the routes that the services really have."""

from __future__ import annotations

import re

import pytest
from litestar.routes import HTTPRoute

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.http.owners import COMMAND, GATEWAY, NOBODY, QUERY, READS, SIGN_IN, owner, owner_of

NOWHERE = "postgresql://127.0.0.1/nowhere"
OF_THE_GATEWAY = {"/live"}


def routes(app: object) -> set[tuple[str, str]]:
    """Each method and path of an application, with a value for each parameter."""
    return {
        (str(method), re.sub(r"\{[^}]*\}", "01890000-0000-7000-8000-000000000000", route.path))
        for route in app.routes  # type: ignore[attr-defined]
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
    }


def test_every_route_of_a_service_is_its_own() -> None:
    command = create_command(CommandSettings(database_url=NOWHERE, nats_url="nats://127.0.0.1:1"))
    query = create_query(QuerySettings(database_url=NOWHERE))
    commands = {(method, path) for method, path in routes(command) if method not in READS or path.startswith(SIGN_IN)}
    assert len(commands) > 30
    for method, path in commands:
        assert owner_of(method, path) == (GATEWAY if method == "OPTIONS" else COMMAND), (method, path)
    reads = {(method, path) for method, path in routes(query) if method in READS and path not in OF_THE_GATEWAY}
    assert len(reads) > 50
    for method, path in reads:
        assert owner_of(method, path) == QUERY, (method, path)


@pytest.mark.parametrize(
    ("begun", "whose"),
    [
        (b"GET /projects?a=b HTTP/1.1\r\n", QUERY),
        (b"GET /zz/zz HTTP/1.1\r\n", QUERY),  # 404
        (b"HEAD / HTTP/1.1\r\n", QUERY),
        (b"\r\n\r\nPOST /bookings/create HTTP/1.1\r\n", COMMAND),
        (b"POST /bookings/create/?x HTTP/1.1", COMMAND),
        (b"POST /book%69ngs/create HTTP/1.1", COMMAND),
        (b"POST /accounts/a%2Fb/limits HTTP/1.1", COMMAND),
        (b"POST /accounts/a/b/limits HTTP/1.1", GATEWAY),
        (b"DELETE /novaquota/1 HTTP/1.1", COMMAND),
        (b"GET /novaquota/1 HTTP/1.1", QUERY),
        (b"GET /sign-in/ways HTTP/1.1", COMMAND),
        (b"GET /projects/create HTTP/1.1", GATEWAY),  # a read of a command's path is told to POST
        (b"GET /accounts/ada/limits HTTP/1.1", GATEWAY),
        (b"GET /live HTTP/1.1", GATEWAY),
        (b"GET /health HTTP/1.1", QUERY),
        (b"GET /health/command HTTP/1.1", GATEWAY),
        (b"GET /metrics/projector?x HTTP/1.1", GATEWAY),
        (b"POST /projects HTTP/1.1", GATEWAY),
        (b"PUT /bookings/create HTTP/1.1", GATEWAY),
        (b"OPTIONS /bookings/create HTTP/1.1", GATEWAY),
        (b"FOO /bookings/create HTTP/1.1", GATEWAY),
        (b"GET http://elsewhere/projects HTTP/1.1", NOBODY),
        (b"OPTIONS * HTTP/1.1", NOBODY),
        (b"GET /a\0b HTTP/1.1", QUERY),  # its parser refuses it
        (b"GET /a\tb HTTP/1.1", NOBODY),
        (b"get\r\n", NOBODY),
        (b"\x16\x03\x01\x02", NOBODY),
        (b" GET /projects HTTP/1.1", NOBODY),
        (b"x" * 33, NOBODY),
        (b"GET /" + b"x" * 70_000, NOBODY),
        (b"\r\n" * 35_000, NOBODY),
        (b"", None),
        (b"\r\n", None),
        (b"GET", None),
        (b"GET ", None),
        (b"GET /live", None),
        (b"GET /livex", None),
        (b"GET /" + b"x" * 1000, None),
    ],
)
def test_the_first_bytes_say_whose_a_request_is(begun: bytes, whose: str | None) -> None:
    for _ in range(2):  # the second time it is remembered
        assert owner(begun) == whose
