"""Each route takes the query parameters that OpenAPI names for it, and refuses all others.

No database answers: a parameter is looked at before the database is asked.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from services.query.app import create_app
from services.query.settings import Settings

# Programs that look whether a service is there, and browsers, may add parameters of their own.
TAKES_ANY = {
    "/",
    "/assets/{version}/{name}",
    "/metrics",
    "/health",
    "/live",
    "/asyncapi.json",
    "/asyncapi.yaml",
    "/schemas/events",
    "/schemas/events/{name}",
}
UUID = "01890000-0000-7000-8000-000000000000"
IN_PATH = {
    "cluster": "gaia.spark",
    "account": "ada",
    "position": "3",
    "webhook": UUID,
    "booking": UUID,
    "series": UUID,
    "grant": UUID,
    "quota": UUID,
    "feed": "gaia.ics",
    "person": "egi:ada",
}


@pytest.fixture
async def client() -> AsyncIterator[AsyncTestClient[Litestar]]:
    app = create_app(Settings(database_url="postgresql://127.0.0.1:1/none", visible_timeout_s=0.05))
    async with AsyncTestClient(app) as client:
        yield client


def paths_of(app: Litestar) -> set[str]:
    """Every path that answers GET, but for those that show the OpenAPI document."""
    return {
        route.path_format
        for route in app.routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods and not route.path.startswith("/schema/")
    } - {"/schema"}


def address(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda match: IN_PATH[match[1]], path)


async def declared(client: AsyncTestClient[Litestar]) -> dict[str, list[dict[str, Any]]]:
    """The query parameters of each read, as OpenAPI has them."""
    return {
        path: [one for one in operation.get("parameters", []) if one["in"] == "query"]
        for path, operation in (await reads(client)).items()
    }


async def reads(client: AsyncTestClient[Litestar]) -> dict[str, Any]:
    """The reads in the OpenAPI document, which has the paths of the command service, too."""
    document = (await client.get("/schema/openapi.json")).json()
    return {path: document["paths"][path]["get"] for path in document["paths"].keys() & paths_of(client.app)}


def refused(answer: Any) -> list[str]:
    errors = answer.json().get("errors", []) if answer.status_code == 400 else []
    return [error["field"] for error in errors if error["detail"].startswith("there is no such parameter here")]


async def test_an_unknown_parameter_is_refused_on_every_path(client: AsyncTestClient[Litestar]) -> None:
    paths, parameters = paths_of(client.app) - TAKES_ANY, await declared(client)
    assert len(paths) > 30
    for path in sorted(paths):
        answer = await client.get(f"{address(path)}?tamplate=small")
        assert refused(answer) == ["tamplate"], (path, answer.text)
        known = ", ".join(sorted(one["name"] for one in parameters[path])) or "none"
        assert answer.json()["errors"][0]["detail"] == f"there is no such parameter here; there are {known}", path


async def test_a_parameter_of_the_document_is_never_refused(client: AsyncTestClient[Litestar]) -> None:
    parameters = await declared(client)
    assert sum(len(named) for named in parameters.values()) > 100
    for path, named in parameters.items():
        for one in named:
            value = "1" if "integer" in str(one["schema"]) else one["schema"].get("default", "x")
            answer = await client.get(address(path), params={one["name"]: value})
            assert refused(answer) == [], (path, one["name"], answer.text)


async def test_a_parameter_is_given_once(client: AsyncTestClient[Litestar]) -> None:
    for path, named in (await declared(client)).items():
        for one in named:
            value = "1" if "integer" in str(one["schema"]) else one["schema"].get("default", "gaia")
            value = "true" if one["name"] == "tree" else value
            if one["name"] in {"since", "until", "as_of", "type"} and path == "/events":
                continue  # its filters are read before the names are looked at
            answer = await client.get(f"{address(path)}?{one['name']}={value}&{one['name']}={value}")
            assert answer.status_code == 400, (path, one["name"], answer.text)
            assert answer.json()["errors"][0] == {"field": one["name"], "detail": "give it once"}, (path, answer.text)


async def test_every_operation_and_every_parameter_is_described(client: AsyncTestClient[Litestar]) -> None:
    for path, operation in (await reads(client)).items():
        assert " " in operation["summary"], path
        assert len(operation["description"]) > 40, path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description", "").endswith("."), (path, parameter["name"])
