"""Requests to issuers, with limits: a time, a size, no redirects, no cookies, checked certificates."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

TIMEOUT_S = 5.0
BODY_MAX = 1024 * 1024  # bytes
CONNECTIONS = 20


class FetchFailed(Exception):
    """The issuer did not answer, or not as it should. The message is for the log."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Fetcher:
    """Sends requests. It makes its connections at the first request; `close` ends them.

    `ca_file` has the certificates (PEM) of the only authorities that it trusts; None: it trusts those of the system.
    """

    def __init__(self, ca_file: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._ca_file, self._timeout = ca_file, ClientTimeout(total=timeout_s)
        self._session: ClientSession | None = None
        self._closed = False

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer, whatever its status is: a redirect is an answer, too, and not followed. Raises FetchFailed."""
        return await self._send("GET", url, headers, None)

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> Answer:
        """The answer to a form, as `get`. Raises FetchFailed."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await self._send("POST", url, {**headers, **kind}, form.encode())

    async def _send(self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None) -> Answer:
        try:
            session = self._open()
            async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                return Answer(answer.status, await _body(answer))
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise FetchFailed(f"{url}: {type(error).__name__} {error}"[:300].rstrip()) from None

    async def get_document(self, url: str) -> bytes:
        """The body of an answer 200. Raises FetchFailed."""
        answer = await self.get(url)
        if answer.status != 200:
            raise FetchFailed(f"{url} answered {answer.status}")
        return answer.body

    async def close(self) -> None:
        """Ends the connections. Every later request fails."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> ClientSession:
        if self._closed:
            raise ValueError("the service ends")
        if self._session is None:
            trust = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True
            self._session = ClientSession(
                connector=TCPConnector(limit=CONNECTIONS, ssl=trust),
                timeout=self._timeout,
                cookie_jar=DummyCookieJar(),
                headers={"accept": "application/json", "accept-encoding": "identity"},
            )
        return self._session


async def _body(answer: ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_chunked(64 * 1024):
        body += part
        if len(body) > BODY_MAX:
            raise ValueError(f"the answer is longer than {BODY_MAX} bytes")
    return bytes(body)
