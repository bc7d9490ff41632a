"""The examples of the OpenAPI document: a running ledger answers each request as its example says."""

import json
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from shared.http.answers import JSON
from tests.support.openapi import FILE
from tests.support.openapi_examples import STORY, Example, renamed, same, story
from tests.support.running import WAIT_S, Running


def test_a_ledger_answers_each_example_of_the_document_as_the_document_says(up: Running) -> None:
    project, ids, position = f"gaia-{uuid4().hex[:8]}", dict[str, str](), 0
    text = STORY.read_text("utf-8").replace("gaia", project)  # other tests use the same ledger
    with httpx.Client(base_url=up.url, timeout=WAIT_S) as client:
        for example in msgspec.json.decode(text, type=list[Example]):
            answer = ask(client, example, ids, position)
            found = answer.json() if example.media_type.endswith("json") else answer.text
            assert (answer.status_code, same(example.answer, found, ids)) == (example.status, True), (example, found)
            position = found["position"] if answer.status_code == 201 else position


def ask(client: httpx.Client, example: Example, ids: dict[str, str], position: int) -> httpx.Response:
    """Sends the request of an example. A read waits until it shows what the commands before it have done."""
    given = {
        name: str(value) if value is not True else "true" for name, value in renamed(example.parameters, ids).items()
    }
    path = example.path.format_map(given)
    query = {name: value for name, value in given.items() if f"{{{name}}}" not in example.path}
    if "min_position" in (one["name"] for one in operation(example).get("parameters", [])):
        query["min_position"] = str(position)
    body = None if example.body is msgspec.UNSET else renamed(example.body, ids)
    return client.request(example.method, path, params=query, json=body, headers={"Accept": example.accept})


def operation(example: Example) -> Any:
    return json.loads(FILE.read_bytes())["paths"][example.path][example.method]


def test_what_people_and_programs_ask_most_has_an_example() -> None:
    told = {f"{one.method} {one.path}" for one in story()}
    assert {
        "post /bookings/create",
        "post /bookings/{booking}/amend",
        "post /clusters/{cluster}/resize",
        "get /available/select",
        "get /available/matrix",
        "get /available/slots",
        "get /bookings/select",
        "get /entitlements",
        "get /events",
    } <= told
    assert {one.accept for one in story()} == {JSON, "text/csv"}
    assert {one.status for one in story()} == {200, 201, 400, 409}


def test_an_example_with_another_answer_is_found() -> None:
    ids: dict[str, str] = {}
    first, other = "01a2199d-3354-710d-b6b1-2faae5ee7a33", "01a2199d-3789-75ee-88d3-20a5f1d7155b"
    assert same({"id": first, "at": "x", "cores": 4}, {"id": other, "at": "y", "cores": 4}, ids)
    assert ids == {first: other}
    assert not same({"cores": 4}, {"cores": 5}, ids)
    assert not same({"cores": 4}, {"cores": 4, "more": 1}, ids)
    assert not same({"booking": first}, {"booking": first}, ids)
    assert not same([1], [1, 2], ids)
