"""The AsyncAPI document: the AsyncAPI initiative's own parser accepts it, and every event fits it."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator

from services.query.app import create_app
from services.query.render.asyncapi import HEADERS
from services.query.settings import Settings
from shared.event_store import Stored
from shared.events import EVENT_TYPES, encode_event
from shared.jetstream import STREAM, SUBJECT, cloud_event
from shared.notices import KINDS
from tests.support.client_tools import ClientTools, needed
from tests.support.histories import history

CHECK = Path(__file__).parents[1] / "asyncapi"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none?sslmode=disable"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hourbook") as client:
        yield client


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await client.get("/asyncapi.json")).json())


@pytest.fixture(scope="module")
def check(
    request: pytest.FixtureRequest, client_tools: ClientTools, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Has the official parser read a document."""
    folder = tmp_path_factory.mktemp("asyncapi")
    with needed(request):
        (folder / "node_modules").symlink_to(client_tools.packages(CHECK))
    shutil.copy(CHECK / "check.js", folder)
    return lambda text: client_tools.node("check.js", cwd=folder, given=text)


async def test_the_official_parser_takes_it_without_a_warning(
    client: httpx.AsyncClient, check: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    for path in ("/asyncapi.json", "/asyncapi.yaml"):
        answer = await client.get(path)
        assert answer.status_code == 200
        run = check(answer.text)
        assert run.returncode == 0, run.stdout + run.stderr
        version, channels, messages = run.stdout.split()
        assert version == "3.0.0"
        assert int(channels) >= len(EVENT_TYPES) <= int(messages)
    assert check(answer.text.replace("action: send", "action: shout", 1)).returncode == 1


async def test_yaml_and_json_say_the_same(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    assert yaml.safe_load((await client.get("/asyncapi.yaml")).text) == document


async def test_there_is_a_channel_and_a_schema_for_every_type(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    names = {kind.__name__ for kind in EVENT_TYPES}
    assert names <= set(document["channels"])
    assert STREAM in document["info"]["description"]
    assert set(document["channels"]) == names | set(KINDS)
    paths = (await client.get("/schemas/events")).json()["schemas"]
    assert set(paths) == names
    for name, path in paths.items():
        assert document["channels"][name]["address"] == f"{SUBJECT}.{{project}}.{name}"
        schema = (await client.get(path)).json()
        Draft202012Validator.check_schema(schema)
        assert (schema["$id"], schema["title"]) == (path, name)
    assert (await client.get("/schemas/events/Nothing.json")).json()["code"] == "unknown_id"


async def test_every_event_is_as_its_schema_says(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    validators: dict[str, tuple[Any, Any]] = {}
    for position, event in enumerate(history(21, 500), 1):
        name, told = type(event).__name__, json.loads(encode_event(event))
        if name not in validators:
            schema = (await client.get(f"/schemas/events/{name}.json")).json()
            inline = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            validators[name] = Draft202012Validator(schema), Draft202012Validator(inline)
        alone, within = validators[name]
        for validator in (alone, within):
            validator.validate(told)
            assert not validator.is_valid(told | {"type": "Another"})
            assert not validator.is_valid({key: value for key, value in told.items() if key != "actor"})
        stored = Stored(position, event.project, 1, event.command, None, b"", name, encode_event(event), 0)
        subject, headers = cloud_event(stored)
        assert subject == document["channels"][name]["address"].replace("{project}", event.project)
        Draft202012Validator(HEADERS).validate(headers)
    assert len(validators) > 5
