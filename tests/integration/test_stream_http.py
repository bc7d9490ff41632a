"""Server-sent events: each once, in order, when the projection shows it, whoever else is slow or dead."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.query.app import create_app
from services.query.settings import Settings
from shared.event_store import EventStore, Pending
from tests.support.backends import as_role
from tests.support.listening import BOUND_S, listening

T0 = datetime(2086, 1, 1, tzinfo=UTC)


class Ledger:
    """Events with one a minute as the time of decision, and a projection that moves when the test says so."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.store = connection, EventStore(connection)
        self.versions = {"gaia": 0, "other": 0}

    async def append(self, count: int, project: str = "gaia", kind: str = "BookingCreated", size: int = 0) -> None:
        version, head = self.versions[project], await self.store.head()
        datas = [
            json.dumps({"type": kind, "at": (T0 + timedelta(minutes=head + n)).isoformat(), "padding": "x" * size})
            for n in range(count)
        ]
        events = [
            Pending(project, version + n, uuid4(), 0, b"", kind, data.encode()) for n, data in enumerate(datas, 1)
        ]
        assert (await self.store.append({project: version}, events)).outcome == "stored"
        self.versions[project] = version + count

    async def show(self, position: int | None = None) -> None:
        shown = await self.store.head() if position is None else position
        await self.connection.execute("UPDATE generation SET position = $1 WHERE live", shown)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(database_url)
    yield Ledger(connection)
    await connection.close()


@pytest.fixture
async def app(database_url: str) -> Any:
    return create_app(Settings(database_url=as_role(database_url, "query"), subscribers_max=3))


@pytest.fixture
async def url(app: Any) -> AsyncIterator[str]:
    async with listening(app) as url:
        yield url


