"""Responses whose body is encoded already, which most of ours are: no rendering, no copying of headers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.types import Receive, Scope, Send

from shared.http.connection_limits import UNTAKEN_TIMEOUT_S
from shared.http.send_memory import UNDER_WAY, Sending
from shared.tasks import end_tasks

T = TypeVar("T")

log = logging.getLogger(__name__)

JSON = "application/json"
PIECE_BYTES = 1024 * 1024  # of a large body; what is shorter, as a month by hour, is sent at once


class Encoded(Response[T]):
    """`body` as it goes out. T is what it decodes to, for the OpenAPI document. Sets no cookies, runs no tasks.

    A body that is longer than a piece goes out piece by piece, and a reader who takes nothing for `patience_s` is left.
    `rest` is what follows `body`, where putting the two together would only copy what others hold too.
    """

    def __init__(
        self,
        body: bytes,
        rest: bytes = b"",
        *,
        status_code: int = 200,
        media_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        patience_s: float = UNTAKEN_TIMEOUT_S,
    ) -> None:
        self.content: Any = body
        self._rest, self._length = rest, len(body) + len(rest)
        self.status_code, self._patience_s = status_code, patience_s
        self._fields = fields_of(media_type, headers)
        if status_code != 304:
            self._fields.append((b"content-length", b"%d" % self._length))

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, __: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": self.status_code, "headers": self._fields}
        if self._length > PIECE_BYTES:
            await send_large(start, self.content, self._rest, self._patience_s, send)
            return
        await send(start)
        body = self.content + self._rest if self._rest else self.content
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Streamed(Encoded[T]):
    """A body that is sent piece by piece as it is made, of any length, holding one piece at a time, and `held` bytes of
    which they are made.

    A reader who takes nothing for `patience_s` is left, and so is one who has gone. A body that cannot be finished is
    broken off, never ended as if it were whole. `on_end` is called when it is over, however.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        patience_s: float = UNTAKEN_TIMEOUT_S,
        held: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.content = b""
        self.status_code, self._patience_s = 200, patience_s
        self._pieces, self._held, self._on_end = pieces, held, on_end
        self._fields = fields_of(media_type, headers)

    async def _send(self, _: Scope, receive: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": 200, "headers": self._fields}
        try:
            await send_pieces(start, self._pieces, self._held, self._patience_s, receive, send)
        finally:
            self._on_end()


async def send_large(start: Any, body: bytes, rest: bytes, patience_s: float, send: Send) -> None:
    """Until all is sent, or its reader takes nothing. Raises TooMuchUnderWay before the first byte."""
    with UNDER_WAY.sending(max(len(body), len(rest))) as place:
        await send(start)
        if len(body) < PIECE_BYTES:
            first = PIECE_BYTES - len(body)
            body, begin = body + rest[:first], first
        else:
            begin = 0
        if await _hand_over(body, 0, place, patience_s, send, last=begin >= len(rest)):
            await _hand_over(rest, begin, place, patience_s, send, last=True)


async def send_pieces(
    start: Any, pieces: AsyncGenerator[bytes], held: int, patience_s: float, receive: Receive, send: Send
) -> None:
    """Until all is sent, the reader has gone, or it takes nothing. Raises TooMuchUnderWay before the first byte."""
    async with contextlib.aclosing(pieces):
        with UNDER_WAY.sending(held) as place:
            sending = asyncio.create_task(_send_pieces(start, pieces, place, patience_s, send))
            leaving = asyncio.create_task(gone(receive))
            try:
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                await end_tasks(sending, leaving)


async def _send_pieces(
    start: Any, pieces: AsyncGenerator[bytes], place: Sending, patience_s: float, send: Send
) -> None:
    await send(start)
    async for piece in pieces:
        if not await _hand_over(piece, 0, place, patience_s, send, last=False):
            return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hand_over(piece: bytes, begin: int, place: Sending, patience_s: float, send: Send, *, last: bool) -> bool:
    """By slices, so that the transport keeps no more than one of them. False when the reader takes nothing."""
    for place_in in range(begin, len(piece), PIECE_BYTES):
        body = piece[place_in : place_in + PIECE_BYTES]
        message: Any = {
            "type": "http.response.body",
            "body": body,
            "more_body": not last or place_in + PIECE_BYTES < len(piece),
        }
        try:
            async with place.handing_over(len(body) if last else len(piece), patience_s):
                await send(message)
        except TimeoutError:
            log.info("a reader took nothing, and is left")
            return False
    return True


async def gone(receive: Receive) -> None:
    """Returns when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def fields_of(media_type: str, headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    """The headers as they go over the wire."""
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    fields = [(b"content-type", (media_type + charset).encode("latin-1"))]
    for name, value in (headers or {}).items():
        fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return fields
