"""HTTP as bytes, for what no client sends."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

BOUND_S = 20
# What is no request of HTTP/1.1; each is answered as such, and its connection is closed.
MALFORMED = {
    "no method of HTTP": b"FOO /read HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /read HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "NUL in the path": b"GET /re\0ad HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": b"GET /read HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "a path of bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a length and chunks": b"POST /write HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length that is none": b"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: two\r\n\r\n{}",
    "a bad chunk": b"POST /write HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a header without a name": b"GET /read HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
    "CONNECT": b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json", self
        problem: dict[str, Any] = msgspec.json.decode(self.body)
        assert problem["status"] == self.status
        return problem


class Wire:
    """A connection. `ended` waits until the server has closed it, and fails when it does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        async with asyncio.timeout(BOUND_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            fields = (line.partition(":") for line in head[1:-1])
            headers = {name.lower(): value.strip() for name, _, value in fields}
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Answer(int(head[0].split()[1]), headers, await self._reader.readexactly(length))

    async def line(self) -> bytes:
        async with asyncio.timeout(BOUND_S):
            return await self._reader.readline()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(BOUND_S):
            return await self._reader.readuntil(end)

    async def ended(self) -> bytes:
        """What came before the end."""
        rest = b""
        async with asyncio.timeout(BOUND_S):
            try:
                while piece := await self._reader.read(65536):
                    rest += piece
            except ConnectionError:
                pass
        return rest


async def wire(url: str) -> Wire:
    parts = urlsplit(url)
    return Wire(*await asyncio.open_connection(parts.hostname, parts.port))


async def asked(url: str, data: bytes, *, bodiless: bool = False) -> Answer:
    """The answer to one request, on a connection of its own."""
    async with await wire(url) as connection:
        await connection.send(data)
        return await connection.answer(bodiless=bodiless)
