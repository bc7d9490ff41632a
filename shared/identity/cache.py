"""Verified credentials in memory, and calls that several requests share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

from shared.identity.errors import InvalidCredential
from shared.identity.verifying import Verified

MEMBERS_MAX = 200_000  # names of people and groups in all entries together: about 30 MB
WRONG_MAX = 20_000
WRONG_S = 5.0  # how long a wrong credential is refused without another look at it

K = TypeVar("K")
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Runs at most one call for each key at a time. Who asks meanwhile waits for that call, and gets its result or its
    error."""

    def __init__(self) -> None:
        self._going: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The call goes on if the request that waits for it is cancelled: others may wait for it, too."""
        task = self._going.get(key)
        if task is None:
            task = self._going[key] = asyncio.create_task(call())
            task.add_done_callback(partial(self._end, key))
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Nobody who asks from now on waits for a call that has begun before. Those calls go on."""
        self._going.clear()

    def _end(self, key: K, task: asyncio.Task[T]) -> None:
        if self._going.get(key) is task:
            del self._going[key]
        if not task.cancelled():
            task.exception()  # without this, asyncio logs that nobody retrieved the exception


class Wrong(NamedTuple):
    """A credential that was found wrong. Not the error itself: each time it is raised, its traceback grows."""

    detail: str
    facts: dict[str, Any]
    until: float


class VerifiedCache:
    """Verified credentials, by the SHA-256 of the credential; and wrong ones, for WRONG_S seconds.

    Use one for each way in: the same text in another header is another credential. Wrong credentials have room of their
    own, so that a flood of them drives out no right one. When the room is used up, the oldest entry goes.
    """

    def __init__(self, members_max: int = MEMBERS_MAX, clock: Callable[[], float] = time.time) -> None:
        self._members_max, self._members = members_max, 0
        self._clock = clock
        self._right: dict[bytes, Verified] = {}
        self._wrong: dict[bytes, Wrong] = {}
        self._calls: SingleFlight[bytes, Verified] = SingleFlight()
        self._cleared = 0

    def __len__(self) -> int:
        return len(self._right)

    def get(self, credential: str) -> Verified | None:
        """What is known of the credential; None if it must be verified. Raises InvalidCredential if it was found wrong
        a moment ago."""
        return self._known(_hash(credential))

    async def verified(self, credential: str, verify: Callable[[str], Awaitable[Verified]]) -> Verified:
        """What is known of the credential, or what `verify` says of it. Requests with the same credential share one
        call of `verify`. Raises what `verify` raises."""
        key = _hash(credential)
        known = self._known(key)
        if known is not None:
            return known
        return await self._calls.run(key, lambda: self._ask(key, credential, verify))

    def clear(self) -> None:
        """Empties the cache. A verification that has begun before answers its own requests, but is not kept."""
        self._right.clear()
        self._wrong.clear()
        self._calls.forget()
        self._members = 0
        self._cleared += 1

    def _known(self, key: bytes) -> Verified | None:
        verified = self._right.get(key)
        if verified is not None and self._clock() < verified.until:
            return verified
        wrong = self._wrong.get(key)
        if wrong is not None and self._clock() < wrong.until:
            raise InvalidCredential(wrong.detail, **wrong.facts)
        return None

    async def _ask(self, key: bytes, credential: str, verify: Callable[[str], Awaitable[Verified]]) -> Verified:
        cleared = self._cleared
        try:
            verified = await verify(credential)
        except InvalidCredential as error:
            if cleared == self._cleared:
                self._refuse(key, error)
            raise
        if cleared == self._cleared:
            self._keep(key, verified)
        return verified

    def _keep(self, key: bytes, verified: Verified) -> None:
        self._drop(key)
        self._right[key] = verified
        self._members += _size(verified)
        while self._members > self._members_max:
            self._drop(next(iter(self._right)))

    def _drop(self, key: bytes) -> None:
        verified = self._right.pop(key, None)
        if verified is not None:
            self._members -= _size(verified)

    def _refuse(self, key: bytes, error: InvalidCredential) -> None:
        self._drop(key)
        self._wrong.pop(key, None)
        self._wrong[key] = Wrong(error.detail, error.facts, self._clock() + WRONG_S)
        if len(self._wrong) > WRONG_MAX:
            del self._wrong[next(iter(self._wrong))]


def _hash(credential: str) -> bytes:
    return sha256(credential.encode("utf-8", "surrogatepass")).digest()


def _size(verified: Verified) -> int:
    return len(verified.principal.members) + 4
