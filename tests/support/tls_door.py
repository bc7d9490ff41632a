"""TLS before a PostgreSQL that has none, as PostgreSQL itself speaks it: the embedded server is built without TLS.

Inside of the TLS it is the real server. A connection that asks for no TLS is answered as a server with only `hostssl`
lines in its pg_hba.conf answers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from typing import Self

SSL_REQUEST = 80877103
FIELDS = (b"SFATAL", b"VFATAL", b"C28000", b'Mno pg_hba.conf entry for host "127.0.0.1", no encryption')


class TlsDoor:
    """A port of the loopback interface. It runs in a thread, beside whatever the test does."""

    def __init__(self, server_port: int, context: ssl.SSLContext) -> None:
        self._server_port, self._context = server_port, context
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accepted, "127.0.0.1", 0), self._loop
        ).result()
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            _, code = struct.unpack(">II", await reader.readexactly(8))
            if code == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self._context)
                await self._pass_on(reader, writer)
            else:
                body = b"\0".join(FIELDS) + b"\0\0"
                writer.write(b"E" + struct.pack(">I", len(body) + 4) + body)
                await writer.drain()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end, and closes the other side then."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
