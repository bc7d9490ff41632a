"""The OpenAPI document of the one address, made from the routes of the command and the query service.

`make openapi` writes it to shared/http/openapi.json, which both services serve. A test compares the file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from services.command.app import create_app as create_command
from services.command.settings import Settings as CommandSettings
from services.query.app import create_app as create_query
from services.query.settings import Settings as QuerySettings
from shared.http.answers import ANSWERS, ERROR_PAGES, EVENT_STREAM, JSON, Answers
from shared.http.problem_document import MEDIA_TYPE as PROBLEM
from shared.http.problem_type import Problem
from tests.support.openapi_examples import put_examples
from tests.support.openapi_fields import describe
from tests.support.openapi_names import REF, with_names

FILE = Path(__file__).parents[2] / "shared/http/openapi.json"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"  # the document needs no database
YAML = "application/yaml"  # a client has the document that it says, as with JSON
OBJECTS = (YAML, "application/schema+json")
OWN_PATHS = ("/health",)  # both services have one; at the one address that of the command service is another path
DESCRIPTION = """The booking ledger of shared compute.

Commands (`POST`, `PUT`, `PATCH`, `DELETE`) are decided and stored by the command service; reads (`GET`) come from the
query service. Both are at one address. A command's answer names its `position`; a read with `min_position` shows it.

Most reads have an `ETag`. While nothing has changed, a read with that in `If-None-Match` is answered 304, without a
body. The answers below leave this out.

