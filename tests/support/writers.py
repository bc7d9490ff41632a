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
BOOKING = {"project": "gaia", "account": "ada", "cores": 1, **PERIOD}


class Writers:
    """`booked` has the id of each acknowledged booking by its idempotency key, `acknowledged` the same ids in their
    order, `answered_at` when each was answered (time.monotonic)."""

    def __init__(self, url: str, patience_s: float = BOUND_S) -> None:
        self._url, self._patience_s, self._stopped = url, patience_s, False
        self.booked: dict[str, str] = {}
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
        async with httpx.AsyncClient(base_url=self._url, timeout=30) as client:
            while not self._stopped:
                key = uuid4().hex
                async with asyncio.timeout(self._patience_s):
                    while not await self.book(client, key):
                        await asyncio.sleep(0.02)

    async def book(self, client: httpx.AsyncClient, key: str) -> bool:
        """Sends the booking of a key. Whether it was acknowledged, with the id of the first answer."""
        try:
            answer = await client.post("/bookings/create", json=BOOKING, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        assert answer.status_code in (200, 201), answer.text
        booking = answer.json()["id"]
        if key not in self.booked:
            self.booked[key] = booking
            self.acknowledged.append(booking)
            self.answered_at.append(time.monotonic())
        assert self.booked[key] == booking
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

    def start(self) -> None:
        self._stopped = False

    def stop(self) -> None:
        """Each writer ends after the booking that it is about to make."""
        self._stopped = True


@contextlib.asynccontextmanager
async def writing(writers: Writers, clients: int = 4) -> AsyncIterator[None]:
    """Several clients write until the block ends; then each has the answer to its last booking."""
    writers.start()
    tasks = [asyncio.create_task(writers.write()) for _ in range(clients)]
    try:
        yield
        writers.stop()
        await asyncio.gather(*tasks)
    finally:
        await end_tasks(*tasks)
