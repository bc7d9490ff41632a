"""A load generator: raw HTTP/1.1 over kept connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import msgspec


class Load(msgspec.Struct):
    """What came of it: answers by status, seconds, and the latency of each answer in seconds."""

    statuses: Counter[int]
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers with a 2xx status, a second."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300) / self.seconds

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Connection(asyncio.Protocol):
    def __init__(self, load: Load, next_request: Callable[[], bytes], until: float, done: asyncio.Future[None]) -> None:
        self._load, self._next_request, self._until, self._done = load, next_request, until, done
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
        self._load.statuses[int(head[9:12])] += 1
        self._load.latencies.append(time.perf_counter() - self._sent)
        self._buffer = b""
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def drive(port: int, next_request: Callable[[], bytes], *, connections: int = 64, seconds: float = 5.0) -> Load:
    """Sends what `next_request` gives, over so many connections, for so long."""
    loop, load, started = asyncio.get_running_loop(), Load(Counter(), 0.0, []), time.perf_counter()
    finished = [loop.create_future() for _ in range(connections)]
    for done in finished:

        def connect(done: asyncio.Future[None] = done) -> Connection:
            return Connection(load, next_request, started + seconds, done)

        await loop.create_connection(connect, "127.0.0.1", port)
    await asyncio.gather(*finished)
    load.seconds = time.perf_counter() - started
    return load


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
