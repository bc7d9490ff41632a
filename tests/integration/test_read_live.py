"""Live streams end with the right, the session or the token; and show what the subscriber may see, and nothing else."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.query.app import create_app
from services.query.settings import Settings
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.events import AccountCreated, ClusterCreated, Event, ProjectCreated, RoleGranted, RoleRevoked
from shared.identity.roles import Limit
from tests.support.listening import BOUND_S, listening
from tests.support.querying import append_and_show
from tests.support.signed_in import auth_file, signed_in, with_token

END_S = 5.0  # a stream ends so soon after the right
NOTICE = """
INSERT INTO notice (seq, id, kind, project, subject, due, data)
VALUES ($1, $2, 'booking.started', 'gaia', 'x', now(), $3)
"""


def made(event: Any, **fields: Any) -> Any:
    return event(at=datetime(2025, 12, 1, tzinfo=UTC), actor="root", command=uuid4(), project="gaia", **fields)


def cluster(name: str) -> ClusterCreated:
    day = {"start": datetime(2086, 1, 1, tzinfo=UTC), "end": datetime(2086, 1, 2, tzinfo=UTC)}
    created: ClusterCreated = made(
        ClusterCreated, cluster=name, parent="gaia", kind="cluster", capacity=Capacity(), **day
    )
    return created


def role(kind: Any, pool: str = "gaia", member: str = "egi:ada", role: str = "reader") -> Any:
    return made(kind, pool=pool, role=role, member=member)


class Ledger:
    """Events that the read models show at once, and notices."""

    def __init__(self, connection: Any, url: str) -> None:
        self.connection, self.url, self.store = connection, url, EventStore(connection)
        self.notices = 0

    async def do(self, *events: Event) -> int:
        """Appends and shows the events. Returns the position of the last one."""
        await append_and_show(self.connection, list(events))
        return await self.store.head()

    async def account(self) -> int:
        name = uuid4().hex
        return await self.do(made(AccountCreated, account=name, name=name))

    async def notice(self, pool: str) -> None:
        self.notices += 1
        data = json.dumps({"project": "gaia", "pool": pool})
        await self.connection.execute(NOTICE, self.notices, f"n{self.notices}", data)
        await self.connection.execute("UPDATE notice_head SET seq = $1", self.notices)

    async def revoke(self, statement: str) -> None:
        await self.connection.execute(statement)
        await self.connection.execute("UPDATE identity_head SET version = version + 1")


@pytest.fixture
async def ledger(database_url: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(database_url)
    app = create_app(Settings(database_url=database_url, auth_file=auth_file(tmp_path), subscribers_max=10))
    async with listening(app) as url:
        ledger = Ledger(connection, url)
        await ledger.do(made(ProjectCreated, name="Gaia"), cluster("gaia.spark"), cluster("gaia.spark2"))
        yield ledger
    await connection.close()


class Subscriber:
    """Reads one stream to its end."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines, self.got = answer.aiter_lines(), list[dict[str, Any]]()

    async def read(self, count: int) -> list[dict[str, Any]]:
        """Reads until there are so many events or notices."""
        async with asyncio.timeout(BOUND_S):
            while len(self.got) < count:
                await self._line()
        return self.got

    async def end_s(self) -> float:
        """Reads until the stream ends. The seconds until then."""
        began = time.monotonic()
        async with asyncio.timeout(BOUND_S):
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    await self._line()
        return time.monotonic() - began

    async def _line(self) -> None:
        line = await anext(self._lines)
        if line.startswith("data: "):
            self.got.append(json.loads(line[6:]))


