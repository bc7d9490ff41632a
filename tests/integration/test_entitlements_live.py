"""What an account holds, live: the answer now, and again when an event or the time changes it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.command.domain import CancelBooking, ResizeCluster
from services.query.app import create_app
from services.query.database import Database
from services.query.live.entitled import Entitled
from services.query.live.sources import EVENTS
from services.query.live.tail import Tail, Watch
from services.query.questions.model import EntitlementsQuestion
from services.query.questions.sight import EVERYWHERE, NOWHERE, Sight
from services.query.settings import Settings
from shared.hours import instant_of
from shared.postgres import Reader
from tests.support.backends import as_role
from tests.support.listening import BOUND_S, listening
from tests.support.project import T0, Project, cores
from tests.support.querying import append_and_show
from tests.support.shown import at

SOON_S = 5.0


class Counted(Database):
    """Counts the snapshots that it gives. `before` is awaited before the next one."""

    snapshots = 0
    before: Callable[[], Awaitable[None]] | None = None

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        self.snapshots += 1
        if (before := self.before) is not None:
            self.before = None
            await before()
        async with super().snapshot() as reader:
            yield reader


class Present:
    """A clock that goes on from where a test sets it."""

    def __init__(self) -> None:
        self.set(T0)

    def set(self, hour: int, before_s: float = 0.0) -> None:
        """It is `before_s` before the hour now."""
        self._is, self._set_at = instant_of(hour) - timedelta(seconds=before_s), time.monotonic()

    def __call__(self) -> datetime:
        return self._is + timedelta(seconds=time.monotonic() - self._set_at)


class Follower:
    """Ada's entitlements, read frame by frame."""

    def __init__(self, connection: Any, database: Counted, tail: Tail) -> None:
        self.connection, self.database, self.tail = connection, database, tail
        self.project, self.present, self.shown = Project(), Present(), 0
        self.frames: Any = None

    async def begin(self, watch: Watch | None = None) -> dict[str, Any]:
        await self.show()
        asked = EntitlementsQuestion(account="ada", project=None, hour=0)
        begin = await self.tail.begin(None)
        self.frames = Entitled(self.tail, self.database, asked, watch, self.present).follow(begin)
        assert (await anext(self.frames)).startswith(b"retry: 500\nid: ")
        return await self.next()

    async def show(self) -> None:
        events = self.project.history[self.shown :]
        await append_and_show(self.connection, events)
        self.shown += len(events)

    async def next(self) -> dict[str, Any]:
        """The next answer; heartbeats are passed over."""
        async with asyncio.timeout(BOUND_S):
            while not (frame := await anext(self.frames)).startswith(b"event: entitlements\n"):
                assert frame.startswith(b": still here\nid: ")
        _, number, data, *_ = frame.decode().split("\n")
        answer: dict[str, Any] = json.loads(data.removeprefix("data: "))
        assert number == f"id: {answer['position']}"
        return answer

    async def held(self) -> tuple[int, str | None]:
        """Of the next answer: the cores of the first pool, and until when."""
        answer = await self.next()
        return sum(one["cores"] for one in answer["entitlements"]), answer["until"]


@pytest.fixture
async def follower(database_url: str) -> AsyncIterator[Follower]:
    database = Counted(as_role(database_url, "query"), 4)
    connection = await asyncpg.connect(database_url)
    async with database.opened():
        tail = Tail(database, EVENTS, 10, heartbeat_s=0.05)
        follower = Follower(connection, database, tail)
        yield follower
        await follower.frames.aclose()
        tail.leave()
    await connection.close()


