"""Connections that the gateway hands over to the services, as bytes: each request reaches whom it belongs to, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.response import Stream

from shared.http.connection_limits import ConnectionLimits
from shared.http.owners import COMMAND, QUERY
from shared.http.problems import EXCEPTION_HANDLERS
from tests.support.listening import Addresses, one_address
from tests.support.raw import Wire, wire
from tests.support.waiting import until

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
READ, LIVE = b"GET /projects?n=%d" + HOST + b"\r\n", b"GET /live" + HOST + b"\r\n"
BIG = 4_000_000


def command(number: int, body: bytes = b"{}") -> bytes:
    return b"POST /bookings/create" + HOST + b"X-N: %d\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body)


def chunked(number: int, *chunks: bytes) -> bytes:
    head = b"POST /bookings/create" + HOST + b"X-N: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % number
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


class Two:
    """A query and a command service, and the requests that have reached either, with their bodies."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.slow, self.go_on = asyncio.Event(), asyncio.Event()
        self.addresses: Addresses

    def query(self) -> Litestar:
        @get("/projects")
        async def read(request: Request[Any, Any, Any]) -> bytes:
            number = request.query_params["n"]
            self.seen.append((QUERY, number, b""))
            return b"q" + number.encode() if number != "99" else bytes(BIG)

        @get("/events/stream", sync_to_thread=False)
        def live() -> Stream:
            return Stream(self._events(), media_type="text/event-stream")

        return application(read, live)

    async def _events(self) -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await self.go_on.wait()
        yield b"data: 2\n\n"

    def command(self) -> Litestar:
        @post("/bookings/create", status_code=201)
        async def create(request: Request[Any, Any, Any]) -> bytes:
            body, number = await request.body(), request.headers["X-N"]
            self.seen.append((COMMAND, number, body))
            if body == b"slow":
                self.slow.set()
                await self.go_on.wait()
            return b"c" + number.encode()

        return application(create)


def application(*handlers: Any) -> Litestar:
    return Litestar(handlers, exception_handlers=EXCEPTION_HANDLERS, logging_config=None, openapi_config=None)


@asynccontextmanager
async def two(limits: ConnectionLimits = ConnectionLimits()) -> AsyncIterator[Two]:  # noqa: B008  (it is frozen)
    both = Two()
    async with one_address(both.query(), both.command(), limits, limits) as both.addresses:
        yield both


@pytest.fixture
async def both() -> AsyncIterator[Two]:
    async with two() as made:
        yield made


async def bodies(connection: Wire, number: int) -> list[bytes]:
    return [(await connection.answer()).body for _ in range(number)]


def requests_of_both_kinds() -> list[bytes]:
    """One of each form, in an order in which each kind follows each."""
    bodied = (
        b"GET /projects?n=6" + HOST + b"Content-Length: 7\r\n\r\nGET /pr"
    )  # a read with a body, which looks like one
    return [
        READ % 0,
        command(1),
        READ % 2,
        READ % 3,
        chunked(4, b"POST /bookings/create HTTP/1.1\r\n\r\n", b"{}"),
        chunked(5, b"\r\n\r\n"),
        bodied,
        command(7, b"GET /projects?n=66 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        LIVE,
        command(9, b"x" * 300_000),
        LIVE,
        READ % 11,
        b"\r\n" + command(12),
    ]


ANSWERED = [b"q0", b"c1", b"q2", b"q3", b"c4", b"c5", b"q6", b"c7", b"ok", b"c9", b"ok", b"q11", b"c12"]


@pytest.mark.parametrize("size", [None, 1, 7, 10_000, 1_000_000], ids=lambda size: f"pieces of {size}")
async def test_one_connection_may_mix_reads_and_commands(both: Two, size: int | None) -> None:
    """One after the other, and pipelined in pieces of any size."""
    requests = requests_of_both_kinds()
    async with await wire(both.addresses.handed) as connection:
        if size is None:
            for request, answered in zip(requests, ANSWERED, strict=True):
                await connection.send(request)
                assert (await connection.answer()).body == answered
        else:
            if size < 100:
                requests = [request for request in requests if len(request) < 10_000]
            answered_ = [
                body for request, body in zip(requests_of_both_kinds(), ANSWERED, strict=True) if request in requests
            ]
            data = b"".join(requests)
            sending = asyncio.create_task(send_in_pieces(connection, data, size))
            assert await bodies(connection, len(requests)) == answered_
            await sending
    assert [(who, n) for who, n, _ in both.seen] == [
        (QUERY if body[:1] == b"q" else COMMAND, body[1:].decode())
        for body in ANSWERED
        if body != b"ok" and (body != b"c9" or size is None or size > 100)
    ]


async def send_in_pieces(connection: Wire, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await connection.send(data[start : start + size])
        if size < 100:
            await asyncio.sleep(0)


async def test_a_request_of_another_service_waits_until_the_answer_before_it_has_left(both: Two) -> None:
    """The client reads nothing at first, so that a large answer is half sent when the command arrives."""
    async with await wire(both.addresses.handed) as connection:
        await connection.send(READ % 99 + command(1) + READ % 2)
        await until(lambda: asyncio.sleep(0, both.seen != []))
        await asyncio.sleep(0.1)
        assert len((await connection.answer()).body) == BIG
        assert await bodies(connection, 2) == [b"c1", b"q2"]
    async with await wire(both.addresses.handed) as connection:
        await connection.send(command(3, b"slow") + READ % 4 + b"GET /pro")
        await both.slow.wait()
        await connection.send(b"jects?n=5" + HOST + b"\r\n")
        assert (QUERY, "4", b"") not in both.seen
        both.go_on.set()
        assert await bodies(connection, 3) == [b"c3", b"q4", b"q5"]
