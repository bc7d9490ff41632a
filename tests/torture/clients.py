"""Clients of the one address: writers, who repeat a command until its outcome is known, and readers."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.torture.record import PASSING, REFUSED, Record

FIRST = datetime(2086, 1, 1, tzinfo=UTC)
DAYS = 10
WHOLE = {"startdate": "2086-01-01", "enddate": "2086-02-28"}
RANGE = "2086-01-01,2086-01-14"
TIMEOUT = ClientTimeout(total=6, sock_connect=2)
LOST = (ClientError, OSError)  # TimeoutError is an OSError
AGAIN_S = 0.15
OPEN_MAX = 40  # bookings that a writer holds at a time


class Client:
    """`url` is the one address. `going` ends when no new work is to begin."""

    def __init__(self, url: str, http: ClientSession, record: Record, seed: int, going: asyncio.Event) -> None:
        self._url, self._http, self._record, self._going = url, http, record, going
        self._random = random.Random(seed)

    async def command(self, path: str, body: dict[str, Any], key: str | None = None) -> tuple[int, dict[str, Any]]:
        """Sends a command again and again, with its key, until the outcome is known: the status and the answer."""
        key = key or f"{self._random.getrandbits(128):032x}"
        while True:
            try:
                headers = {"Idempotency-Key": key}
                async with self._http.post(self._url + path, json=body, headers=headers, timeout=TIMEOUT) as answer:
                    told = await answer.json(content_type=None)
                    status = answer.status
            except LOST as lost:
                self._record.lost("command", lost)
            else:
                self._record.saw("command", status, told.get("code", ""))
                if status in (200, 201):
                    self._record.acknowledge(told)
                if status not in PASSING:
                    if status not in (200, 201, *REFUSED) or told.get("code") == "idempotency_key_reused":
                        self._record.fail(f"{path} {body}: {status} {told}")
                    return status, told
            await asyncio.sleep(AGAIN_S * (1 + self._random.random()))

    async def read(self, path: str) -> dict[str, Any] | None:
        """The answer to one read; None if there was none, or it said to ask again."""
        try:
            async with self._http.get(self._url + path, timeout=TIMEOUT) as answer:
                told: dict[str, Any] = await answer.json(content_type=None)
        except LOST as lost:
            self._record.lost("read", lost)
            return None
        self._record.saw("read", answer.status, told.get("code", ""))
        if answer.status != 200 and answer.status not in PASSING:
            self._record.fail(f"GET {path}: {answer.status} {told}")
        return told if answer.status == 200 else None


class Writer(Client):
    """Books, amends and cancels in one project, resizes its cluster, and sends old keys again."""

    def __init__(self, project: str, *others: Any) -> None:
        super().__init__(*others)
        self._project, self._held = project, list[UUID]()
        self._last: tuple[str, dict[str, Any], str, dict[str, Any]] | None = None

    async def run(self, pause_s: float) -> None:
        steps = (self.book, self.book_in_cluster, self.cancel, self.amend, self.resize, self.repeat)
        while self._going.is_set():
            step = self._random.choices(steps, (8, 4, 6, 3, 1, 2))[0]
            await step()
            await asyncio.sleep(self._random.random() * 2 * pause_s)

    async def book(self) -> None:
        await self._book({"project": self._project, "cores": self._random.randint(1, 30)})

    async def book_in_cluster(self) -> None:
        held = self._random.choice(({"cores": self._random.randint(1, 6)}, {"share": "5%"}))
        await self._book({"clusterid": f"{self._project}.spark", **held})

    async def _book(self, held: dict[str, Any]) -> None:
        if len(self._held) >= OPEN_MAX:
            await self.cancel()
        start = FIRST + timedelta(hours=self._random.randrange(24 * DAYS))
        end = start + timedelta(hours=self._random.randint(1, 60))
        account = self._random.choice(("ada", "bob", "eve"))
        body = {"account": account, "startdate": start.isoformat(), "enddate": end.isoformat(), **held}
        key = f"{self._random.getrandbits(128):032x}"
        status, told = await self.command("/bookings/create", body, key)
        if status in (200, 201):
            self._held.append(UUID(told["id"]))
            self._last = "/bookings/create", body, key, told
            if self._random.random() < 0.2:
                await self._see(told, f"{start:%Y-%m-%dT%H:%MZ},{end:%Y-%m-%dT%H:%MZ}")

    async def _see(self, made: dict[str, Any], within: str) -> None:
        """Reads what it wrote: with the position of its command, the booking must be there."""
        pool = made["decided"][0]["pool"]
        name = "clusterid" if "." in pool else "project"
        position = made["position"]
        told = await self.read(f"/bookings/select?{name}={pool}&range={within}&min_position={position}")
        if told is not None and (told["position"] < position or made["id"] not in str(told["items"])):
            self._record.fail(f"the booking {made['id']} of {position} is not there at {told['position']}")

    async def cancel(self) -> None:
        if self._held:
            booking = self._held.pop(self._random.randrange(len(self._held)))
            await self.command(f"/bookings/{booking}/cancel", {})

    async def amend(self) -> None:
        if self._held:
            booking = self._random.choice(self._held)
            await self.command(f"/bookings/{booking}/amend", {"cores": self._random.randint(1, 6)})

    async def resize(self) -> None:
        await self.command(f"/clusters/{self._project}.spark/resize", {"cores": self._random.randint(20, 80)})

    async def repeat(self) -> None:
        """The same key again: the same answer."""
        if self._last is not None:
            path, body, key, told = self._last
            status, again = await self.command(path, body, key)
            if (status, again) != (200, told):
                self._record.fail(f"the key {key} was answered with {told}, and again with {status} {again}")


class Reader(Client):
    """Reads lists, and availability, which is never negative: nothing is promised twice."""

    async def run(self, projects: list[str], pause_s: float) -> None:
        while self._going.is_set():
            project = self._random.choice(projects)
            paths = (
                f"/available/select?project={project}&range={RANGE}&grain=day",
                f"/available/select?clusterid={project}.spark&range={RANGE}&grain=hour",
                f"/bookings/select?project={project}&range={RANGE}",
                f"/pools?project={project}",
                "/events?limit=20",
            )
            path = self._random.choice(paths)
            told = await self.read(path)
            if told is not None and "/available/" in path:
                for block in told["blocks"]:
                    if any(count < 0 for count in block["available"]["min"].values()):
                        self._record.fail(f"{path} at {told['position']}: {block}")
            await asyncio.sleep(self._random.random() * 2 * pause_s)
