"""Clients that book without a pause, each request with a key, until it has its answer: whatever is lost meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx

from shared.tasks import end_tasks

BOUND_S = 60.0
PERIOD = {"startdate": "2086-01-01", "enddate": "2086-01-03"}


class Writers:
    """`acknowledged` has the ids of the bookings that were answered 200 or 201, `answered_at` when (time.monotonic)."""

    def __init__(self, url: str, patience_s: float = BOUND_S) -> None:
        self._url, self._patience_s, self._stopped = url, patience_s, False
        self.acknowledged: list[str] = []
        self.answered_at: list[float] = []

    async def begin(self) -> None:
        """Makes the project, with room for all that will be booked."""
        async with httpx.AsyncClient(base_url=self._url) as client:
            assert (await client.post("/projects/create", json={"id": "gaia", "name": "Gaia"})).status_code == 201
            body = {"project": "gaia", "cores": 10**6, **PERIOD}
            assert (await client.post("/resources/create", json=body)).status_code == 201

    async def write(self) -> None:
        """Books, one after the other; a booking whose outcome is not known is sent again with its key."""
        body = {"project": "gaia", "account": "ada", "cores": 1, **PERIOD}
        async with httpx.AsyncClient(base_url=self._url, timeout=30) as client:
            while not self._stopped:
                key = {"Idempotency-Key": uuid4().hex}
                async with asyncio.timeout(self._patience_s):
                    while not await self._acknowledged(client, body, key):
                        await asyncio.sleep(0.02)

    async def _acknowledged(self, client: httpx.AsyncClient, body: dict[str, object], key: dict[str, str]) -> bool:
        try:
            answer = await client.post("/bookings/create", json=body, headers=key)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        assert answer.status_code in (200, 201), answer.text
        self.acknowledged.append(answer.json()["id"])
        self.answered_at.append(time.monotonic())
        return True

    async def grown_by(self, bookings: int) -> None:
        """Returns when so many more bookings are acknowledged."""
        target = len(self.acknowledged) + bookings
        async with asyncio.timeout(self._patience_s):
            while len(self.acknowledged) < target:
                await asyncio.sleep(0.005)

    def first_after(self, moment: float) -> float:
        """How many seconds after the moment the next booking was acknowledged."""
        return min(at for at in self.answered_at if at > moment) - moment

    def stop(self) -> None:
        """Each writer ends after the booking that it is about to make."""
        self._stopped = True


@contextlib.asynccontextmanager
async def writing(writers: Writers, clients: int = 4) -> AsyncIterator[None]:
    """Several clients write until the block ends; then each has the answer to its last booking."""
    tasks = [asyncio.create_task(writers.write()) for _ in range(clients)]
    try:
        yield
        writers.stop()
        await asyncio.gather(*tasks)
    finally:
        await end_tasks(*tasks)