@contextlib.asynccontextmanager
async def subscribed(ledger: Ledger, headers: dict[str, str], path: str) -> AsyncIterator[Subscriber]:
    async with (
        httpx.AsyncClient(timeout=BOUND_S) as client,
        client.stream("GET", ledger.url + path, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Subscriber(answer)


@pytest.mark.parametrize(
    "path", ["/events/stream", "/events/stream?project=gaia", "/notices/stream", "/entitlements/stream?account=ada"]
)
async def test_a_stream_ends_with_the_role_also_when_nothing_happens_on_it(
    ledger: Ledger, database_url: str, path: str
) -> None:
    await ledger.do(role(RoleGranted))
    async with subscribed(ledger, await signed_in(database_url, "egi:ada"), path) as subscriber:
        await asyncio.sleep(0.5)
        await ledger.do(role(RoleRevoked))
        assert await subscriber.end_s() < END_S


async def test_a_subscriber_gets_nothing_that_was_decided_after_the_loss(ledger: Ledger, database_url: str) -> None:
    await ledger.do(role(RoleGranted))
    headers, lost = await signed_in(database_url, "egi:ada"), 0
    async with subscribed(ledger, headers, "/events/stream?after=0") as subscriber:
        await subscriber.read(4)
        reading = asyncio.create_task(subscriber.end_s())
        for number in range(60):
            if number == 30:
                lost = await ledger.do(role(RoleRevoked))
            await ledger.account()
        assert await reading < END_S + 60 * 0.2
    positions = [one["position"] for one in subscriber.got]
    assert positions == list(range(1, len(positions) + 1))
    assert len(positions) < lost


async def test_what_was_decided_in_one_batch_after_the_loss_is_not_told(ledger: Ledger, database_url: str) -> None:
    await ledger.do(role(RoleGranted))
    async with subscribed(ledger, await signed_in(database_url, "egi:ada"), "/events/stream?after=0") as subscriber:
        await subscriber.read(4)
        secret = made(AccountCreated, account="secret", name="secret")
        await ledger.do(role(RoleRevoked), secret)
        assert await subscriber.end_s() < END_S
        assert all(one["position"] <= 4 for one in subscriber.got)


@pytest.mark.parametrize("way", ["session", "token", "token expires"])
async def test_a_stream_ends_with_the_session_or_the_token(ledger: Ledger, database_url: str, way: str) -> None:
    await ledger.do(role(RoleGranted))
    headers = await signed_in(database_url, "egi:ada")
    if way != "session":
        lasts = timedelta(seconds=2 if way == "token expires" else 3600)
        headers = await with_token(database_url, Limit("reader", "gaia"), maker="egi:ada", lasts=lasts)
    async with subscribed(ledger, headers, "/events/stream?project=gaia") as subscriber:
        await asyncio.sleep(0.3)
        if way == "session":
            await ledger.revoke("DELETE FROM session")
        elif way == "token":
            await ledger.revoke("UPDATE token SET revoked_at = now()")
        assert await subscriber.end_s() < END_S


async def test_a_reader_of_a_cluster_follows_the_cluster_alone(ledger: Ledger, database_url: str) -> None:
    await ledger.do(role(RoleGranted, "gaia.spark"))
    headers = await signed_in(database_url, "egi:ada")
    async with (
        subscribed(ledger, headers, "/events/stream?after=0") as events,
        subscribed(ledger, headers, "/events/stream?after=0&project=gaia") as of_gaia,
        subscribed(ledger, headers, "/notices/stream?after=0") as notices,
    ):
        for pool in ("gaia", "gaia.spark", "gaia.spark2", "gaia.spark.deep", "gaia"):
            await ledger.notice(pool)
        await ledger.account()
        last = await ledger.do(cluster("gaia.spark2.x"), cluster("gaia.spark.deep"))
        for subscriber in (events, of_gaia):
            got = await subscriber.read(3)
            assert [one["position"] for one in got] == [2, 4, last]
        assert [one["seq"] for one in await notices.read(2)] == [2, 4]
        await ledger.do(role(RoleRevoked, "gaia.spark"))
        assert max([await events.end_s(), await of_gaia.end_s(), await notices.end_s()]) < END_S


async def test_a_stream_waits_while_nobody_can_say_what_may_be_seen(ledger: Ledger, database_url: str) -> None:
    """It sends nothing then, and goes on where it was."""
    await ledger.do(role(RoleGranted))
    async with subscribed(ledger, await signed_in(database_url, "egi:ada"), "/events/stream") as subscriber:
        await asyncio.sleep(0.3)
        await ledger.connection.execute("UPDATE generation SET live = false")
        await asyncio.sleep(1.5)
        await ledger.connection.execute("UPDATE generation SET live = true")
        last = await ledger.account()
        assert [one["position"] for one in await subscriber.read(1)] == [last]
