"""Connections that the gateway hands over to the services, as bytes: each request reaches whom it belongs to, once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.response import Stream

from shared.http.connection_limits import ConnectionLimits
from shared.http.handover import Line, make_line
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

    def answered(self) -> list[bytes]:
        """The bodies of the answers to what was seen, in the order of the requests."""
        return [service[:1].encode() + number.encode() for service, number, _ in self.seen]

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


async def test_one_connection_may_mix_reads_and_commands(both: Two) -> None:
    async with await wire(both.addresses.handed) as connection:
        for request, answered in zip(requests_of_both_kinds(), ANSWERED, strict=True):
            await connection.send(request)
            answer = await connection.answer()
            assert answer.body == answered
            assert ("server" in answer.headers) == (request == LIVE)  # only the gateway's answers have it
    assert both.answered() == [body for body in ANSWERED if body != b"ok"]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000, 1_000_000])
async def test_one_connection_may_mix_pipelined_reads_and_commands_in_pieces_of_any_size(both: Two, size: int) -> None:
    pairs = list(zip(requests_of_both_kinds(), ANSWERED, strict=True))
    pairs = [(request, body) for request, body in pairs if len(request) < 1000 * size]
    async with await wire(both.addresses.handed) as connection:
        sending = send_in_pieces(connection, b"".join(request for request, _ in pairs), size)
        answered, _ = await asyncio.gather(bodies(connection, len(pairs)), sending)
        assert answered == [body for _, body in pairs]
    assert both.answered() == [body for _, body in pairs if body != b"ok"]


def random_request(choice: Random, number: int) -> tuple[bytes, int, bytes | None]:
    """A request, and the status and the body of its answer; None: a problem."""
    looks_like_one = command(99) + READ % 98
    body = looks_like_one + bytes(choice.randrange(4000))
    chunks = [choice.choice((b"\n\r\n\r\n", looks_like_one, b"x")) for _ in range(choice.randrange(4))]
    packed = b"POST /bookings/create" + HOST + b"Content-Encoding: gzip\r\nContent-Length: 90000\r\n\r\n"
    read_in_chunks = chunked(number, *chunks).replace(b"POST /bookings/create", b"GET /projects?n=%d" % number, 1)
    return choice.choice(
        [
            (READ % number, 200, b"q%d" % number),
            (b"\r\n" + READ % number, 200, b"q%d" % number),
            (read_in_chunks, 200, b"q%d" % number),
            (command(number, body), 201, b"c%d" % number),
            (chunked(number, *chunks), 201, b"c%d" % number),
            (packed + looks_like_one.ljust(90_000), 415, None),  # answered before its body is there
            (b"PUT /bookings/create" + HOST + b"Content-Length: 2\r\n\r\n{}", 405, None),
            (LIVE, 200, b"ok"),
        ]
    )


async def test_each_of_many_pipelined_requests_gets_its_answer_however_they_are_cut(both: Two) -> None:
    for seed in range(60):
        choice = Random(seed)
        given = [random_request(choice, number) for number in range(choice.randrange(2, 10))]
        both.seen.clear()
        async with await wire(both.addresses.handed) as connection:
            data = b"".join(request for request, _, _ in given)
            size = choice.choice((len(data) // 500 + 1, 5000, 100_000))
            sending = asyncio.create_task(send_in_pieces(connection, data, size))
            for request, status, body in given:
                answer = await connection.answer()
                assert (answer.status, body in (None, answer.body)) == (status, True), (seed, request[:80], answer)
            await sending
        assert both.answered() == [body for _, status, body in given if body is not None and body != b"ok"]


async def send_in_pieces(connection: Wire, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await connection.send(data[start : start + size])
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


async def test_a_body_arrives_as_it_was_sent_however_large(both: Two) -> None:
    body = bytes(range(256)) * 3900
    async with await wire(both.addresses.handed) as connection:
        for number in range(2):
            await connection.send(READ % 7 + command(number, body) + chunked(number, body, b"\r\n\r\n", body[:9]))
            assert await bodies(connection, 3) == [b"q7", b"c%d" % number, b"c%d" % number]
    assert [len(seen) for _, _, seen in both.seen] == 2 * [0, len(body), len(body) + 13]
    assert both.seen[1][2] == body


async def test_events_arrive_as_they_are_sent(both: Two) -> None:
    async with await wire(both.addresses.handed) as connection:
        await connection.send(command(1) + b"GET /events/stream" + HOST + b"\r\n")
        assert (await connection.answer()).body == b"c1"
        head = await connection.answer()
        assert head.headers["content-type"].startswith("text/event-stream")
        assert await connection.line() + await connection.line() == b"9\r\ndata: 1\n"
        both.go_on.set()
        assert b"data: 2" in await connection.until(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "ending", [b"Connection: close", b"Expect: 100-continue", b"Upgrade: a\r\nConnection: Upgrade"]
)
async def test_nothing_is_answered_after_the_last_answer_of_a_connection(both: Two, ending: bytes) -> None:
    async with await wire(both.addresses.handed) as connection:
        first = command(1, b"").replace(b"Host", ending + b"\r\nHost", 1)
        await connection.send(first + READ % 2 + command(3))
        rest = await connection.ended()
    assert (rest.count(b"HTTP/1.1 201"), rest.count(b"HTTP/1.1 200")) == (1, 0)
    assert both.answered() == [b"c1"]


async def test_a_head_that_never_ends_is_a_408_wherever_it_begins() -> None:
    befores = ((b"", 0), (READ % 1, 1), (command(1) + READ % 2, 2))
    begun = (b"PO", b"POST /bookings/cr", b"POST /bookings/create HTTP/1.1\r\nHost: loc")
    async with two(ConnectionLimits(head_s=0.3, body_s=0.3)) as both:
        given = [(before + head, answers) for before, answers in befores for head in begun]
        await asyncio.gather(*(assert_late(both.addresses.handed, sent, answers) for sent, answers in given))


async def assert_late(url: str, sent: bytes, answers: int) -> None:
    """Asserts that after so many answers comes a 408, and the end."""
    async with await wire(url) as connection:
        await connection.send(sent)
        await bodies(connection, answers)
        answer = await connection.answer()
        assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
        assert await connection.ended() == b""


async def test_a_service_that_stops_answers_what_it_has_and_its_connections_stay_with_the_gateway() -> None:
    async with two() as both, AsyncExitStack() as opened:
        idle, busy, closing = [await opened.enter_async_context(await wire(both.addresses.handed)) for _ in range(3)]
        await idle.send(command(1))
        assert (await idle.answer()).body == b"c1"
        await busy.send(command(2, b"slow"))
        await closing.send(command(3, b"12")[:-1])
        await both.slow.wait()
        stopping = asyncio.ensure_future(both.addresses.stop_command())
        await until(lambda: is_closed(both.addresses.command))
        await closing.send(b"2")
        assert (await closing.answer()).headers["connection"] == "close"
        both.go_on.set()
        assert (await busy.answer()).body == b"c2"
        await stopping
        for number, connection in ((4, idle), (5, busy)):
            await connection.send(command(number))
            assert (await connection.answer()).problem["code"] == "service_unavailable"
            await connection.send(READ % number)
            assert await bodies(connection, 1) == [b"q%d" % number]


async def is_closed(url: str) -> bool:
    try:
        async with await wire(url):
            return False
    except ConnectionError:
        return True


class Ends:
    """Both ends of a line, and what came out of either: the peers of the connections, and what was read of them."""

    def __init__(self) -> None:
        ours, theirs = make_line()
        self.kept: list[bytes] = []
        self.taken: list[tuple[socket.socket, bytes]] = []
        self.given_back: list[bytes] = []
        self.ours = Line(ours, self._take_back, self._keep)
        self._theirs = theirs

    def _keep(self, client: socket.socket, data: bytes) -> None:
        client.close()
        self.kept.append(data)

    def _take_back(self, client: socket.socket, data: bytes) -> None:
        client.close()
        self.given_back.append(data)

    def open(self) -> None:
        self.theirs = Line(self._theirs, lambda client, data: self.taken.append((client, data)), self._keep)

    def give(self, data: bytes) -> socket.socket:
        """Gives away one end of a new connection, and answers the other."""
        mine, given = socket.socketpair()
        self.ours.give(given, data)
        return mine

    def close(self) -> None:
        for client, _ in self.taken:
            client.close()
        self.ours.close()
        self._theirs.close()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.close()


async def test_a_line_passes_all_connections_on_in_their_order_however_slow_the_other_end_is(ends: Ends) -> None:
    sizes = [1, 65_535, 65_536, 65_537, 300_000, *range(2, 400)]
    mine = [ends.give(b"%d" % size + bytes(size)) for size in sizes]
    await ends.ours.emptied(0.05)
    assert ends.ours.waiting > 0
    ends.open()
    await ends.ours.emptied(10)
    assert ends.ours.waiting == 0
    await until(lambda: len(ends.taken) == len(sizes))
    assert [data for _, data in ends.taken] == [b"%d" % size + bytes(size) for size in sizes]
    for (client, _), other in zip(ends.taken, mine, strict=True):
        other.send(b"?")
        assert client.recv(1) == b"?"
        other.close()
    assert ends.kept == []


async def test_what_did_not_leave_is_kept_when_the_other_end_ends_or_takes_no_more(ends: Ends) -> None:
    for opens in (True, False):
        given = [ends.give(b"%d" % number) for number in range(3)]
        if opens:
            ends.open()
            ends.theirs.take_no_more()
            assert [data for _, data in ends.taken] == [b"0", b"1", b"2"]
            ends.theirs.give(*ends.taken.pop())
            await until(lambda: ends.given_back == [b"2"])
        for mine in given:
            mine.close()
    assert (ends.kept, ends.ours.is_open) == ([b"0", b"1", b"2"], False)
