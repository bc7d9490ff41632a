"""What every HTTP service of ours does alike, before the framework: HEAD, OPTIONS, and bodies in an encoding."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problem_document import MEDIA_TYPE, document

ALLOW = b"allow"


class Methods:
    """A plain function between the server and the application: a GET costs it one comparison.

    HEAD is GET without its body (the server sends none), and ends where the body would begin, so an answer that would
    go on for ever is none here. OPTIONS says HEAD too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope.get("method")
        if method == "GET" or method is None:
            return self._app(scope, receive, send)
        if method == "HEAD":
            as_get: Any = {**scope, "method": "GET"}
            return self._app(as_get, receive, head_only(send))
        if method == "OPTIONS":
            return self._app(scope, receive, with_head(send))
        if (encoding := encoding_of(scope["headers"])) is not None:
            return refuse_encoding(encoding, send)
        return self._app(scope, receive, send)


def head_only(send: Send) -> Send:
    ended = False

    async def send_head(message: Message) -> None:
        nonlocal ended
        if ended:
            return
        await send(message)
        if message["type"] == "http.response.start":
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head


def with_head(send: Send) -> Send:
    async def send_with_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, allowing(value.decode("latin-1").split(",")).encode() if name.lower() == ALLOW else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return send_with_head


def allowing(methods: Iterable[str]) -> str:
    """The value of Allow: who answers GET answers HEAD, and every path answers OPTIONS."""
    known = {method.strip().upper() for method in methods} - {""}
    if "GET" in known:
        known.add("HEAD")
    return ", ".join(sorted(known | {"OPTIONS"})) if known else ""


def encoding_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The encoding of the body, where it is one."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return value.decode("latin-1")
    return None


async def refuse_encoding(encoding: str, send: Send) -> None:
    detail = f"Content-Encoding: {encoding[:100]!r} is not read here; send the body as it is"
    body = document(415, "unsupported_encoding", "The body is in an encoding that is not read here", detail)
    fields = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Accept-Encoding": "identity"}
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    start: Any = {"type": "http.response.start", "status": 415, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
