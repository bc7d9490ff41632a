"""Responses whose body is bytes: `EncodedResponse` has the whole body, `StreamedResponse` makes it piece by piece.

They are faster than the framework's own: they render nothing and copy no headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.types import Receive, Scope, Send

from shared.http.connection_limits import SEND_TIMEOUT_S
from shared.http.send_memory import SEND_MEMORY, Transfer
from shared.tasks import end_tasks

T = TypeVar("T")

log = logging.getLogger(__name__)

JSON = "application/json"
PIECE_BYTES = 1024 * 1024  # a longer body is sent in pieces of this size, a shorter one (a month by hour) at once


class EncodedResponse(Response[T]):
    """A response with the bytes `body` and then `rest`. T is the type that they decode to, for the OpenAPI document.

    A body of more than PIECE_BYTES is sent in pieces. The response ends when the client reads nothing for `timeout_s`.
    `rest` saves a copy where two responses share most of their bytes. Cookies and background tasks do not work.
    """

    def __init__(
        self,
        body: bytes,
        rest: bytes = b"",
        *,
        status_code: int = 200,
        media_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.content: Any = body
        self._rest, self._length = rest, len(body) + len(rest)
        self.status_code, self._timeout_s = status_code, timeout_s
        self._fields = header_fields(media_type, headers)
        if status_code != 304:
            self._fields.append((b"content-length", b"%d" % self._length))

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, __: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": self.status_code, "headers": self._fields}
        if self._length > PIECE_BYTES:
            await send_large(start, self.content, self._rest, self._timeout_s, send)
            return
        await send(start)
        body = self.content + self._rest if self._rest else self.content
        await send({"type": "http.response.body", "body": body, "more_body": False})


class StreamedResponse(EncodedResponse[T]):
    """A response of any length that sends each piece when `pieces` makes it. It holds one piece at a time in memory.

    `held` is the size in bytes of the data from which the pieces are made. The response ends when the client leaves, or
    reads nothing for `timeout_s`. An incomplete body ends without its last chunk, so that the client sees an error.
    `on_end` is called at the end in every case.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
        held: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.content = b""
        self.status_code, self._timeout_s = 200, timeout_s
        self._pieces, self._held, self._on_end = pieces, held, on_end
        self._fields = header_fields(media_type, headers)

    async def _send(self, _: Scope, receive: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": 200, "headers": self._fields}
        try:
            await send_pieces(start, self._pieces, self._held, self._timeout_s, receive, send)
        finally:
            self._on_end()


async def send_large(start: Any, body: bytes, rest: bytes, timeout_s: float, send: Send) -> None:
    """Sends `body` and `rest` in pieces. Returns when all is sent, or when the client reads nothing for `timeout_s`.
    Raises TooMuchUnderWay before it sends the first byte."""
    with SEND_MEMORY.transfer(max(len(body), len(rest))) as transfer:
        await send(start)
        if len(body) < PIECE_BYTES:
            first = PIECE_BYTES - len(body)
            body, begin = body + rest[:first], first
        else:
            begin = 0
        if await _send_slices(body, 0, transfer, timeout_s, send, last=begin >= len(rest)):
            await _send_slices(rest, begin, transfer, timeout_s, send, last=True)


async def send_pieces(
    start: Any, pieces: AsyncGenerator[bytes], held: int, timeout_s: float, receive: Receive, send: Send
) -> None:
    """Sends the pieces. Returns when all are sent, when the client has left, or when it reads nothing for `timeout_s`.
    Raises TooMuchUnderWay before it sends the first byte."""
    async with contextlib.aclosing(pieces):
        with SEND_MEMORY.transfer(held) as transfer:
            sending = asyncio.create_task(_send_pieces(start, pieces, transfer, timeout_s, send))
            leaving = asyncio.create_task(client_left(receive))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                await end_tasks(sending, leaving)


async def _send_pieces(
    start: Any, pieces: AsyncGenerator[bytes], transfer: Transfer, timeout_s: float, send: Send
) -> None:
    await send(start)
    async for piece in pieces:
        if not await _send_slices(piece, 0, transfer, timeout_s, send, last=False):
            return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_slices(
    piece: bytes, begin: int, transfer: Transfer, timeout_s: float, send: Send, *, last: bool
) -> bool:
    """Sends `piece` from `begin` on, in slices of PIECE_BYTES, so that the transport buffers one slice at most. `last`
    ends the response. Returns False when the client reads nothing for `timeout_s`."""
    for offset in range(begin, len(piece), PIECE_BYTES):
        body = piece[offset : offset + PIECE_BYTES]
        message: Any = {
            "type": "http.response.body",
            "body": body,
            "more_body": not last or offset + PIECE_BYTES < len(piece),
        }
        try:
            async with transfer.sending_piece(len(body) if last else len(piece), timeout_s):
                await send(message)
        except TimeoutError:
            log.info("a client read nothing of its response in time; the response ends")
            return False
    return True


async def client_left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def header_fields(media_type: str, headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    """The headers as ASGI has them, without Content-Length."""
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    fields = [(b"content-type", (media_type + charset).encode("latin-1"))]
    for name, value in (headers or {}).items():
        fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return fields
