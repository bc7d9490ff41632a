"""Hourbook's HTTP interface, for the commands that use it as any other program would."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from services.cli.failure import Failure

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 20.0
TRIES, TRY_AGAIN_S = 10, 1.0
NOT_YET = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
REPEATED = "Idempotent-Replayed"
UNUSABLE = (ClientError, OSError, TimeoutError, ValueError)


class Done(msgspec.Struct):
    """What a command answers, or the problem with it; of a dry run whether it would be `accepted`."""

    id: str = ""
    position: int = 0
    detail: str = ""
    code: str = ""
    accepted: bool = True
    problem: dict[str, Any] | None = None


class Client:
    """Sends commands until their outcome is known, and reads. As a context, it has a session of its own."""

    def __init__(self, url: str, actor: str, try_again_s: float = TRY_AGAIN_S) -> None:
        self.url = url.rstrip("/")
        self._actor, self._try_again_s, self._run = actor, try_again_s, uuid4().hex

    async def __aenter__(self) -> Client:
        self._session = ClientSession(timeout=ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: Mapping[str, Any], key: str | None = None) -> tuple[int, Done]:
        """The status and the answer, whatever it is. With a key, sending it again is safe.

        A key outlives the program that sends it: what was refused of an earlier run is asked anew, with a key of this.
        """
        headers = {"X-Hourbook-Actor": self._actor} | ({} if key is None else {"Idempotency-Key": key})
        status, answered, is_repeat = await self._until_known("POST", path, json=body, headers=headers)
        if is_repeat and status >= HTTPStatus.BAD_REQUEST:
            headers["Idempotency-Key"] = f"{key}:{self._run}"
            status, answered, _ = await self._until_known("POST", path, json=body, headers=headers)
        return status, decoded(answered)

    async def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        status, answered, _ = await self._until_known("GET", path, params=query)
        return status, answered

    async def _until_known(self, method: str, path: str, **request: Any) -> tuple[int, bytes, bool]:
        """The status, the body, and whether it was answered before."""
        for attempt in range(TRIES):
            async with self._session.request(method, self.url + path, **request) as answer:
                status, answered, is_repeat = answer.status, await answer.read(), REPEATED in answer.headers
            if status not in NOT_YET or attempt == TRIES - 1:
                break
            await asyncio.sleep(self._try_again_s)
        return status, answered, is_repeat


def decoded(body: bytes) -> Done:
    try:
        return msgspec.json.decode(body, type=Done)
    except msgspec.DecodeError:
        return Done(detail=body[:200].decode(errors="replace"))


def unusable(url: str, error: Exception) -> Failure:
    words = str(error) or type(error).__name__
    return Failure(f"{url} cannot be used: {words}. Does `hourbook up` run? --url says where")
