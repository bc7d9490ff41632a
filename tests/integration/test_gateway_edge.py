"""The gateway and difficult clients: late requests, bytes that are not HTTP, methods that a path does not allow."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from litestar import Litestar, Request, delete, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from services.cli.up.gateway import Gateway
from services.cli.up.upstreams import on_loopback
from shared.http.connection_limits import ConnectionLimits
from shared.http.problems import EXCEPTION_HANDLERS
from shared.http.responses import EncodedResponse
from tests.support.listening import NO_LIMITS, listening, one_address
from tests.support.raw import MALFORMED, asked, wire

SOON = ConnectionLimits(head_s=0.2, body_s=0.3, connections=20)
CLOSE = b"Host: localhost\r\nConnection: close\r\n\r\n"
POST = b"POST /novaquota/create HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /novaquota/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@get(["/novaquota/{thing:str}", "/magcluster/{thing:str}"], sync_to_thread=False)
def read(thing: FromPath[str], request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    if thing == "none" or request.url.path == "/magcluster/create" or request.url.query == "of=nobody":
        raise NotFoundException("there is no such thing")
    return EncodedResponse(b"[1,2]")


@delete("/novaquota/{thing:str}", status_code=200, sync_to_thread=False)
def remove(thing: FromPath[str]) -> EncodedResponse[bytes]:
    return EncodedResponse(thing.encode())


@post(["/novaquota/create", "/magcluster/create"], status_code=201)
async def create(request: Request[Any, Any, Any]) -> EncodedResponse[bytes]:
    return EncodedResponse(b"%d" % len(await request.body()), status_code=201)


@get("/projects", sync_to_thread=False)
def lists() -> EncodedResponse[bytes]:
    return EncodedResponse(b"[]")


def service(*handlers: Any) -> Litestar:
    return Litestar(
        handlers,
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=1000,
        logging_config=None,
        openapi_config=None,
    )


@asynccontextmanager
async def before(limits: ConnectionLimits = SOON, *, handed: bool = True) -> AsyncIterator[str]:
    """The gateway in front of two services. Each has its own part of the paths."""
    service_limits = limits if handed else NO_LIMITS
    async with one_address(service(read, lists), service(remove, create), limits, service_limits) as addresses:
        yield addresses.handed if handed else addresses.passed


@pytest.fixture(params=[True, False], ids=["handed over", "passed on"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with before(handed=request.param) as address:
        yield address


@pytest.mark.parametrize("begun", [b"GET", b"GET /novaquota/1 HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_never_comes_is_a_408_and_the_end(url: str, begun: bytes) -> None:
    for first in (b"", GET):
        async with await wire(url) as connection:
            if first:
                await connection.send(first)
                assert (await connection.answer()).body == b"[1,2]"
            await connection.send(begun)
            answer = await connection.answer()
            assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
            assert await connection.ended() == b""


async def test_who_says_nothing_is_left_without_a_word(url: str) -> None:
    async with await wire(url) as connection:
        assert await connection.ended() == b""


async def test_an_idle_connection_is_kept(url: str) -> None:
    async with await wire(url) as connection:
        for _ in range(2):
            await connection.send(GET)
            assert (await connection.answer()).body == b"[1,2]"
            await asyncio.sleep(3 * SOON.head_s)


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 10\r\n\r\n{", b"Content-Length: 10\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
)
async def test_a_body_that_never_comes_is_a_408_and_the_end(url: str, body: bytes) -> None:
    async with await wire(url) as connection:
        await connection.send(POST + body)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"], answer.headers["connection"]) == (
            408,
            "request_timeout",
            "close",
        )
        assert await connection.ended() == b""


@pytest.mark.parametrize("handed", [True, False])
async def test_more_connections_than_there_is_room_for_are_told_so(handed: bool) -> None:
    async with before(ConnectionLimits(connections=1), handed=handed) as url, await wire(url) as first:
        await first.send(GET)
        assert (await first.answer()).status == 200
        async with await wire(url) as second:
            if handed:  # the service has the limit
                await second.send(GET)
            answer = await second.answer()
            assert (answer.status, answer.problem["code"]) == (503, "too_many_connections")
        await first.send(GET)
        assert (await first.answer()).status == 200


async def test_what_is_no_request_is_a_400_the_end_and_one_line_of_the_log(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, request in MALFORMED.items():
        caplog.clear()
        with caplog.at_level(logging.INFO):
            async with await wire(url) as connection:
                await connection.send(request.replace(b"/write", b"/novaquota/create"))
                answer = await connection.answer()
                assert (answer.status, answer.headers["connection"]) == (400, "close"), name
                assert answer.problem["code"] in ("malformed_request", "invalid_path"), name
                assert await connection.ended() == b"", name
        said = [record for record in caplog.records if record.name.startswith(("shared", "aiohttp", "asyncio"))]
        assert len(said) <= 1, name
        assert not [record for record in said if record.levelno > logging.INFO or record.exc_info], name


async def test_the_log_has_no_credential_of_what_is_no_request(url: str, caplog: pytest.LogCaptureFixture) -> None:
    heads = [
        b"GET / HTTP/1.1\r\nAuthorization: Bearer SECRET" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nCookie: __Host-hourbook=SECRET; more=" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nAuthorization: Bearer SECRET\0\r\n\r\n",
        b"GET /projects/a.ics?key=SECRET" + b"x" * 100_000,
        b"GET /projects/a.ics?key=SECRET HTTP/9.9\r\n\r\n",
    ]
    with caplog.at_level(logging.DEBUG):
        for head in heads:
            async with await wire(url) as connection:
                await connection.send(head)
                assert (await connection.answer()).problem["code"] in ("malformed_request", "head_too_large")
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    "line", [b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000]
)
async def test_a_head_without_end_is_refused(url: str, line: bytes) -> None:
    async with await wire(url) as connection:
        await connection.send(line)
        assert (await connection.answer()).problem["code"] in ("malformed_request", "head_too_large")


async def test_a_chunk_that_is_none_is_a_400_and_the_end(url: str) -> None:
    async with await wire(url) as connection:
        await connection.send(
            b"POST /novaquota/create HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await connection.send(b"1\r\n{\r\n")
        await asyncio.sleep(SOON.head_s / 4)  # so the gateway has begun to pass it on
        await connection.send(b"zz\r\n")
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (400, "malformed_request")
        assert await connection.ended() == b""


@pytest.mark.parametrize("body", [b"{}", gzip.compress(b'{"a": "%s"}' % (b"x" * 200), mtime=0)])
async def test_an_encoded_body_is_refused_and_the_connection_usable_afterwards(url: str, body: bytes) -> None:
    head = (
        b"POST /novaquota/create HTTP/1.1\r\nHost: [::1]\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    async with await wire(url) as connection:
        await connection.send(head + body)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (415, "unsupported_encoding")
        assert answer.headers["accept-encoding"] == "identity"
        await connection.send(GET)
        assert (await connection.answer()).body == b"[1,2]"


async def test_a_body_that_is_too_large_is_refused_and_the_connection_closes_or_goes_on(url: str) -> None:
    async with await wire(url) as connection:
        await connection.send(POST + b"Content-Length: 50000\r\n\r\n" + b"x" * 50_000)
        assert (await connection.answer()).status == 413
        await connection.send(GET)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            assert (await connection.answer()).body == b"[1,2]"


async def test_a_body_may_be_asked_for_first_or_come_in_chunks(url: str) -> None:
    async with await wire(url) as connection:
        await connection.send(POST + b"Expect: 100-continue\r\nContent-Length: 7\r\n\r\n")
        assert (await connection.answer()).status == 100
        await connection.send(b'{"a":1}')
        assert (await connection.answer()).body == b"7"
    async with await wire(url) as connection:
        await connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n")
        assert (await connection.answer()).body == b"3"


async def test_allow_is_what_both_services_take(url: str) -> None:
    table: list[tuple[bytes, int, str | None]] = [
        (b"GET /novaquota/create", 200, None),  # a thing with the name `create`
        (b"HEAD /novaquota/1", 200, None),
        (b"GET /novaquota/none", 404, None),  # the service's own refusal
        (b"GET /novaquota/create?of=nobody", 404, None),  # the path is there, and nobody is not
        (b"GET /magcluster/create", 405, "OPTIONS, POST"),  # a command, and no thing with its name exists
        (b"OPTIONS /magcluster/create", 204, "OPTIONS, POST"),
        (b"PUT /novaquota/create", 405, "GET, HEAD, OPTIONS, POST"),
        (b"PUT /novaquota/1", 405, "DELETE, GET, HEAD, OPTIONS"),
        (b"POST /novaquota/1", 405, "DELETE, GET, HEAD, OPTIONS"),
        (b"POST /projects", 405, "GET, HEAD, OPTIONS"),
        (b"OPTIONS /projects", 204, "GET, HEAD, OPTIONS"),
        (b"OPTIONS /novaquota/1", 204, "DELETE, GET, HEAD, OPTIONS"),
        (b"GET /none", 404, None),
        (b"POST /none", 404, None),
        (b"OPTIONS /none", 404, None),
    ]
    for line, status, allow in table:
        answer = await asked(url, line + b" HTTP/1.1\r\n" + CLOSE, bodiless=line.startswith(b"HEAD"))
        assert (answer.status, answer.headers.get("allow")) == (status, allow), line
        assert status < 400 or answer.problem["code"] == f"http_{status}", line


async def test_a_read_of_a_commands_path_is_told_to_post() -> None:
    async with listening(service(lists)) as query, listening(service(create)) as command:
        ports = {"query": int(query.rpartition(":")[2]), "command": int(command.rpartition(":")[2])}
        with socket.create_server(("127.0.0.1", 0)) as socket_:
            gateway = Gateway(on_loopback(ports.get), SOON)
            await gateway.start(socket_)
            url = f"http://127.0.0.1:{socket_.getsockname()[1]}"
            for method in (b"GET", b"HEAD"):
                answer = await asked(
                    url, method + b" /novaquota/create HTTP/1.1\r\n" + CLOSE, bodiless=method == b"HEAD"
                )
                assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
            await gateway.stop()


async def test_every_answer_says_not_to_guess_and_none_says_by_which_version(url: str) -> None:
    for line in (b"GET /novaquota/1", b"GET /none", b"PUT /projects", b"OPTIONS /projects"):
        answer = await asked(url, line + b" HTTP/1.1\r\n" + CLOSE)
        assert (answer.headers["x-content-type-options"], answer.headers.get("server", "hourbook")) == (
            "nosniff",
            "hourbook",
        )
