"""A response whose body is encoded already, which most of ours are: no rendering, no copying of headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.types import Receive, Scope, Send

T = TypeVar("T")

JSON = "application/json"


class Encoded(Response[T]):
    """`body` as it goes out. T is what it decodes to, for the OpenAPI document. Sets no cookies, runs no tasks."""

    def __init__(
        self, body: bytes, *, status_code: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self.content: Any = body
        self.status_code = status_code
        charset = "; charset=utf-8" if media_type.startswith("text/") else ""
        self._fields = [(b"content-type", (media_type + charset).encode("latin-1"))]
        if status_code != 304:
            self._fields.append((b"content-length", b"%d" % len(body)))
        if headers:
            self._fields += [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ]

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, __: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": self.status_code, "headers": self._fields}
        await send(start)
        await send({"type": "http.response.body", "body": self.content, "more_body": False})
