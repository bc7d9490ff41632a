"""Problem documents (RFC 9457) as bytes, for servers that answer without the framework; headers of every response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

MEDIA_TYPE = "application/problem+json"
# A browser takes a response for the media type that it has. It never guesses that the response might be a page.
COMMON_HEADERS = {"X-Content-Type-Options": "nosniff"}
# A page runs its own files and connects to its own address. It runs no inline script and nothing from other hosts.
CONTENT_SECURITY_POLICY = "; ".join(
    ("default-src 'self'", "base-uri 'none'", "object-src 'none'", "form-action 'none'", "frame-ancestors 'none'")
)


def page_headers(policy: str = CONTENT_SECURITY_POLICY) -> dict[str, str]:
    """The headers of a page, beside COMMON_HEADERS."""
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}


def document(status: int, code: str, title: str, detail: str, facts: dict[str, Any] | None = None) -> bytes:
    """The JSON of a problem document: `type`, `title`, `status`, `detail`, `code`, and the members of `facts`."""
    body = {"type": f"urn:hourbook:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
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
