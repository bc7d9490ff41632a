"""A service's client connections: late heads and bodies, too many connections, and bytes that are not HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from litestar import Litestar, Request, get, post
from litestar.datastructures import State
from litestar.params import JSONBody

from shared.http.connection_limits import HEAD_BYTES_MAX, ConnectionLimits
from shared.http.problems import EXCEPTION_HANDLERS
from shared.http.responses import EncodedResponse, StreamedResponse
from tests.support.listening import listening
from tests.support.raw import MALFORMED, Wire, asked, wire

SOON = ConnectionLimits(head_s=0.2, body_s=0.3, connections=20)
LATER = ConnectionLimits(connections=3)
CLOSE = b"Host: localhost\r\nConnection: close\r\n\r\n"
GET = b"GET /read HTTP/1.1\r\nHost: localhost\r\n\r\n"


@get("/read")
async def read() -> EncodedResponse[bytes]:
    return EncodedResponse(b"[1,2]", headers={"ETag": '"1"'})


@get("/live")
async def live() -> StreamedResponse[bytes]:
    async def pieces() -> AsyncGenerator[bytes]:
        while True:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.05)

    return StreamedResponse(pieces(), media_type="text/event-stream")


@get("/held")
async def held(request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    await request.app.state.free.wait()
    return EncodedResponse(b"[3]")


@get("/free")
async def free(request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    request.app.state.free.set()
    return EncodedResponse(b"[]")


@post("/write")
async def write(data: JSONBody[dict[str, Any]], request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    return EncodedResponse(b"%d" % len(data), headers={"Has-Late": str(b"late" in dict(request.scope["headers"]))})


@pytest.fixture
async def soon() -> AsyncIterator[str]:
    async with listening(application(), SOON) as url:
        yield url


@pytest.fixture
async def later() -> AsyncIterator[str]:
    async with listening(application(), LATER) as url:
        yield url


def application() -> Litestar:
    return Litestar(
        [read, live, held, free, write],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=1000,
        logging_config=None,
        openapi_config=None,
        state=State({"free": asyncio.Event()}),
    )


@pytest.mark.parametrize("begun", [b"GET", b"GET /read HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_never_comes_is_a_408_and_the_end(soon: str, begun: bytes) -> None:
    async with await wire(soon) as connection:
        await connection.send(begun)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert "head" in answer.problem["detail"]
        assert await connection.ended() == b""


async def test_who_says_nothing_is_left_without_a_word(soon: str) -> None:
    async with await wire(soon) as connection:
        assert await connection.ended() == b""


async def test_a_second_head_that_never_comes_is_a_408_too(soon: str) -> None:
    async with await wire(soon) as connection:
        await connection.send(GET)
        assert (await connection.answer()).status == 200
        await connection.send(b"GET /re")
        assert (await connection.answer()).status == 408


async def test_a_byte_now_and_then_is_no_head(soon: str) -> None:
    async with await wire(soon) as connection:

        async def drip() -> None:
            while True:
                await connection.send(b"X")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await connection.answer()).status in (400, 408)
        await connection.ended()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 10\r\n\r\n{", b"Content-Length: 10\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
)
async def test_a_body_that_never_comes_is_a_408_and_the_end(soon: str, body: bytes) -> None:
    async with await wire(soon) as connection:
        await connection.send(b"POST /write HTTP/1.1\r\nHost: localhost\r\n" + body)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert "body" in answer.problem["detail"]
        assert await connection.ended() == b""


async def test_an_answer_that_takes_long_is_waited_for(soon: str) -> None:
    async with await wire(soon) as connection:
        await connection.send(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await connection.answer(bodiless=True)).status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * SOON.body_s):
                await connection.ended()


async def test_an_idle_connection_is_kept(soon: str) -> None:
    async with await wire(soon) as connection:
        await connection.send(GET)
        assert (await connection.answer()).status == 200
        await asyncio.sleep(3 * SOON.head_s)
        await connection.send(GET)
        assert (await connection.answer()).body == b"[1,2]"


async def test_a_head_without_end_is_refused(later: str) -> None:
    async with await wire(later) as connection:
        await connection.send(b"GET /read HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"x" * (HEAD_BYTES_MAX + 1))
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (431, "head_too_large")


async def test_a_head_without_end_during_an_answer_is_not_kept_and_takes_not_its_place(later: str) -> None:
    async with await wire(later) as connection:
        await connection.send(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connection.send(b"GET /read HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (16 * HEAD_BYTES_MAX))
        await connection.send(b"\r\n\r\n")
        assert (await asked(later, b"GET /free HTTP/1.1\r\n" + CLOSE)).status == 200
        answer = await connection.answer()
        assert (answer.status, answer.body) == (200, b"[3]")
        assert await connection.ended() == b""


async def test_more_connections_than_there_is_room_for_are_told_so(later: str) -> None:
    opened = [await wire(later) for _ in range(LATER.connections)]
    for connection in opened:
        await connection.send(GET)
        assert (await connection.answer()).status == 200
    async with await wire(later) as one_more:
        answer = await one_more.answer()
        assert (answer.status, answer.problem["code"]) == (503, "too_many_connections")
    for connection in opened:
        await connection.send(GET)
        assert (await connection.answer()).status == 200
        await connection.__aexit__()


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_request_is_a_400_and_the_end(soon: str, request_: bytes) -> None:
    async with await wire(soon) as connection:
        await connection.send(request_)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (400, "malformed_request")
        assert await connection.ended() == b""


async def test_what_came_before_garbage_is_answered_first(soon: str) -> None:
    async with await wire(soon) as connection:
        await connection.send(GET + b"\0\0\0")
        assert (await connection.answer()).body == b"[1,2]"
        assert b"[1,2]" not in await connection.ended()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}", 415),
        (b"Content-Length: 5000\r\n", b"x" * 5000, 413),
        (b"Content-Length: 1\r\n", b"{", 400),
    ],
)
async def test_a_connection_is_usable_after_a_refusal(later: str, headers: bytes, body: bytes, status: int) -> None:
    async with await wire(later) as connection:
        for _ in range(2):
            await connection.send(b"POST /write HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n" + body)
            answer = await connection.answer()
            assert (answer.status, bool(answer.problem["code"])) == (status, True)
        await connection.send(GET)
        assert (await connection.answer()).body == b"[1,2]"


async def test_a_body_that_nobody_waits_for_is_no_head(later: str) -> None:
    place = urlsplit(later)
    with socket.create_connection((place.hostname, place.port)) as connection:
        reader, writer = await asyncio.open_connection(sock=connection.dup())
        async with Wire(reader, writer) as client:
            for _ in range(10):
                await client.send(b"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 150000\r\n\r\n")
                assert (await client.answer()).status == 413
                connection.setblocking(True)
                connection.sendall(bytes(150_000))  # the service, in this loop, cannot read in between
                connection.setblocking(False)
                assert (await asked(later, b"GET /read HTTP/1.1\r\n" + CLOSE)).status == 200
                await client.send(GET)
                assert (await client.answer()).body == b"[1,2]"


async def test_an_encoded_body_is_refused_and_one_that_is_not_is_read(later: str) -> None:
    for encoding, status in ((b"gzip", 415), (b"br, gzip", 415), (b"identity", 200)):
        request = (
            b"POST /write HTTP/1.1\r\nContent-Length: 2\r\nContent-Encoding: " + encoding + b"\r\n" + CLOSE + b"{}"
        )
        answer = await asked(later, request)
        assert answer.status == status
        if status == 415:
            assert (answer.headers["accept-encoding"], answer.problem["code"]) == ("identity", "unsupported_encoding")


async def test_head_is_get_without_its_body(later: str) -> None:
    whole = await asked(later, b"GET /read HTTP/1.1\r\nX-Request-Id: one\r\n" + CLOSE)
    head = await asked(later, b"HEAD /read HTTP/1.1\r\nX-Request-Id: one\r\n" + CLOSE, bodiless=True)
    assert (head.status, head.headers | {"date": ""}) == (whole.status, whole.headers | {"date": ""})
    assert (head.headers["content-length"], head.body) == ("5", b"")
    async with await wire(later) as connection:  # the response to HEAD of an endless stream ends
        await connection.send(b"HEAD /live HTTP/1.1\r\n" + CLOSE)
        assert (await connection.answer(bodiless=True)).headers["content-type"].startswith("text/event-stream")
        assert await connection.ended() == b""


@pytest.mark.parametrize(
    ("request_line", "status", "allow"),
    [
        (b"HEAD /write", 405, "OPTIONS, POST"),
        (b"GET /write", 405, "OPTIONS, POST"),
        (b"PUT /read", 405, "GET, HEAD, OPTIONS"),
        (b"OPTIONS /read", 204, "GET, HEAD, OPTIONS"),
        (b"OPTIONS /write", 204, "OPTIONS, POST"),
    ],
)
async def test_allow_names_what_a_path_answers(later: str, request_line: bytes, status: int, allow: str) -> None:
    answer = await asked(later, request_line + b" HTTP/1.1\r\n" + CLOSE, bodiless=True)
    assert (answer.status, answer.headers["allow"]) == (status, allow)


async def test_a_body_may_be_asked_for_first(later: str) -> None:
    async with await wire(later) as connection:
        await connection.send(
            b"POST /write HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"
        )
        assert (await connection.answer()).status == 100
        await connection.send(b'{"a":1}')
        assert (await connection.answer()).status == 200
    refused = b"POST /write HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n"
    async with await wire(later) as connection:  # sends no body, and the next request does not become one
        await connection.send(refused)
        answer = await connection.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await connection.ended() == b""


async def test_every_answer_says_not_to_guess_and_none_says_by_which_version(later: str) -> None:
    for request in (b"GET /read", b"GET /none", b"PUT /read"):
        answer = await asked(later, request + b" HTTP/1.1\r\n" + CLOSE)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


async def test_a_field_after_the_body_is_no_header(later: str) -> None:
    chunked = b"POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: Late\r\n\r\n"
    async with await wire(later) as connection:
        await connection.send(chunked + b"2\r\n{}\r\n0\r\nLate: 1\r\n\r\n")
        assert (await connection.answer()).headers["has-late"] == "False"
