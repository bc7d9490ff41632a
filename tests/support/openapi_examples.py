"""The examples of the OpenAPI document: one story of requests and answers, in tests/openapi/examples.json.

`make openapi` puts each request and its answer at its operation. tests/e2e/test_openapi_examples.py sends them all, in
their order, to a running ledger.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from shared.http.answers import JSON
from shared.http.problem_document import MEDIA_TYPE as PROBLEM

STORY = Path(__file__).parents[1] / "openapi" / "examples.json"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
OF_THE_LEDGER = ("at", "position", "next", "created")  # what else has happened in the ledger decides these


class Example(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request and its answer: JSON, or the text of another media type. `path` is that of the document, and
    `parameters` are those of the path and of the query."""

    name: str
    summary: str
    method: str
    path: str
    parameters: dict[str, Any] = {}
    body: Any = msgspec.UNSET
    accept: str = JSON
    status: int
    answer: Any

    @property
    def media_type(self) -> str:
        return PROBLEM if self.status >= 400 else self.accept


def story() -> list[Example]:
    return msgspec.json.decode(STORY.read_bytes(), type=list[Example])


def put_examples(paths: dict[str, Any]) -> None:
    """Puts each example at its operation: at the parameters, the body and the answer."""
    for one in story():
        operation = paths[one.path][one.method]
        for parameter in operation.get("parameters", []):
            if parameter["name"] in one.parameters:
                put(parameter, one, one.parameters[parameter["name"]])
        if one.body is not msgspec.UNSET:
            put(operation["requestBody"]["content"][JSON], one, one.body)
        put(operation["responses"][str(one.status)]["content"][one.media_type], one, one.answer)


def put(where: dict[str, Any], example: Example, value: Any) -> None:
    where.setdefault("examples", {})[example.name] = {"summary": example.summary, "value": value}


def same(told: Any, found: Any, ids: dict[str, str]) -> bool:
    """Whether an answer is that of the example. The ledger gives ids of its own: `ids` has them by those of the story,
    and takes the new ones."""
    if isinstance(told, dict) and isinstance(found, dict):
        return told.keys() == found.keys() and all(
            type(told[name]) is type(found[name]) if name in OF_THE_LEDGER else same(told[name], found[name], ids)
            for name in told
        )
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(same(one, other, ids) for one, other in zip(told, found, strict=True))
    if isinstance(told, str) and isinstance(found, str):
        for id_, other in zip(UUID.findall(told), UUID.findall(found), strict=False):
            ids.setdefault(id_, other)
        return bool(renamed(told, ids) == found)
    return bool(told == found)


def renamed(part: Any, ids: dict[str, str]) -> Any:
    """The same with the ids that the ledger has given."""
    text = msgspec.json.encode(part).decode()
    return msgspec.json.decode(UUID.sub(lambda found: ids.get(found[0], found[0]), text))