Errors are problem documents (RFC 9457), whose `code` is stable. Instants are ISO 8601 in UTC."""


class Clash(Exception):
    """Two things of the document have one name."""


def one_document() -> dict[str, Any]:
    """The document of the one address."""
    query = create_query(QuerySettings(database_url=NOWHERE), describes=True)
    command = create_command(CommandSettings(database_url=NOWHERE), describes=True)
    documents = [document_of(query), document_of(command, prefix_of="command")]
    first = documents[0]
    paths: dict[str, Any] = {}
    for document in documents:
        for path, item in document["paths"].items():
            merge(paths.setdefault(path, {}), item, f"path {path}")
    put_examples(paths)
    responses = shared_responses(paths)
    whole = {
        "openapi": first["openapi"],
        "info": {
            "title": "Hourbook",
            "version": first["info"]["version"],
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": first["security"],
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": dict(sorted(schemas_of(documents).items())),
            "responses": responses,
            "securitySchemes": first["components"]["securitySchemes"],
        },
    }
    return whole_numbers(with_names(whole))


def document_of(app: Litestar, prefix_of: str = "") -> dict[str, Any]:
    """The framework's document of one service, with the answers that its routes declare."""
    document = app.openapi_schema.to_schema()
    schemas, made = document["components"]["schemas"], content_of(Answers((Problem,)))[1]
    for path, method, handler in routes_of(app):
        operation = document["paths"][path][method]
        made |= put_answers(operation, answers_of(handler))
        if handler.opt.get(ERROR_PAGES):
            operation["responses"] = {status: with_page(one) for status, one in operation["responses"].items()}
    for name, schema in made.items():
        if name in schemas and schemas[name].get("properties", {}).keys() != schema.get("properties", {}).keys():
            raise Clash(f"schema: two different {name}")
    schemas |= made
    for path in OWN_PATHS if prefix_of else ():
        item = document["paths"][f"{path}/{prefix_of}"] = document["paths"].pop(path)
        closed = item["get"]["responses"]["503"]  # the same document, or a problem
        closed["content"] = item["get"]["responses"]["200"]["content"] | closed["content"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            operation["operationId"] = operation_id(method, path)
            operation["parameters"] = [plain(one) for one in operation.get("parameters", [])]
            tidy(operation)
    return document


def with_page(response: dict[str, Any]) -> dict[str, Any]:
    """A response that a browser gets as a page if it is an error."""
    content = response.get("content", {})
    page = {"text/html": {"schema": {"type": "string"}}} if PROBLEM in content else {}
    return {**response, "content": {**content, **page}}


FALSE_BY_DEFAULT = ("required", "deprecated", "allowEmptyValue", "allowReserved", "uniqueItems")


def plain(parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter without what is so by default. One that may be left out is never null."""
    kept = {name: value for name, value in parameter.items() if value or name not in FALSE_BY_DEFAULT}
    schema = dict(kept["schema"])
    schema.pop("description", None)
    if kinds := [one for one in schema.get("oneOf", []) if one != {"type": "null"}]:
        alternatives = schema.pop("oneOf")
        schema = {**kinds[0], **schema} if len(kinds) == 1 else {**schema, "anyOf": kinds}
        assert len(alternatives) >= len(kinds)
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**kept, "schema": schema}


def whole_numbers(part: Any) -> Any:
    """The same with 1000 for the framework's 1000.0."""
    if isinstance(part, dict):
        return {key: whole_numbers(one) for key, one in part.items()}
    if isinstance(part, list):
        return [whole_numbers(one) for one in part]
    return int(part) if isinstance(part, float) and part.is_integer() else part


def tidy(operation: dict[str, Any]) -> None:
    """Removes what says nothing."""
    operation.pop("deprecated", None)
    for status, response in operation["responses"].items():
        if response.get("headers") == {}:
            del response["headers"]
        if response["description"] == HTTPStatus(int(status)).description:
            response["description"] = "The answer."
    if not operation["parameters"]:
        del operation["parameters"]


def routes_of(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Path, method and handler of each route of the document."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format), method.lower(), handler


def answers_of(handler: HTTPRouteHandler) -> dict[int, Answers]:
    """The answers of a route by status: those that it declares, and those whose types the framework knows."""
    if isinstance(declared := handler.opt.get(ANSWERS), Answers):
        return {handler.status_code: declared}
    found = {
        status: Answers(get_args(spec.data_container) or (spec.data_container,))
        for status, spec in (handler.responses or {}).items()
        if status < 300 and spec.data_container not in (None, Any)
    }
    inner = [one.annotation for one in handler.parsed_fn_signature.return_type.inner_types]
    return {handler.status_code: Answers(tuple(inner)), **found} if inner else found


def put_answers(operation: dict[str, Any], answers: dict[int, Answers]) -> dict[str, Any]:
    """Puts the contents of the answers into the operation. Returns the schemas that they refer to."""
    made: dict[str, Any] = {}
    for status, answer in answers.items():
        content, schemas = content_of(answer)
        operation["responses"][str(status)]["content"] = content
        made |= schemas
    return made


def content_of(answers: Answers) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of a response by media type, and the schemas that it refers to."""
    types = [*answers.types, *([] if answers.event is None else [answers.event])]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    content: dict[str, Any] = {}
    if answers.types:
        found = list(schemas[: len(answers.types)])
        content[JSON] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
    for media_type in answers.also:
        content[media_type] = {"schema": {"type": "object" if media_type in OBJECTS else "string"}}
        if media_type == EVENT_STREAM:
            content[media_type]["schema"]["description"] = "The `data` of each event is JSON, of the type `x-event`."
            content[media_type]["x-event"] = schemas[-1]
    return content, {name: one | {"description": cleandoc(one["description"])} for name, one in components.items()}


def shared_responses(paths: dict[str, Any]) -> dict[str, Any]:
    """Replaces each error that several operations answer by a reference. Returns the responses by name."""
    names: dict[str, str] = {}
    found: dict[str, Any] = {}
    operations = [operation for item in paths.values() for operation in item.values()]
    errors = [(one["responses"], status) for one in operations for status in one["responses"] if int(status) >= 400]
    counts = Counter(text(responses[status]) for responses, status in errors)
    for responses, status in errors:
        if counts[key := text(responses[status])] > 1:
            if key not in names:
                kinds = sum(name.startswith(f"Error{status}") for name in found)
                names[key] = f"Error{status}" + (f"_{kinds + 1}" if kinds else "")
                found[names[key]] = responses[status]
            responses[status] = {"$ref": f"#/components/responses/{names[key]}"}
    return found


def schemas_of(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for document in documents:
        merge(schemas, document["components"]["schemas"], "schema")
    for name, schema in schemas.items():
        describe(name, schema)
    return schemas


def merge(into: dict[str, Any], more: dict[str, Any], what: str) -> None:
    for name, one in more.items():
        if into.setdefault(name, one) != one:
            raise Clash(f"{what}: two different {name}")


def operation_id(method: str, path: str) -> str:
    """`get_events_by_position` for GET /events/{position}."""
    words = [f"by_{part[1:-1]}" if part.startswith("{") else part for part in path.strip("/").split("/")]
    return re.sub(r"\W+", "_", "_".join([method, *words]))


def text(document: dict[str, Any]) -> str:
    plain = json.loads(msgspec.json.encode(document))  # the framework keeps defaults as objects
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(one_document()), encoding="utf-8")
