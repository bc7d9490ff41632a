"""An id is one line. Every request refuses an id of a project, cluster, template or pool that ends in a newline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
from litestar.testing import AsyncTestClient

from services.command import app as command
from services.command.domain import CreateTemplate
from services.command.routes import requests
from services.command.routes.bodies import read_body
from services.command.routes.webhooks import WebhookRequest
from services.command.settings import Settings as CommandSettings
from services.projector.as_of.historian import load_writer
from services.query.settings import Settings as QuerySettings
from shared.errors import InvalidField
from shared.event_store import EventStore
from shared.names import POOL_ID, SLUG, TEMPLATE_NAME, is_pool_id
from tests.support.backends import as_role
from tests.support.histories import append_history
from tests.support.openapi import FILE
from tests.support.project import Project, cores
from tests.support.querying import serving, show

EXAMPLES = {SLUG: "gaia", POOL_ID: "gaia.k", TEMPLATE_NAME: "small"}
NAMED = {"project", "clusterid", "parent", "template", "masterflavor", "workerflavor"}
ASKED = {"project": "gaia", "clusterid": "gaia.k", "cluster": "gaia.k", "pool": "gaia.k", "template": "small"}
ASKED["most"] = ASKED["template"]
STREAMS = {"/events/stream", "/notices/stream", "/entitlements/stream"}  # their responses are endless


@pytest.mark.parametrize("pattern", EXAMPLES)
def test_no_pattern_of_an_id_takes_a_newline(pattern: str) -> None:
    assert re.search(pattern, EXAMPLES[pattern])
    assert not re.search(pattern, EXAMPLES[pattern] + "\n")


def test_no_pool_id_ends_in_a_newline() -> None:
    assert is_pool_id("gaia")
    assert is_pool_id("gaia.k.s")
    assert not any(map(is_pool_id, ("gaia\n", "gaia.k\n", "\ngaia", "gaia\n.k", "", "gaia.", ".".join("abcdefghi"))))


def bodies(kind: type[msgspec.Struct] = requests.Body) -> Iterator[type[msgspec.Struct]]:
    yield kind
    for one in kind.__subclasses__():
        yield from bodies(one)


def ids_of(body: type[msgspec.Struct]) -> dict[str, str | None]:
    """The pattern of each field that has one, and of each field with the name of such a field."""
    patterns: dict[str, str | None] = {field.encode_name: None for field in msgspec.structs.fields(body)}
    for field in msgspec.structs.fields(body):
        for one in (field.type, *get_args(field.type)):
            for said in getattr(one, "__metadata__", ()):
                patterns[field.encode_name] = getattr(said, "pattern", None) or patterns[field.encode_name]
    return {name: pattern for name, pattern in patterns.items() if pattern is not None or name in NAMED}


@pytest.mark.parametrize("body", [*bodies(), WebhookRequest], ids=lambda body: body.__name__)
def test_no_id_in_a_body_ends_in_a_newline(body: type[msgspec.Struct]) -> None:
    for name, pattern in ids_of(body).items():
        assert pattern is not None, f"{body.__name__}.{name} is an id without a pattern"
        wrong = EXAMPLES[pattern] + "\n"
        with pytest.raises(InvalidField) as refused:
            read_body(json.dumps({name: wrong}).encode(), body)
        problems = {error["field"]: error["detail"] for error in refused.value.facts["errors"]}
        assert problems[name].startswith(f"{wrong!r} is not ")


async def test_a_command_takes_no_id_with_a_newline(database_url: str) -> None:
    wish = "01890a5d-ac96-774b-bcce-b302099a8057"
    async with AsyncTestClient(
        command.create_app(CommandSettings(database_url=as_role(database_url, "command")))
    ) as client:
        for path, name, rest in (
            ("/projects/create", "id", {"name": "Gaia"}),
            ("/webhooks", "project", {"url": "https://example.org/"}),
        ):
            answer = await client.post(path, json={name: "gaia\n", **rest})
            assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [name])
        assert (await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
        for path in ("/clusters/{}/resize", "/magcluster/{}/resize", f"/magcluster/{{}}/resizes/{wish}/apply"):
            body = {"cores": 1} if path.startswith("/clusters") else {}
            answer = await client.post(path.format("gaia.k%0A"), json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_id"), path


def place_of(path: str, name: str, names: set[str], asked: str) -> tuple[str, dict[str, str]]:
    """The URL that asks for the id `asked` as the parameter `name`, with all other required parameters."""
    given = {"range": "2086-01-01,2086-01-02"} if "range" in names else {}
    if name in ("template", "most"):
        given["project"] = "gaia"
    if path == "/available/slots" and name != "most":
        given |= {"duration": "1h"} | ({"cores": "1"} if name != "template" else {})
    if path == "/available/diff":
        given |= {"from": "3", "to": "4"}
    if path.startswith("/entitlements"):
        given["account"] = "ada"
    found = path.replace("{account}", "ada")
    if f"{{{name}}}" in path:
        return found.replace(f"{{{name}}}", quote(asked)), given
    return found, given | {name: asked}


async def test_no_read_takes_an_id_with_a_newline(database_url: str) -> None:
    """The test takes all id parameters from OpenAPI. For each, it first asks with the valid id, which is found."""
    project = Project()
    project.grant(0, 48, 10)
    project.cluster("gaia.k", 0, 24, 5)
    project.do(CreateTemplate(template="small", capacity=cores(1)))
    connection = await asyncpg.connect(database_url)
    await append_history(EventStore(connection), project.history)
    await show(database_url, project.history)
    while await (await load_writer(connection)).advance(100):
        pass
    await connection.close()
    settings = QuerySettings(database_url=as_role(database_url, "query"))
    document: Any = json.loads(FILE.read_bytes())
    taken = 0
    async with serving(settings) as client:
        for path, operations in document["paths"].items():
            names = {one["name"] for one in operations.get("get", {}).get("parameters", [])}
            for name in names & ASKED.keys():
                if path not in STREAMS:
                    address, given = place_of(path, name, names, ASKED[name])
                    answer = await client.get(address, params=given)
                    assert answer.status_code == 200, (address, given, answer.text)
                address, given = place_of(path, name, names, ASKED[name] + "\n")
                answer = await client.get(address, params=given)
                assert answer.status_code in (400, 404), (address, given, answer.text)
                taken += 1
        for feed in ("/projects/gaia{}.ics", "/clusters/gaia.k{}.ics"):
            assert (await client.get(feed.format(""))).status_code == 200
            assert (await client.get(feed.format("%0A"))).status_code in (400, 404)
    assert taken > 30
