"""The HTTP client of the command line. It uses the same interface as any other program.

Where people sign in, it sends the caller's credential, to the address that was given and to no other.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientOSError,
    ClientPayloadError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    ServerDisconnectedError,
    TCPConnector,
)

from services.cli.credential import TOKEN, TOKEN_FILE, Headers, credential_headers
from services.cli.failure import Failure, NotAllowed
from shared.errors import words_of
from shared.http.host_names import is_loopback_host
from shared.http.tls import CA_FILE, client_context

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 20.0
QUIET_S = 60.0  # a stream has a heartbeat every 15 seconds
TRIES, TRY_AGAIN_S = 10, 1.0
UNAVAILABLE = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
FORBIDDEN = "forbidden"
REPLAYED = "Idempotent-Replayed"
KEY = "Idempotency-Key"
BROKEN = (ClientOSError, ServerDisconnectedError, ClientPayloadError)  # the connection broke: its service ended
REDIRECTS = range(300, 400)
# What to do about a 401, by whether a credential was sent.
HOW = {
    False: f"Put a token into {TOKEN}, or its file into {TOKEN_FILE}; `hourbook token create` makes one",
    True: f"Look at {TOKEN} or {TOKEN_FILE}; `hourbook token list` shows which tokens are valid",
}
CONNECTION_ERRORS = (ClientError, OSError, TimeoutError, ValueError)


class CommandAnswer(msgspec.Struct):
    """The answer to a command, or its problem document. A dry run answers `accepted` and perhaps a `problem`."""

    id: str = ""
    position: int = 0
    detail: str = ""
    code: str = ""
    accepted: bool = True
    needs: str | None = None
    pool: str | None = None
    problem: dict[str, Any] | None = None


class StreamRefused(Exception):
    """A stream does not begin: the status and the body say why."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class NotSignedIn(NotAllowed):
    """Hourbook does not know who asks."""


