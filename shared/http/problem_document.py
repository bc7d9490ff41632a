"""The problem document (RFC 9457) as bytes, for whoever answers without the framework; what every answer says."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

MEDIA_TYPE = "application/problem+json"
# A browser takes an answer for what it is called, and never guesses that it might be a page.
EVERY_ANSWER = {"X-Content-Type-Options": "nosniff"}
# A page runs its own files and speaks to its own address; nothing inline, nothing from elsewhere.
POLICY = "; ".join(
    ("default-src 'self'", "base-uri 'none'", "object-src 'none'", "form-action 'none'", "frame-ancestors 'none'")
)


def page_headers(policy: str = POLICY) -> dict[str, str]:
    """What a page's answer says beside what every answer does."""
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}


def document(status: int, code: str, title: str, detail: str, facts: dict[str, Any] | None = None) -> bytes:
    """`type`, `title`, `status`, `detail`, `code`, and the facts of the error."""
    body = {"type": f"urn:hourbook:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return msgspec.json.encode(body | (facts or {}))


class Refusal(Exception):
    """Why a connection is answered and closed, without anybody having been asked."""

    def __init__(self, status: int, code: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.detail = status, code, title, detail

    def body(self) -> bytes:
        return document(self.status, self.code, self.title, self.detail)

    def answer(self) -> bytes:
        """The whole answer as it goes over the wire; it says that the connection closes."""
        body = self.body()
        fields = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close", **EVERY_ANSWER}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{n}: {v}" for n, v in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def malformed(why: str) -> Refusal:
    return Refusal(400, "malformed_request", "This is no HTTP request", why)
