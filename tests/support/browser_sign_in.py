"""A browser that signs in on the page, as far as HTTP goes: cookies by hand, one redirect at a time."""

from __future__ import annotations

import asyncio
import re
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

PUBLIC = "https://hourbook.example.org"


class Browser:
    """Keeps the cookies of Hourbook, and goes where it is sent only when a test says so."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._send("GET", path, None, headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self._send("POST", path, body, headers)

    async def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        self.client.cookies.clear()
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named = {"Cookie": sent, **headers} if sent else headers
        answer = await self.client.request(method, path, json=body, headers=named, follow_redirects=False)
        for name, (value, lasts) in cookies_of(answer).items():
            if lasts == 0:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


def cookies_of(answer: httpx.Response) -> dict[str, tuple[str, int]]:
    """The cookies that an answer sets: value and Max-Age, by name."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        for name, morsel in SimpleCookie(line).items():
            found[name] = morsel.value, int(morsel["max-age"])
    return found


def path_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def at_provider(address: str, user: str, password: str) -> str:
    """Signs in with Canaille's own forms, at the address to which Hourbook sends the browser. Returns the address to
    which Canaille sends it back."""
    with httpx.Client(follow_redirects=True, timeout=30) as http:
        page = http.get(address)
        for fields in ({"login": user}, {"password": password}, {"answer": "accept"}):
            if (back := _back(page)) is not None:
                return back
            page = http.post(page.url, data={**hidden(page.text), **fields}, follow_redirects=False)
            while page.is_redirect and _back(page) is None:
                page = http.get(page.url.join(page.headers["location"]), follow_redirects=False)
        back = _back(page)
        assert back is not None, page.text
        return back


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's form, such as its token against forgery."""
    return dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*type="hidden"[^>]*value="([^"]*)"', page))


def _back(answer: httpx.Response) -> str | None:
    location = answer.headers.get("location", "")
    return location if location.startswith(PUBLIC) else None


async def sign_in(browser: Browser, user: str, to: str = "/") -> httpx.Response:
    """Signs a user in, whose password is the name, twice. Returns the last answer, which has the session's cookie."""
    begun = await browser.get(f"/sign-in/iam?{urlencode({'to': to})}", Host="hourbook.example.org")
    assert begun.status_code == 303, begun.text
    back = await asyncio.to_thread(at_provider, begun.headers["location"], user, user * 2)
    return await browser.get(path_of(back))
