"""Middleware of every HTTP service, between uvicorn and the framework: HEAD, OPTIONS, and bodies with an encoding."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.problem_document import document, send_document

ALLOW = b"allow"


class MethodMiddleware:
    """Answers HEAD with the headers of GET, adds HEAD to `Allow` of OPTIONS, and refuses an encoded body with 415.

    A response to HEAD ends before its body, so that HEAD of an endless stream ends too. A GET passes after one
    comparison.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope.get("method")
        if method == "GET" or method is None:
            return self._app(scope, receive, send)
        if method == "HEAD":
            as_get: Any = {**scope, "method": "GET"}
            return self._app(as_get, receive, send_headers_only(send))
        if method == "OPTIONS":
            return self._app(scope, receive, add_head_to_allow(send))
        if (encoding := body_encoding(scope["headers"])) is not None:
            return refuse_encoding(encoding, send)
        return self._app(scope, receive, send)


def send_headers_only(send: Send) -> Send:
    """A `send` that sends the status and the headers, and drops the body."""
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


def add_head_to_allow(send: Send) -> Send:
    """A `send` that adds HEAD and OPTIONS to the `Allow` header."""

    async def send_with_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, allow_header(value.decode("latin-1").split(",")).encode() if name.lower() == ALLOW else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return send_with_head


def allow_header(methods: Iterable[str]) -> str:
    """The value of `Allow`: the methods, with HEAD if GET is one of them, and with OPTIONS. Empty for no method."""
    known = {method.strip().upper() for method in methods} - {""}
    if "GET" in known:
        known.add("HEAD")
    return ", ".join(sorted(known | {"OPTIONS"})) if known else ""


def body_encoding(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The Content-Encoding; None if there is none, or if it is `identity`."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return value.decode("latin-1")
    return None


async def refuse_encoding(encoding: str, send: Send) -> None:
    """Answers 415 with a problem document."""
    detail = f"the service does not decode Content-Encoding {encoding[:100]!r}; send the body without an encoding"
    body = document(415, "unsupported_encoding", "The service does not decode the body", detail)
    await send_document(send, 415, body, {"accept-encoding": "identity"})