async def test_it_tells_when_a_booking_begins_goes_on_and_ends(follower: Follower) -> None:
    follower.project.grant(0, 100, 10)
    follower.project.book(10, 20, 2)
    second = follower.project.book(20, 30, 2)
    follower.present.set(T0 + 10, before_s=0.5)
    first = await follower.begin()
    assert (first["entitlements"], first["until"], first["at"]) == ([], at(10), at(9))
    began = time.monotonic()
    assert await follower.held() == (2, at(30))
    assert time.monotonic() - began < SOON_S
    follower.present.set(T0 + 20, before_s=0.2)
    following = await follower.next()  # the same amounts, by another booking
    assert [one["id"] for one in following["entitlements"][0]["bookings"]] == [str(second)]
    follower.present.set(T0 + 30, before_s=0.2)
    assert await follower.held() == (0, None)


async def test_what_is_decided_between_the_look_at_the_roles_and_the_read_is_not_told(follower: Follower) -> None:
    follower.project.grant(0, 100, 10)
    follower.present.set(T0 + 5)
    sights = [EVERYWHERE]

    async def watch() -> Sight:
        return sights[-1]

    async def lose() -> None:
        sights.append(NOWHERE)
        follower.project.book(0, 10, 5)
        await follower.show()

    assert (await follower.begin(watch))["entitlements"] == []
    follower.project.book(0, 10, 2)
    follower.database.before = lose
    await follower.show()
    async with asyncio.timeout(BOUND_S):
        told = [frame async for frame in follower.frames]
    assert sights == [EVERYWHERE, NOWHERE]
    assert [frame for frame in told if b"entitlements" in frame] == []


async def test_it_tells_what_events_change_and_reads_nothing_for_those_that_do_not_concern_it(
    follower: Follower,
) -> None:
    project = follower.project
    project.grant(0, 100, 40)
    project.cluster("gaia.spark", 0, 50, 10)
    project.cluster("gaia.other", 0, 50, 10)
    follower.present.set(T0 + 5)
    first = await follower.begin()
    assert (first["entitlements"], first["until"]) == ([], None)
    booking = project.book(0, 40, pool="gaia.spark", share=5000)
    await follower.show()
    assert await follower.held() == (5, at(40))
    project.do(ResizeCluster(cluster="gaia.spark", capacity=cores(20), start=T0, end=T0 + 20))
    await follower.show()
    assert await follower.held() == (10, at(20))
    read = follower.database.snapshots
    for _ in range(5):
        project.book(0, 5, 1, "gaia.other", account="eve")
        await follower.show()
    project.do(CancelBooking(booking=booking))
    await follower.show()
    assert (await follower.held())[0] == 0
    assert follower.database.snapshots == read + 1


async def test_over_http_it_goes_on_from_the_last_answer_and_ends_with_the_service(database_url: str) -> None:
    app = create_app(Settings(database_url=as_role(database_url, "query"), subscribers_max=2))
    project = Project()
    project.grant(0, 100, 40)
    project.book(10, 20, 2)
    connection = await asyncpg.connect(database_url)
    await append_and_show(connection, project.history)
    await connection.close()
    last, path = len(project.history), "/entitlements/stream?account=ada&project=gaia"
    async with (
        listening(app) as url,
        httpx.AsyncClient(base_url=url, timeout=BOUND_S) as client,
        client.stream("GET", path, headers={"Last-Event-ID": str(last)}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        async with asyncio.timeout(BOUND_S):
            while not (line := await anext(lines)).startswith("data: "):
                pass
        assert json.loads(line[6:])["until"] == at(10)
        head = await client.head(path)
        assert (head.status_code, head.headers["content-type"]) == (200, answer.headers["content-type"])
        async with asyncio.timeout(BOUND_S):
            while app.state.parts.event_tail.subscribers > 1:  # HEAD is leaving
                await asyncio.sleep(0.01)
        beyond = await client.get(path, headers={"Last-Event-ID": str(last + 1)})
        assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (400, "Last-Event-ID")
        assert (await client.get("/entitlements/stream")).json()["errors"][0]["field"] == "account"
        assert (await client.get(path.replace("gaia", "nope"))).status_code == 404
        async with client.stream("GET", path):
            assert (await client.get(path)).json()["code"] == "too_many_subscribers"
        app.state.end_streams()
        async with asyncio.timeout(BOUND_S):
            async for _ in lines:
                pass
