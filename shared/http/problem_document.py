"""Problem documents (RFC 9457) as bytes, for servers that answer without the framework; headers of every response."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from shared.call_id import instance_of_call

MEDIA_TYPE = "application/problem+json"
# A browser takes a response for the media type that it has. It never guesses that the response might be a page. It
# gives the response to no page of another origin, not even as a script or an image.
COMMON_HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
# What a page of ours never asks for.
PERMISSIONS = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def page_headers(images: str = "'self'") -> dict[str, str]:
    """The headers of a page, beside COMMON_HEADERS.

    A page runs its own files and connects to its own address: no inline script, nothing from other hosts. No page of
    another origin may have it in a frame, or may hold its window. `images`: where images may come from.
    """
    policy = ["default-src 'none'", *(f"{kind}-src 'self'" for kind in ("script", "style", "font", "connect"))]
    policy += [f"img-src {images}", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in PERMISSIONS),
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }


async def send_document(send: Any, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Answers a problem document where no framework is yet. `send` is ASGI's; the names of `headers` have small
    letters, and come beside the media type and the length."""
    fields = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **headers}
    start = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def document(status: int, code: str, title: str, detail: str, facts: dict[str, Any] | None = None) -> bytes:
    """The JSON of a problem document: `type`, `title`, `status`, `detail`, `code`, and the members of `facts`.

    From 500 on it has `instance`, which names the call, so that whoever is told of it finds it in the log. Below 500 it
    has none: such an answer may be kept for an idempotency key, and is the same for every repeat."""
    body = {"type": f"urn:hourbook:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    if status >= 500:
        body |= instance_of_call()
    return msgspec.json.encode(body | (facts or {}))


class HttpProblem(NamedTuple):
    """A problem document that the server itself answers, without the application. Then it closes the connection."""

    status: int
    code: str
    title: str
    detail: str

    def body(self) -> bytes:
        return document(self.status, self.code, self.title, self.detail)

    def response_bytes(self) -> bytes:
        """The whole response as bytes on the wire, with `Connection: close`."""
        body = self.body()
        fields = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close", **COMMON_HEADERS}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{n}: {v}" for n, v in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def malformed_request(part: str = "request") -> HttpProblem:
    """The problem of bytes that are not HTTP. `part` names where: `request` or `body`."""
    detail = f"the {part} is not valid HTTP/1.1 (RFC 9112); nothing was done"
    return HttpProblem(400, "malformed_request", "The request is not valid HTTP", detail)
