"""A GET changes nothing: the guard lets a GET through that a page of another site sends."""

from __future__ import annotations

from typing import Any

from litestar.routes import HTTPRoute

from services.command.app import create_app as command_app
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as query_app
from services.query.settings import Settings as QuerySettings
from shared.http.guard import SAFE_METHODS

NOWHERE = "postgresql://127.0.0.1:1/none"
# What the command service answers to a GET: documents about itself.
COMMANDS_READS = ("/health", "/live", "/metrics", "/schema")
# A browser comes to these by a link. The last begins a session, only for the browser that began the attempt.
SIGN_IN = {"/sign-in/ways", "/sign-in/{issuer:str}", "/sign-in/{issuer:str}/callback"}


def methods(app: Any) -> dict[str, set[str]]:
    return {route.path: set(route.methods) for route in app.routes if isinstance(route, HTTPRoute)}


def test_the_query_service_has_reads_alone() -> None:
    routes = methods(query_app(QuerySettings(database_url=NOWHERE)))
    assert len(routes) > 20
    assert {path for path, allowed in routes.items() if allowed - SAFE_METHODS} == set()


def test_the_command_service_reads_nothing_but_what_it_says_of_itself() -> None:
    routes = methods(command_app(CommandSettings(database_url=NOWHERE)))
    assert len(routes) > 20
    reads = {path for path, allowed in routes.items() if "GET" in allowed and not path.startswith(COMMANDS_READS)}
    assert reads == SIGN_IN
