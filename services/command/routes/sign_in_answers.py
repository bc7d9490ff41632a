"""What signing in answers to a browser: cookies, redirects, and a plain page where it did not work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import escape
from string import Template
from typing import Any

import msgspec
from litestar import MediaType, Response
from litestar.datastructures import Cookie

from services.command.routes.headers import AnyRequest
from shared.errors import HourbookError
from shared.http.problem_document import page_headers
from shared.http.problems import hourbook_error
from shared.http.responses import JSON
from shared.identity import attempts
from shared.identity.attempts import Attempt
from shared.identity.credentials import COOKIE
from shared.identity.sessions import NewSession


def _cookie(name: str, value: str, lasts_s: int) -> Cookie:
    """A cookie that no script reads and that only this host gets. `Lax`: it comes along when a link leads here."""
    return Cookie(name, value=value, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="lax")


NO_STORE = {"Cache-Control": "no-store"}
PAGE = Template(
    """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title - Hourbook</title>
<h1>$title</h1>
<p>$detail.</p>
<p><a href="$again">Sign in again</a>, or <a href="/">go to the page</a>.</p>
"""
)


async def shown(request: AnyRequest, work: Callable[[], Awaitable[Response[Any]]], again: str) -> Response[Any]:
    """What `work` answers. An error becomes a page for a browser that goes to this address, and a problem document for
    a program. The page has only words of our own: nothing that the address or the issuer says."""
    try:
        return await work()
    except HourbookError as error:
        if "text/html" not in request.headers.get("Accept", ""):
            answer = hourbook_error(request, error)
            answer.headers.update(NO_STORE)
            return answer
        words = {"title": error.title, "detail": error.detail.rstrip("."), "again": again}
        page = PAGE.substitute({name: escape(text) for name, text in words.items()})
        headers = {**page_headers(), **NO_STORE} | ({"Retry-After": "1"} if error.status == 503 else {})
        return Response(page.encode(), status_code=error.status, media_type="text/html; charset=utf-8", headers=headers)


def gone_to(address: str, *cookies: Cookie) -> Response[Any]:
    """Sends the browser to another address."""
    headers = {"Location": address, **NO_STORE}
    return Response("", status_code=303, media_type=MediaType.TEXT, headers=headers, cookies=cookies)


def answered(body: Any, *cookies: Cookie) -> Response[Any]:
    return Response(msgspec.json.encode(body), media_type=JSON, status_code=200, headers=NO_STORE, cookies=cookies)


def session_cookie(session: NewSession) -> Cookie:
    lasts = session.expires - datetime.now(UTC)
    return _cookie(COOKIE, session.secret, int(lasts.total_seconds()))


def attempt_cookie(attempt: Attempt) -> Cookie:
    return _cookie(attempts.COOKIE, attempt.cookie(), attempts.LASTS_S)


NO_SESSION = _cookie(COOKIE, "", 0)
NO_ATTEMPT = _cookie(attempts.COOKIE, "", 0)
