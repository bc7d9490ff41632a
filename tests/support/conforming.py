"""Every response that a test gets over HTTP is as the OpenAPI document says. tests/conftest.py installs it.

The schemas are made strict here: a field that the document does not name is an error. A client must ignore it, but a
field that nobody described is a fault of the document.
"""

from __future__ import annotations

import json
import re
from functools import cache, wraps
from typing import Any, NamedTuple

import httpx
import jsonschema_rs

from tests.support.openapi import FILE, OWN_PATHS

DOCUMENT = "urn:hourbook:openapi"
PROBLEM = "application/problem+json"
BODILESS = 204
# What any path may answer; the document does not repeat it at each.
A_PROBLEM = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
ANYWHERE = {405: A_PROBLEM, 500: A_PROBLEM, 502: A_PROBLEM, 504: A_PROBLEM}


class Nonconforming(AssertionError):
    """A response differs from the document."""


class Operation(NamedTuple):
    """A path of the document with a method, and the responses by status, references resolved."""

    name: str
    responses: dict[str, Any]


found: list[str] = []  # what differed, also where a test or a task swallowed the error
unlike = False  # the test stores what no service stores (the marker `odd_store`): nothing is checked


def install() -> None:
    """From now on, a response that differs raises Nonconforming from the client, and stands in `found`."""
    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    @wraps(send)
    def checked(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        return check(send(self, request, **options), options)

    @wraps(send_async)
    async def checked_async(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        return check(await send_async(self, request, **options), options)

    httpx.Client.send, httpx.AsyncClient.send = checked, checked_async  # type: ignore[method-assign]


def check(response: httpx.Response, options: dict[str, Any]) -> httpx.Response:
    wrong = [] if unlike else [difference(one, response, options) for one in operations_of(response.request)]
    if wrong and all(wrong):
        found.append(wrong[0])
        raise Nonconforming(wrong[0])
    return response


def difference(operation: Operation, response: httpx.Response, options: dict[str, Any]) -> str:
    """What differs; nothing if the response is as the document says."""
    try:
        check_response(operation, response, whole=not options.get("stream"))
    except Nonconforming as error:
        return str(error)
    return ""


def check_response(operation: Operation, response: httpx.Response, whole: bool) -> None:
    """Raises Nonconforming. `whole`: the body is there."""
    if response.status_code == 304 and not response.content:  # the document says it of all reads at once
        return
    where = f"{operation.name} answered {response.status_code}"
    told = operation.responses.get(str(response.status_code), ANYWHERE.get(response.status_code))
    if told is None:
        raise Nonconforming(f"{where}: the document has no such status: {response.text[:300] if whole else ''}")
    if response.status_code == BODILESS or response.request.method == "HEAD":
        return
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    if media_type not in (contents := told.get("content", {})):
        raise Nonconforming(f"{where} as {media_type!r}; the document has {sorted(contents)}")
    if whole and media_type.endswith(("/json", "+json")):
        key = json.dumps(contents[media_type]["schema"], sort_keys=True)
        errors = [explained(one) for one in validator(key).iter_errors(json.loads(response.content))]
        if errors:
            raise Nonconforming(f"{where}; {len(errors)} differences: {errors[:3]}; {response.text[:1000]}")


def explained(error: jsonschema_rs.ValidationError) -> str:
    return f"{'.'.join(map(str, error.instance_path))}: {error.message[:400]}"


def operations_of(request: httpx.Request) -> list[Operation]:
    """The operations that a request may have asked: two where both services have the path, none where the document has
    none: a page, another server."""
    method = "get" if request.method == "HEAD" else request.method.lower()
    path = request.url.path
    found = next((item[method] for pattern, item in paths() if pattern.fullmatch(path) and method in item), None)
    of_command = operations_of(command_s)[:1] if path in OWN_PATHS and (command_s := renamed(request)) else []
    return [] if found is None else [found, *of_command]


def renamed(request: httpx.Request) -> httpx.Request:
    """The request at the one address, which a test sent to the command service itself."""
    return httpx.Request(request.method, request.url.copy_with(path=f"{request.url.path}/command"))


@cache
def paths() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """The operations by path. A path without parameters stands before one that it matches, too."""
    read = document()
    shared = read["components"]["responses"]
    return [
        (
            re.compile("".join(r"[^/]+" if part.startswith("{") else re.escape(part) for part in parts_of(path))),
            {
                method: Operation(f"{method.upper()} {path}", resolved(operation["responses"], shared))
                for method, operation in item.items()
            },
        )
        for path, item in sorted(read["paths"].items(), key=lambda one: "{" in one[0])
    ]


def parts_of(path: str) -> list[str]:
    return re.split(r"(\{\w+\})", path)


def resolved(responses: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    return {
        status: shared[one["$ref"].rpartition("/")[2]] if "$ref" in one else one for status, one in responses.items()
    }


@cache
def document() -> Any:
    """The document, with strict schemas."""
    read = json.loads(FILE.read_bytes())
    for schema in read["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return read


@cache
def validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """What checks against a schema of the document, which is given as JSON."""
    registry = jsonschema_rs.Registry([(DOCUMENT, document())], draft=jsonschema_rs.Draft202012)
    absolute = schema.replace('"#/components', f'"{DOCUMENT}#/components')
    return jsonschema_rs.Draft202012Validator(json.loads(absolute), registry=registry, validate_formats=True)
