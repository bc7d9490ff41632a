"""The HTTP client of `demo`, `import` and `sync`. They use the same interface as any other program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import ClientError, ClientSession, ClientSSLError, ClientTimeout, TCPConnector

from services.cli.failure import Failure
from shared.http.tls import CA_FILE, client_context

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 20.0
TRIES, TRY_AGAIN_S = 10, 1.0
UNAVAILABLE = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
REPLAYED = "Idempotent-Replayed"
CONNECTION_ERRORS = (ClientError, OSError, TimeoutError, ValueError)


class CommandAnswer(msgspec.Struct):
    """The answer to a command, or its problem document. A dry run answers `accepted` and perhaps a `problem`."""

    id: str = ""
    position: int = 0
    detail: str = ""
    code: str = ""
    accepted: bool = True
    problem: dict[str, Any] | None = None


class Client:
    """Sends commands and reads. Repeats a request while a service starts. Use it as an async context manager."""

    def __init__(self, url: str, actor: str, try_again_s: float = TRY_AGAIN_S) -> None:
        self.url = url.rstrip("/")
        self._actor, self._try_again_s, self._run = actor, try_again_s, uuid4().hex

    async def __aenter__(self) -> Client:
        self._session = ClientSession(connector=connector(), timeout=ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> tuple[int, CommandAnswer]:
        """Sends a command. Answers the status and the body, also of a refusal.

        `key` is the Idempotency-Key. The server stores refusals too: when it replays the refusal of an earlier run, the
        command is sent again with a key of this run.
        """
        headers = {"X-Hourbook-Actor": self._actor} | ({} if key is None else {"Idempotency-Key": key})
        status, answered, is_repeat = await self._send("POST", path, json=body, headers=headers)
        if is_repeat and status >= HTTPStatus.BAD_REQUEST:
            headers["Idempotency-Key"] = f"{key}:{self._run}"
            status, answered, _ = await self._send("POST", path, json=body, headers=headers)
        return status, decoded(answered)

    async def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and the body."""
        status, answered, _ = await self._send("GET", path, params=query)
        return status, answered

    async def _send(self, method: str, path: str, **request: Any) -> tuple[int, bytes, bool]:
        """The status, the body, and whether it is the replay of an earlier answer. Sends again on 502 and 503."""
        for attempt in range(TRIES):
            async with self._session.request(method, self.url + path, **request) as answer:
                status, answered, is_repeat = answer.status, await answer.read(), REPLAYED in answer.headers
            if status not in UNAVAILABLE or attempt == TRIES - 1:
                break
            await asyncio.sleep(self._try_again_s)
        return status, answered, is_repeat


def decoded(body: bytes) -> CommandAnswer:
    try:
        return msgspec.json.decode(body, type=CommandAnswer)
    except msgspec.DecodeError:
        return CommandAnswer(detail=body[:200].decode(errors="replace"))


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
    reason = str(error) or type(error).__name__
    if isinstance(error, ClientSSLError):
        return Failure(f"cannot use {url}: {reason}. {CA_FILE} names the file of an authority of your own")
    return Failure(f"cannot use {url}: {reason}. Does `hourbook up` run? --url names another address")