class Subscriber:
    """Reads one answer; `ids` of the events so far, `data` the same decoded."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.data, self.last_id = answer, [], ""
        self._lines = answer.aiter_lines()

    @property
    def positions(self) -> list[int]:
        return [data["position"] for data in self.data]

    async def read_until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND_S):
            while not enough():
                line = await anext(self._lines)
                if line.startswith("id: "):
                    self.last_id = line[4:]
                if line.startswith("data: "):
                    self.data.append(json.loads(line[6:]))

    async def read(self, count: int) -> list[int]:
        await self.read_until(lambda: len(self.data) >= count)
        return self.positions


@contextlib.asynccontextmanager
async def subscribed(url: str, headers: dict[str, str] | None = None, **query: Any) -> AsyncIterator[Subscriber]:
    async with (
        httpx.AsyncClient(timeout=BOUND_S) as client,
        client.stream("GET", f"{url}/events/stream", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Subscriber(answer)


async def test_from_the_first_position_and_then_live(ledger: Ledger, url: str) -> None:
    await ledger.append(600)
    await ledger.show()
    async with subscribed(url, after=0) as subscriber:
        assert await subscriber.read(600) == list(range(1, 601))
        for _ in range(20):
            await ledger.append(30)
            await ledger.show()
        assert await subscriber.read(1200) == list(range(1, 1201))
        first = subscriber.data[0]
        assert (first["version"], first["event"]["type"]) == (1, "BookingCreated")


async def test_an_event_is_told_when_the_projection_shows_it(ledger: Ledger, url: str) -> None:
    await ledger.append(10)
    await ledger.show(4)
    async with subscribed(url, after=0) as subscriber:
        assert await subscriber.read(4) == [1, 2, 3, 4]
        await ledger.show(5)
        assert await subscriber.read(5) == [1, 2, 3, 4, 5]
        await ledger.show(10)
        assert await subscriber.read(10) == list(range(1, 11))


async def test_from_now_and_again_from_the_last_id(ledger: Ledger, url: str) -> None:
    await ledger.append(5)
    await ledger.show()
    async with subscribed(url) as subscriber:
        await subscriber.read_until(lambda: subscriber.last_id != "")
        assert subscriber.last_id == "5"
        await ledger.append(3)
        await ledger.show()
        assert await subscriber.read(3) == [6, 7, 8]
    await ledger.append(4)
    await ledger.show()
    async with subscribed(url, {"Last-Event-ID": subscriber.last_id}, after=0) as again:
        assert await again.read(4) == [9, 10, 11, 12]


async def test_from_an_instant(ledger: Ledger, url: str) -> None:
    await ledger.append(300)
    await ledger.show()
    for since, first in ((T0 - timedelta(days=1), 1), (T0 + timedelta(minutes=250), 251), (T0, 1)):
        async with subscribed(url, since=since.isoformat().replace("+00:00", "Z")) as subscriber:
            assert (await subscriber.read(50))[0] == first
    async with subscribed(url, since="2087-01-01T00:00:00.5Z") as subscriber:
        await subscriber.read_until(lambda: subscriber.last_id != "")
        assert subscriber.last_id == "300"


async def test_only_what_is_wanted(ledger: Ledger, url: str) -> None:
    for project, kind in (("gaia", "GrantCreated"), ("other", "GrantCreated"), ("gaia", "BookingCreated")):
        await ledger.append(2, project, kind)
    await ledger.show()
    async with (
        subscribed(url, after=0, project="gaia") as of_one,
        subscribed(url, after=0, type="GrantCreated") as kind,
    ):
        assert await of_one.read(4) == [1, 2, 5, 6]
        assert await kind.read(4) == [1, 2, 3, 4]
        async with subscribed(url, after=0, project="gaia", type="GrantCreated,BookingCancelled") as both:
            assert await both.read(2) == [1, 2]
            await ledger.append(1, "gaia", "BookingCancelled")
            await ledger.show()
            assert await both.read(3) == [1, 2, 7]


async def test_a_heartbeat_moves_the_last_id_past_what_is_not_wanted(ledger: Ledger, url: str, app: Any) -> None:
    await ledger.append(1)
    await ledger.append(499, "other")
    await ledger.show()
    async with subscribed(url, after=1, project="gaia") as subscriber:
        app.state.parts.event_tail.heartbeat_s = 0.01
        await subscriber.read_until(lambda: subscriber.last_id == "500")
        assert subscriber.data == []


async def test_a_reader_who_takes_nothing_delays_no_other(ledger: Ledger, url: str, app: Any) -> None:
    dead, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=1024)
    writer.write(b"GET /events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await dead.readuntil(b"\r\n\r\n")
    async with subscribed(url, after=0) as subscriber:
        for number in range(1, 31):
            await ledger.append(500, size=1000)
            await ledger.show()
            assert len(await subscriber.read(500 * number)) == 500 * number
        assert subscriber.positions == list(range(1, 15_001))
        assert len(app.state.parts.event_tail._kept) <= 2 * app.state.parts.event_tail.kept_max
        assert app.state.parts.event_tail.subscribers == 2
    writer.transport.abort()
    async with asyncio.timeout(BOUND_S):
        while app.state.parts.event_tail.subscribers:
            await asyncio.sleep(0.01)
    assert app.state.parts.event_tail._kept == []  # nobody follows: nothing is read, and nothing held


async def test_one_who_fell_behind_what_is_kept_is_served_from_the_store(ledger: Ledger, url: str, app: Any) -> None:
    app.state.parts.event_tail.kept_max = 20
    async with subscribed(url, after=0) as quick, subscribed(url, after=0) as slow:
        for number in range(1, 11):
            await ledger.append(100)
            await ledger.show()
            await quick.read(100 * number)
        assert len(app.state.parts.event_tail._kept) < 150
        assert await slow.read(1000) == list(range(1, 1001))


async def test_little_is_found_in_a_long_history(ledger: Ledger, url: str) -> None:
    wanted = []
    for _ in range(4):
        await ledger.append(4000, "other")
        await ledger.append(2)
        wanted += [await ledger.store.head() - 1, await ledger.store.head()]
    await ledger.append(600)
    await ledger.show()
    wanted += range(wanted[-1] + 1, wanted[-1] + 601)
    async with subscribed(url, after=0, project="gaia") as subscriber:
        assert await subscriber.read(608) == wanted
        await ledger.append(1, "other")
        await ledger.append(1)
        await ledger.show()
        assert (await subscriber.read(609))[-1] == wanted[-1] + 2


async def test_no_more_than_so_many_and_what_is_wrong_is_named(ledger: Ledger, url: str) -> None:
    await ledger.append(1)
    async with httpx.AsyncClient() as client:
        for query, field in (
            ("after=2", "after"),
            ("after=x", "after"),
            ("after=1&since=2086-01-01T00:00:00Z", "since"),
            ("since=2086-01-01", "since"),
            ("type=Nothing", "type"),
            ("colour=red", "colour"),
        ):
            answer = await client.get(f"{url}/events/stream?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), answer.text
            assert answer.json()["errors"][0]["field"] == field
        bad = await client.get(f"{url}/events/stream", headers={"Last-Event-ID": "-1"})
        assert bad.status_code == 400
        async with subscribed(url), subscribed(url), subscribed(url):
            full = await client.get(f"{url}/events/stream")
            assert (full.status_code, full.json()["code"], full.headers["Retry-After"]) == (
                503,
                "too_many_subscribers",
                "1",
            )


async def test_a_database_that_comes_back_is_followed_again(ledger: Ledger, url: str) -> None:
    await ledger.append(1)
    await ledger.show()
    async with subscribed(url, after=0) as subscriber:
        await subscriber.read(1)
        ours = "FROM pg_stat_activity WHERE application_name = 'hourbook-query'"
        assert await ledger.connection.fetchval(f"SELECT count(pg_terminate_backend(pid, 5000)) {ours}") >= 1
        await ledger.append(2)
        await ledger.show()
        assert await subscriber.read(3) == [1, 2, 3]


async def test_the_end_of_the_service_ends_the_answers_in_order(ledger: Ledger, url: str, app: Any) -> None:
    await ledger.append(1)
    await ledger.show()
    async with subscribed(url, after=0) as subscriber:
        await subscriber.read(1)
        app.state.end_streams()
        with pytest.raises(StopAsyncIteration):
            await subscriber.read(2)


@pytest.mark.odd_store
async def test_notices_are_followed_likewise(ledger: Ledger, url: str) -> None:
    async def told(seq: int, kind: str, project: str) -> None:
        await ledger.connection.execute(
            "INSERT INTO notice VALUES ($1, $2, $3, $4, 'b', $5, $6)",
            seq,
            f"{kind}_{seq}",
            kind,
            project,
            T0,
            json.dumps({"type": kind}),
        )
        await ledger.connection.execute("UPDATE notice_head SET seq = $1", seq)

    await ledger.append(1)
    await told(1, "booking.started", "gaia")
    await told(2, "booking.ended", "other")
    async with httpx.AsyncClient(timeout=BOUND_S) as client:
        page = (await client.get(f"{url}/notices?type=booking.ended")).json()
        assert page == {"notices": [{"seq": 2, "notice": {"type": "booking.ended"}}], "next": None}
        assert (await client.get(f"{url}/notices?limit=1")).json()["next"] == 1
        assert (await client.get(f"{url}/notices?type=BookingCreated")).status_code == 400
        async with (
            client.stream("GET", f"{url}/notices/stream?after=0&project=gaia") as all_of_one,
            client.stream("GET", f"{url}/notices/stream?type=booking.ended") as from_now,
        ):
            one, now = Subscriber(all_of_one), Subscriber(from_now)
            await now.read_until(lambda: now.last_id == "2")
            await told(3, "booking.ended", "gaia")
            await one.read_until(lambda: len(one.data) == 2)
            await now.read_until(lambda: len(now.data) == 1)
    assert [data["seq"] for data in one.data] == [1, 3]
    assert now.data == [{"seq": 3, "notice": {"type": "booking.ended"}}]


async def test_of_many_who_come_at_once_exactly_as_many_are_admitted_as_may(ledger: Ledger, url: str, app: Any) -> None:
    """Also when all have come before the first is told where it begins, and when some of them are refused for else."""
    await ledger.append(5)
    await ledger.show()
    begin = [app.state.parts.event_tail.begin(5 if n % 4 else 6) for n in range(40)]  # there is no sixth event
    told = [type(one).__name__ for one in await asyncio.gather(*begin, return_exceptions=True)]
    assert (told.count("int"), app.state.parts.event_tail.subscribers) == (2, 2)
    assert set(told) == {"int", "BeyondTheEnd", "TooManySubscribers"}
    app.state.parts.event_tail.leave()
    app.state.parts.event_tail.leave()
    async with contextlib.AsyncExitStack() as stack, httpx.AsyncClient(timeout=BOUND_S) as client:
        asked = [stack.enter_async_context(client.stream("GET", f"{url}/events/stream")) for _ in range(12)]
        answers = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert (answers.count(200), answers.count(503)) == (3, 9)
    async with asyncio.timeout(BOUND_S):
        while app.state.parts.event_tail.subscribers:
            await asyncio.sleep(0.01)
    async with subscribed(url, after=0) as subscriber:
        assert await subscriber.read(5) == [1, 2, 3, 4, 5]
