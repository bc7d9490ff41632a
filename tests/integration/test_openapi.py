"""The OpenAPI document lists all responses, both services serve it, and the page needs no other host."""

import json
import re
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from services.command import app as command
from services.command.handler.handler import CommandHandler
from services.command.keys import Keys
from services.command.routes.submit import Parts
from services.command.routes.webhooks import Webhooks
from services.command.settings import Settings as CommandSettings
from services.query import app as query
from services.query.settings import Settings as QuerySettings
from shared.http.problem_type import Problem
from shared.http.problems import EXCEPTION_HANDLERS
from shared.identity.credentials import COOKIE
from tests.support.backends import as_role
from tests.support.conforming import resolved
from tests.support.openapi import FILE, one_document, text


def command_app(database_url: str) -> Litestar:
    return command.create_app(CommandSettings(database_url=as_role(database_url, "command")))


def query_app(database_url: str) -> Litestar:
    return query.create_app(QuerySettings(database_url=as_role(database_url, "query")))


async def document_of(app: Litestar) -> Any:
    async with AsyncTestClient(app) as client:
        return (await client.get("/schema/openapi.json")).json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    """Path, method and operation. Shared responses stand in the place of their references."""
    shared = document["components"]["responses"]
    found = [(path, method, dict(one)) for path, item in document["paths"].items() for method, one in item.items()]
    for _, _, operation in found:
        operation["responses"] = resolved(operation["responses"], shared)
    return found


def operation(document: Any, method: str, path: str) -> Any:
    return next(one for where, how, one in operations(document) if (where, how) == (path, method))


async def test_both_services_serve_the_document_that_their_routes_make(database_url: str) -> None:
    made = one_document()
    assert FILE.read_text("utf-8") == text(made), "run `make openapi`, and commit the file"
    for app in (command_app, query_app):
        served = await document_of(app(database_url))
        assert served == json.loads(text(made))
        assert served["openapi"].startswith("3.1")