class Client:
    """Sends commands and reads. Repeats a request while a service starts. Use it as an async context manager.

    `credential` are the headers that sign a request; None: those of HOURBOOK_TOKEN or HOURBOOK_TOKEN_FILE. `renew`
    gets new ones, in a thread: it is called when Hourbook does not take the credential any more, once for each request.
    Every method raises NotSignedIn if Hourbook does not take them, and Failure if it sends the request on to another
    address.
    """

    def __init__(
        self,
        url: str,
        actor: str,
        try_again_s: float = TRY_AGAIN_S,
        credential: Headers | None = None,
        renew: Callable[[], Headers] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._credential = credential_headers(os.environ) if credential is None else credential
        self._actor, self._try_again_s, self._run = actor, try_again_s, uuid4().hex
        self._renew = renew

    async def __aenter__(self) -> Client:
        if self._credential and not is_private(self.url):
            print(f"hourbook: {self.url} is not https: whoever listens on the way can read the token", file=sys.stderr)
        self._session = ClientSession(connector=connector(), timeout=ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> tuple[int, CommandAnswer]:
        """Sends a command. Answers the status and the body, also of a refusal.

        `key` is the Idempotency-Key. The server stores refusals too: when it replays the refusal of an earlier run, the
        command is sent again with a key of this run.
        """
        headers = {"X-Hourbook-Actor": self._actor} | ({} if key is None else {KEY: key})
        status, answered, is_repeat = await self._send("POST", path, json=body, headers=headers)
        if is_repeat and status >= HTTPStatus.BAD_REQUEST:
            headers[KEY] = f"{key}:{self._run}"
            status, answered, _ = await self._send("POST", path, json=body, headers=headers)
        return status, decoded(answered)

    async def send(self, path: str, body: Mapping[str, Any] | None, key: str) -> tuple[int, bytes]:
        """Sends a command with this Idempotency-Key. The status and the body, also of a refusal. Whoever calls it sends
        the command again if the connection breaks."""
        headers = {"X-Hourbook-Actor": self._actor, KEY: key}
        status, answered, _ = await self._send("POST", path, json=body, headers=headers, is_sent_again=False)
        return status, answered

    async def dry_run(self, path: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
        """What a command would do. The status and the body."""
        headers = {"X-Hourbook-Actor": self._actor}
        status, answered, _ = await self._send("POST", path, json=body, headers=headers, params={"dry_run": "true"})
        return status, answered

    async def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and the body."""
        status, answered, _ = await self._send("GET", path, params=query)
        return status, answered

    async def events(self, path: str, query: Mapping[str, str]) -> AsyncIterator[tuple[str, bytes]]:
        """The server-sent events of a stream, each with its id; a heartbeat has no data. Raises StreamRefused."""
        timeout = ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=QUIET_S)
        async with self._session.get(
            self.url + path, params=query, headers=self._credential, allow_redirects=False, timeout=timeout
        ) as answer:
            if answer.status != HTTPStatus.OK:
                body = await answer.read()
                self._check(answer.status, body, answer.headers.get("Location", ""))
                raise StreamRefused(answer.status, body)
            number, data = "", b""
            async for line in answer.content:
                name, _, value = line.rstrip(b"\r\n").partition(b": ")
                if name == b"id":
                    number = value.decode()
                elif name == b"data":
                    data += value
                elif not name and number:
                    yield number, data
                    number, data = "", b""

    async def _send(
        self, method: str, path: str, headers: Headers | None = None, is_sent_again: bool = True, **request: Any
    ) -> tuple[int, bytes, bool]:
        """The status, the body, and whether it is the replay of an earlier answer. Sends again on 502 and 503. If
        `is_sent_again`, does so too when the connection breaks: with a read, and a command that has a key."""
        is_renewed = self._renew is None
        is_sent_again = is_sent_again and (method == "GET" or KEY in (headers or {}))
        for attempt in range(TRIES):
            signed = {**(headers or {}), **self._credential}
            try:
                async with self._session.request(
                    method, self.url + path, headers=signed, allow_redirects=False, **request
                ) as answer:
                    status, answered, is_repeat = answer.status, await answer.read(), REPLAYED in answer.headers
                    location = answer.headers.get("Location", "")
            except BROKEN as error:
                if not is_sent_again or attempt == TRIES - 1 or isinstance(error, ClientConnectorError):
                    raise
                await asyncio.sleep(self._try_again_s)
                continue
            if status == HTTPStatus.UNAUTHORIZED and self._renew is not None and not is_renewed:
                self._credential, is_renewed = await asyncio.to_thread(self._renew), True
                continue
            self._check(status, answered, location)
            if status not in UNAVAILABLE or attempt == TRIES - 1:
                break
            await asyncio.sleep(self._try_again_s)
        return status, answered, is_repeat

    def _check(self, status: int, answered: bytes, location: str) -> None:
        if status in REDIRECTS:
            raise Failure(f"{self.url} sends requests on to {location[:200]}: give that address, with --url")
        if status == HTTPStatus.UNAUTHORIZED:
            raise NotSignedIn(f"{self.url}: {decoded(answered).detail}. {HOW[bool(self._credential)]}")


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to the address."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback_host(parts.hostname or "")


def decoded(body: bytes) -> CommandAnswer:
    """The answer in a body. If a role is missing, its `detail` also says who can give it."""
    try:
        answer = msgspec.json.decode(body, type=CommandAnswer)
    except msgspec.DecodeError:
        return CommandAnswer(detail=body[:200].decode(errors="replace"))
    answer.detail = with_hint(answer.detail, answer.code, answer.needs, answer.pool)
    return answer


def with_hint(detail: str, code: str, needs: str | None, pool: str | None) -> str:
    """The detail of a problem; if a role is missing, also who gives it."""
    if code == FORBIDDEN and needs and pool:
        return f"{detail}; an admin gives it with `hourbook roles grant {pool} {needs} MEMBER`"
    return detail


def connector() -> TCPConnector:
    """Connections that trust the certificates' authorities in HOURBOOK_CA_FILE, or those of the system. Raises
    Failure if the file cannot be used."""
    file = os.environ.get(CA_FILE, "")
    try:
        return TCPConnector(ssl=client_context(file))
    except OSError as error:  # ssl.SSLError is one
        raise Failure(f"{CA_FILE}: {file} is not a file of certificates in PEM: {error}") from None


def cannot_connect(url: str, error: Exception) -> Failure:
    """The failure to show when `error`, one of CONNECTION_ERRORS, came from the server at `url`."""
    reason = words_of(error)
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        reason = "nothing listens there"
    if isinstance(error, ClientSSLError):
        return Failure(f"cannot use {url}: {reason}. {CA_FILE} names the file of an authority of your own")
    return Failure(f"cannot use {url}: {reason}. Does `hourbook up` run? --url names another address")
