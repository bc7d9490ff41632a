"""Load over HTTP: requests that are sent over and over, by `wrk` where it is installed, or else by a generator here.

Both send raw HTTP/1.1 over kept connections, one request at a time on each.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable
from uuid import uuid4

import msgspec

from tests.bench import wrk

DRIVER = "wrk" if shutil.which("wrk") else "own generator"
CLIENT = "own client"


class Requests(msgspec.Struct, frozen=True):
    """Raw requests, to be sent in turn, over and over. `keyed`: each is sent with an idempotency key of its own."""

    raw: tuple[bytes, ...]
    keyed: bool = False

    def endless(self) -> Callable[[], bytes]:
        """A function that gives the next request."""
        plain = itertools.cycle(self.raw).__next__
        if not self.keyed:
            return plain
        run, numbers = uuid4().hex, itertools.count()
        return lambda: with_header(plain(), f"Idempotency-Key: {run}-{next(numbers)}")

    def with_header(self, header: str) -> Requests:
        return Requests(tuple(with_header(one, header) for one in self.raw), self.keyed)


class Load(msgspec.Struct):
    """What came of a load: the number of answers with a 2xx status, seconds, the median and the 99th percentile of the
    latency in seconds, and the processor time in seconds that the driver itself used."""

    accepted: int
    seconds: float
    p50: float
    p99: float
    driver_s: float

    @property
    def rate(self) -> float:
        return self.accepted / self.seconds


async def drive(port: int, requests: Requests, *, connections: int = 64, seconds: float = 1.0) -> Load:
    """Loads a port of this machine. Raises RuntimeError if an answer was a refusal."""
    if DRIVER == "wrk":
        said = await wrk.drive(port, requests.raw, keyed=requests.keyed, connections=connections, seconds=seconds)
        load = Load(said.requests - said.refused, said.seconds, said.p50, said.p99, said.driver_s)
        refused = said.refused
    else:
        load, refused = await _drive(port, requests.endless(), connections, seconds)
    if refused or not load.accepted:
        raise RuntimeError(f"{refused} of {load.accepted + refused} requests to port {port} were refused")
    return load


class Connection(asyncio.Protocol):
    """One connection of the generator here: sends the next request when the answer to the last one is there."""

    def __init__(
        self,
        answers: list[tuple[int, float]],
        next_request: Callable[[], bytes],
        until: float,
        done: asyncio.Future[None],
    ) -> None:
        self._answers, self._next_request, self._until, self._done = answers, next_request, until, done
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._next_request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 : place + 30].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self._buffer) < head_end + 4 + length:
            return
        self._answers.append((int(head[9:12]), time.perf_counter() - self._sent))
        self._buffer = b""
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def _drive(port: int, next_request: Callable[[], bytes], connections: int, seconds: float) -> tuple[Load, int]:
    """As `drive`, in this process. Returns the load and the number of refusals."""
    loop, began, used = asyncio.get_running_loop(), time.perf_counter(), time.process_time()
    answers: list[tuple[int, float]] = []
    finished = [loop.create_future() for _ in range(connections)]
    for done in finished:

        def connect(done: asyncio.Future[None] = done) -> Connection:
            return Connection(answers, next_request, began + seconds, done)

        await loop.create_connection(connect, "127.0.0.1", port)
    await asyncio.gather(*finished)
    took, used = time.perf_counter() - began, time.process_time() - used
    latencies = sorted(latency for status, latency in answers if 200 <= status < 300) or [0.0]
    accepted = sum(200 <= status < 300 for status, _ in answers)
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    return Load(accepted, took, p50, p99, used), len(answers) - accepted


class Client:
    """As many kept connections as are in use at once; `ask` sends a raw request and answers status and body."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head[9:12]), body

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


def post(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def with_header(request: bytes, header: str) -> bytes:
    """The same request with one more header."""
    first, _, rest = request.partition(b"\r\n")
    return b"%b\r\n%b\r\n%b" % (first, header.encode(), rest)