async def test_the_document_is_not_sent_twice(database_url: str) -> None:
    async with AsyncTestClient(query_app(database_url)) as client:
        first = await client.get("/schema/openapi.yaml")
        assert first.headers["content-type"] == "application/vnd.oai.openapi"
        again = await client.get("/schema/openapi.yaml", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_every_operation_says_what_it_answers(database_url: str) -> None:
    told = operations(await document_of(query_app(database_url)))
    assert len(told) > 80
    for path, method, one in told:
        good = {status: response for status, response in one["responses"].items() if status < "400"}
        assert good, (method, path)
        for response in good.values():
            for media_type, content in response.get("content", {}).items():
                assert "*" not in media_type, (method, path)
                assert content["schema"], (method, path, media_type)


async def test_every_operation_says_which_errors_it_answers(database_url: str) -> None:
    for path, method, one in operations(await document_of(query_app(database_url))):
        wanted = {"400", "401", "403", "404", "405", "503"} | ({"409", "413"} if method != "get" else set())
        assert wanted <= one["responses"].keys(), path
        for status in wanted:
            content = {kind: {"schema": said["schema"]} for kind, said in one["responses"][status]["content"].items()}
            if path.startswith("/sign-in/{issuer}"):  # a browser gets a page
                assert content.pop("text/html") == {"schema": {"type": "string"}}
            if (path, status) == ("/health/command", "503"):  # no command is accepted
                assert content.pop("application/json") == one["responses"]["200"]["content"]["application/json"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, path
        assert one["tags"] != ["default"], path


async def test_every_operation_says_by_which_credentials_it_is_signed_in(database_url: str) -> None:
    document = await document_of(command_app(database_url))
    schemes = document["components"]["securitySchemes"]
    assert {(one["type"], one.get("in"), one.get("scheme"), one.get("name")) for one in schemes.values()} == {
        ("http", None, "bearer", None),
        ("apiKey", "header", None, "X-Auth-Token"),
        ("apiKey", "cookie", None, COOKIE),
    }
    assert [list(one) for one in document["security"]] == [[name] for name in schemes]
    open_ = {path for path, _, one in operations(document) if one.get("security") == [{}]}
    assert len(open_) == 7
    assert {path for path in open_ if not path.startswith(("/sign-in/", "/sign-out"))} == {"/health", "/health/command"}
    assert all(one.get("security", [{}]) == [{}] for _, _, one in operations(document))


async def test_a_command_says_what_a_repeat_and_a_dry_run_answer_and_each_code_of_a_refusal(database_url: str) -> None:
    document = await document_of(command_app(database_url))
    responses = operation(document, "post", "/bookings/create")["responses"]
    assert set(responses) == {"200", "201", "400", "401", "403", "404", "405", "409", "413", "415", "503"}
    kinds = responses["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [kind["$ref"].rpartition("/")[2] for kind in kinds] == ["Outcome", "Previewed"]
    assert {"capacity_exceeded", "already_exists", "past_is_immutable", "idempotency_key_reused"} <= set(
        re.findall(r"`(\w+)`:", responses["409"]["description"])
    )
    assert responses["503"]["description"].count("`store_unavailable`") == 1


async def test_what_only_some_operations_answer_is_told_there(database_url: str) -> None:
    document = await document_of(command_app(database_url))
    assert "`host_not_allowed`" in operation(document, "post", "/webhooks")["responses"]["403"]["description"]


async def test_a_webhook_while_the_database_is_away_is_a_503_and_a_body_that_is_no_json_a_400() -> None:
    keys = Keys("postgresql://127.0.0.1:1/none", kept_days=1, kept_max=1)
    handler = CommandHandler("postgresql://127.0.0.1:1/none")
    app = Litestar([Webhooks], exception_handlers=EXCEPTION_HANDLERS)
    app.state.parts = Parts(handler, keys, ("localhost",))
    async with AsyncTestClient(app) as client:
        for answer in (
            await client.delete(f"/webhooks/{uuid4()}"),
            await client.post("/webhooks", json={"url": "https://localhost/x"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        answer = await client.post("/webhooks", content=b"{", headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "http_400")


async def test_an_error_is_as_the_document_says(database_url: str) -> None:
    async with AsyncTestClient(command_app(database_url)) as client:
        answer = await client.post("/projects/create", json={"id": 3, "nome": "Gaia"})
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert (problem.status, problem.code) == (answer.status_code, "invalid_field")
    assert problem.errors
    assert {error.field for error in problem.errors} == {"id", "name", "nome"}


@pytest.mark.parametrize("app", [command_app, query_app])
async def test_the_interface_is_shown_without_another_network(app: Any, database_url: str) -> None:
    async with AsyncTestClient(app(database_url)) as client:
        page = (await client.get("/schema")).text
        named = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(named) == 4
        for url in named:
            if not url.startswith("data:"):
                assert url.startswith("/schema/")
                answer = await client.get(url)
                assert answer.status_code == 200, url
                assert answer.headers["content-type"].startswith(("text/javascript", "text/css")), url


NO_DIGITS = ["1e3", "1.0", "-0", "%201", "1%20", "%2B1", "1_000", "%EF%BC%91", "0x1", "x", ""]


async def test_a_number_in_an_address_is_in_digits_and_is_named_as_it_is_there(database_url: str) -> None:
    async with AsyncTestClient(query_app(database_url)) as client:
        document = (await client.get("/schema/openapi.json")).json()
        asked = [
            (re.sub(r"{\w+}", NOBODY, path.replace("{cluster}", "gaia.x")), one["name"])
            for path, _, operation in operations(document)
            for one in operation.get("parameters", [])
            if one["in"] == "query" and "integer" in str(one["schema"])
        ]
        assert {"limit", "min_position", "after", "from", "to", "size", "count", "position"} <= {
            name for _, name in asked
        }
        for path, name in asked:
            for text in NO_DIGITS:
                answer = await client.get(f"{path}?{name}={text}")
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, name), (
                    path,
                    text,
                    answer.text,
                )
                assert "is not a whole number in digits" in answer.text or "Expected `int` >=" in answer.text


NOBODY = "01890000-0000-7000-8000-000000000000"


async def test_a_name_says_its_rule_in_the_document(database_url: str) -> None:
    document = await document_of(command_app(database_url))
    account = document["components"]["schemas"]["BookingRequest"]["properties"]["account"]
    assert (account["minLength"], account["maxLength"]) == (1, 200)
    assert "cannot be seen" in account["description"]
    reason = document["components"]["schemas"]["BookingRequest"]["properties"]["reason"]
    assert "200 characters" in str(reason)


async def test_the_document_describes_every_operation_parameter_and_field(database_url: str) -> None:
    document = await document_of(query_app(database_url))
    for path, method, one in operations(document):
        assert one["description"], (method, path)
        assert " " in one["summary"], (method, path)
        for parameter in one.get("parameters", []):
            assert parameter.get("description"), (method, path, parameter["name"])
    missing = [
        (name, field)
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description") and "$ref" not in described
    ]
    assert missing == []
