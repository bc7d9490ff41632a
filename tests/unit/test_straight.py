"""A route that the server reaches straight answers as it would through the framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, get_origin, get_type_hints

import msgspec
import pytest
from litestar import Controller, post
from litestar.params import JSONBody
from litestar.testing import AsyncTestClient

from services.command.routes import CONTROLLERS
from services.command.routes.bodies import CommandRequest
from services.command.routes.headers import AnyRequest
from services.command.routes.requests import BookingRequest
from services.command.routes.straight import Straight
from shared.errors import Refused
from shared.http.application import Application
from shared.http.responses import EncodedResponse
from shared.telemetry import Telemetry

BODY_BYTES_MAX = 1000
WHOLE = b'{"account":"ada","startdate":"2086-01-01","enddate":"2086-01-02","project":"gaia","cores":1}'


class Routes(Controller):
    @post("/straight", middleware=[Straight])
    async def straight(self, request: AnyRequest, data: JSONBody[BookingRequest]) -> EncodedResponse[None]:
        return answer(request, data)

    @post("/framework")
    async def framework(self, request: AnyRequest, data: JSONBody[BookingRequest]) -> EncodedResponse[None]:
        return answer(request, data)


def answer(request: AnyRequest, data: BookingRequest) -> EncodedResponse[None]:
    """The body that was read; its `reason` may ask for an error."""
    if data.reason == "refuse":
        raise Refused("as it was asked")
    if data.reason == "fail":
        raise RuntimeError("as it was asked")
    return EncodedResponse(msgspec.json.encode([data, request.method]), status_code=201, headers={"X-Other": "1"})


@pytest.fixture
async def client() -> AsyncIterator[AsyncTestClient[Any]]:
    app = Application([Routes], Telemetry(None), request_class=CommandRequest, request_max_body_size=BODY_BYTES_MAX)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (WHOLE, 201),
        (b"", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"account":1}', 400),
        (WHOLE.replace(b'"cores":1', b'"cores":1,"cores":1'), 400),
        (WHOLE.replace(b'"cores":1', b'"reason":"refuse"'), 409),
        (WHOLE.replace(b'"cores":1', b'"reason":"fail"'), 500),
        (WHOLE + b" " * BODY_BYTES_MAX, 413),
    ],
    ids=["whole", "empty", "null", "list", "no JSON", "bad fields", "twice", "refused", "failed", "too large"],
)
async def test_the_answers_are_the_same(client: AsyncTestClient[Any], body: bytes, status: int) -> None:
    answers = []
    for path in ("/straight", "/framework"):
        got = await client.post(path, content=body, headers={"Content-Type": "application/json"})
        answers.append((got.status_code, got.content, dict(got.headers)))
    assert answers[0] == answers[1]
    assert answers[0][0] == status


async def test_its_requests_are_counted_by_their_route(client: AsyncTestClient[Any]) -> None:
    assert (await client.post("/straight", content=WHOLE)).status_code == 201
    assert (
        'hourbook_http_requests_total{method="POST",path="/straight",status="201"} 1.0'
        in (await client.get("/metrics")).text
    )


def handlers() -> Iterator[Any]:
    for controller in CONTROLLERS:
        for one in vars(controller).values():
            if Straight in (getattr(one, "middleware", None) or ()):
                yield one


def test_every_straight_route_takes_its_request_and_its_body_and_answers_bytes() -> None:
    found = list(handlers())
    assert found
    for one in found:
        hints = get_type_hints(one.fn, include_extras=True)
        assert set(hints) == {"request", "data", "return"}, one
        assert get_origin(hints["return"]) is EncodedResponse, one
        assert not one.guards, one
