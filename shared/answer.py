"""Responses whose body is encoded already, which most of ours are: no rendering, no copying of headers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.types import Receive, Scope, Send

from shared.stopping import end_tasks

T = TypeVar("T")

log = logging.getLogger(__name__)

JSON = "application/json"
PATIENCE_S = 60.0


class Encoded(Response[T]):
    """`body` as it goes out. T is what it decodes to, for the OpenAPI document. Sets no cookies, runs no tasks."""

    def __init__(
        self, body: bytes, *, status_code: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self.content: Any = body
        self.status_code = status_code
        self._fields = fields_of(media_type, headers)
        if status_code != 304:
            self._fields.append((b"content-length", b"%d" % len(body)))

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, __: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": self.status_code, "headers": self._fields}
        await send(start)
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


class Streamed(Response[T]):
    """A body that is sent piece by piece as it is made, of any length, holding one piece at a time.

    A reader who takes nothing for `patience_s` is left, and so is one who has gone. A body that cannot be finished is
    broken off, never ended as if it were whole.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._pieces, self._patience_s = pieces, patience_s
        self._fields = fields_of(media_type, headers)
        self.status_code = 200

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, receive: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": 200, "headers": self._fields}
        sending = asyncio.create_task(self._send_pieces(start, send))
        leaving = asyncio.create_task(gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            await end_tasks(sending, leaving)
            await self._pieces.aclose()

    async def _send_pieces(self, start: Any, send: Send) -> None:
        await send(start)
        async with contextlib.aclosing(self._pieces):
            async for piece in self._pieces:
                try:
                    async with asyncio.timeout(self._patience_s):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                except TimeoutError:
                    log.info("a reader took nothing for %.0f s, and is left", self._patience_s)
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
