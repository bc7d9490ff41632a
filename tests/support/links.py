"""The network between a process and a server: a TCP proxy that can be cut, with a word or in silence, and mended."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Literal, Self

Cut = Literal["closed", "silent"]
PIECE = 1 << 16
ON_LOOPBACK = re.compile(r"127\.0\.0\.1:(\d+)")


class Link:
    """Leads to a port of the loopback interface, until it is cut.

    closed  all connections are reset, and new ones are too
    silent  nothing is heard from either side, as from a machine that is gone. What was sent arrives after the mending,
            as TCP sends it again
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._closed = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, how: Cut) -> None:
        if how == "silent":
            self._passes.clear()
            return
        self._closed = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._closed = False
        self._passes.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._passes.wait()
            if not self._closed:
                await self._passed_on(reader, writer)
        writer.transport.abort()
        self._writers.discard(writer)
        self._tasks.discard(task)

    async def _passed_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(to_server)
        ways = ((reader, to_server), (from_server, writer))
        pumps = [asyncio.create_task(self._pump(source, sink)) for source, sink in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(to_server)
            to_server.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(PIECE):
            await self._passes.wait()
            sink.write(data)
            await sink.drain()
        await self._passes.wait()  # the end is not heard of either


class Links:
    """The links of one process: one to each port that it may talk to."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def through(self, url: str) -> str:
        """The address with each port of the loopback interface replaced by that of a link to it."""
        for port in {int(port) for port in ON_LOOPBACK.findall(url)}:
            if port not in self._links:
                self._links[port] = await self._open.enter_async_context(Link(port))
        return ON_LOOPBACK.sub(lambda found: f"127.0.0.1:{self._links[int(found[1])].port}", url)

    def to(self, url: str) -> list[Link]:
        """The links to the servers that an address names."""
        return [self._links[int(port)] for port in ON_LOOPBACK.findall(url) if int(port) in self._links]
