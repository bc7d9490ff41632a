"""X-Request-Id, in answers, in problem documents and in the log, of real servers."""

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import ClientSession
from litestar import get
from litestar.params import FromPath

from services.cli.up.gateway import Gateway
from shared.http.application import Application
from shared.log_format import formatter_of
from shared.telemetry import Telemetry
from tests.support.listening import listening
from tests.support.raw import Wire

INSTANCE = "urn:hourbook:call:"


@get("/bug/{number:int}")
async def bug(number: FromPath[int]) -> None:
    await asyncio.sleep(0.01)
    raise RuntimeError(f"bug {number}")


def application() -> Any:
    return Application([bug], Telemetry(None), "")


async def test_the_id_of_the_client_goes_through_the_gateway_to_the_answer_the_problem_and_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.setFormatter(formatter_of({"HOURBOOK_LOG_FORMAT": "json"}, "query"))
    front = socket.create_server(("127.0.0.1", 0))
    async with listening(application()) as url, ClientSession(f"http://127.0.0.1:{front.getsockname()[1]}") as session:
        gateway = Gateway(lambda service: [url] if service == "query" else [])
        await gateway.start(front)
        try:
            answers = []
            for headers in ({"X-Request-Id": "ada-1"}, {"X-Request-Id": "not sane"}, {}):
                async with session.get("/bug/1", headers=headers) as answer:
                    answers.append((answer.headers.getall("X-Request-Id"), json.loads(await answer.read())))
            async with session.post("/bug/1", headers={"X-Request-Id": "ada-2"}) as refused:  # by the gateway itself
                assert (refused.headers["X-Request-Id"], refused.status) == ("ada-2", 503)
                assert json.loads(await refused.read())["instance"] == f"{INSTANCE}ada-2"
        finally:
            await gateway.stop()
    for (call, *more), problem in answers:
        assert (more, problem["code"], problem["instance"]) == ([], "internal_error", INSTANCE + call)
    calls = [call for (call,), _ in answers]
    assert calls[0] == "ada-1"
    assert len(set(calls)) == 3
    logged = [json.loads(line) for line in caplog.text.splitlines()]
    assert [line["call"] for line in logged if "bug 1" in line["message"]] == calls


async def test_each_of_several_requests_on_one_connection_has_its_own_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(formatter_of({}, "query"))
    async with listening(application()) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        async with Wire(reader, writer) as wire:
            requests = [f"GET /bug/{n} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: c{n}\r\n\r\n" for n in range(3)]
            await wire.send("".join(requests).encode())
            answers = [await wire.answer() for _ in requests]
    assert [answer.headers["x-request-id"] for answer in answers] == ["c0", "c1", "c2"]
    assert [answer.problem["instance"] for answer in answers] == [f"{INSTANCE}c{n}" for n in range(3)]
    for number in range(3):
        assert f"RuntimeError('bug {number}') (call c{number})" in caplog.text
