"""A TCP proxy that breaks a conversation at a chosen word: a process is then killed at a known moment, not by luck."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal, Self
from urllib.parse import urlsplit

OVERLAP = 200  # what is kept of what was said: a word may come in two pieces
Withhold = Literal["request", "answer", "one answer", "until released"]


class Proxy:
    """`arm` it, and the first connection on which the client says all `words`, in their order, is struck: from the last
    one on the server does not hear the client any more ("request"), the client does not hear the server any more
    ("answer"), or it misses one answer ("one answer"). Or the last word comes late ("until released"): the server hears
    it, and all that follows, after `release`. All other connections, and all later ones, pass."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._words: tuple[bytes, ...] = ()
        self._withhold: Withhold = "answer"
        self.struck = asyncio.Event()
        self._released = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        """The server's address, by way of this proxy."""
        user, at, _ = self._url.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        return self._url._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()

    def arm(self, withhold: Withhold, *words: bytes) -> None:
        self._words, self._withhold = words, withhold
        self.struck.clear()
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        assert self._url.hostname is not None
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            upstream = await asyncio.open_connection(self._url.hostname, self._url.port)
            answers = _Answers(upstream[0], writer)
            pumps = [
                asyncio.create_task(self._requests(reader, upstream[1], answers)),
                asyncio.create_task(answers.run()),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                for end in (writer, upstream[1]):
                    end.close()
                    with contextlib.suppress(OSError, TimeoutError):
                        async with asyncio.timeout(1):
                            await end.wait_closed()
        self._connections.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, answers: _Answers) -> None:
        said, wanted, missing = b"", self._words, list(self._words)
        while data := await reader.read(1 << 16):
            if wanted is not self._words:
                said, wanted, missing = b"", self._words, list(self._words)
            said += data
            while missing and missing[0] in said:
                said = said.partition(missing.pop(0))[2]
            said = said[-OVERLAP:]
            if wanted and not missing:
                self._words = ()
                if self._withhold == "until released":
                    self.struck.set()
                    await self._released.wait()
                else:
                    answers.withhold = self._withhold
                if self._withhold == "request":
                    self.struck.set()
                    while await reader.read(1 << 16):  # until the client is gone; then the server hears of that
                        pass
                    return
                server.write(data)
                await server.drain()
                self.struck.set()
                continue
            server.write(data)
            await server.drain()


class _Answers:
    """What a server says, on its way to the client."""

    def __init__(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._server, self._client = server, client
        self.withhold: Withhold | None = None

    async def run(self) -> None:
        while data := await self._server.read(1 << 16):
            if self.withhold == "answer":
                continue
            if self.withhold == "one answer":
                self.withhold = None
                continue
            self._client.write(data)
            await self._client.drain()
