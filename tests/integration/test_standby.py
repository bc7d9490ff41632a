"""Reads from a standby: they answer what the primary answers, and nothing that is too old."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.projector.as_of.historian import load_writer
from services.query.app import create_app
from services.query.settings import Settings
from shared.events import Event, ProjectCreated
from shared.identity.roles import Limit
from shared.identity.stored import REVOKED
from shared.migrate import migrate
from shared.tasks import end_tasks
from tests.integration.test_read_matrix import READS
from tests.support.backends import LOGINS, TEMPLATE, as_role, connected, make_database
from tests.support.listening import listening
from tests.support.marked import Marked
from tests.support.pg_cluster import Node, PgCluster, pg_cluster
from tests.support.querying import append_and_show, serving
from tests.support.signed_in import ADMIN, auth_file, signed_in, with_token
from tests.support.waiting import BOUND_S, until

LONG_S = 2 * BOUND_S  # for a wait that the test ends by itself
MATCHED = "/events?limit=1"


class Ledger:
    """A database on the cluster, and addresses of it for the query service."""

    def __init__(self, cluster: PgCluster, url: str) -> None:
        self.cluster, self.url = cluster, url
        self.database = url.rpartition("/")[2].partition("?")[0]
        self.names = 0

    @property
    def standby(self) -> Node:
        return self.cluster.standbys[0]

    def settings(self, *hosts: Node, **others: Any) -> Settings:
        """Those of a query service that reads from `hosts`, by default from the standby."""
        names = ",".join(f"127.0.0.1:{node.port}" for node in hosts or [self.standby])
        here = as_role(self.url, "query")
        read = here.replace(f"127.0.0.1:{self.cluster.primary.port}", names)
        wish = "&target_session_attrs=prefer-standby" if len(hosts) > 1 else ""
        return Settings(database_url=here, read_database_url=read + wish, **{"visible_timeout_s": 1.0, **others})

    async def project(self, count: int = 1) -> int:
        """Makes projects, and shows them. Returns the position of the last event."""
        names = [f"project-{number}" for number in range(self.names + 1, self.names + count + 1)]
        self.names += count
        made: list[Event] = [
            ProjectCreated(at=datetime(2085, 1, 1, tzinfo=UTC), actor="ada", command=uuid4(), project=name, name=name)
            for name in names
        ]
        async with connected(self.url) as connection:
            await append_and_show(connection, made)
            await connection.execute("SELECT index_events(10000)")
            past = await load_writer(connection)
            while await past.advance(1000):
                pass
            position: int = await connection.fetchval("SELECT position FROM event_head")
        return position

    async def replayed(self) -> None:
        await asyncio.to_thread(self.cluster.wait_until_caught_up)

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """The standby replays nothing, until the block ends or calls what it was given."""
        await asyncio.to_thread(self.standby.ask, "SELECT pg_wal_replay_pause()")
        await until(lambda: self._asked("SELECT pg_get_wal_replay_pause_state() = 'paused'"))

        async def resume() -> None:
            await self._asked("SELECT pg_wal_replay_resume()")

        try:
            yield resume
        finally:
            await resume()

    async def _asked(self, statement: str) -> Any:
        return await asyncio.to_thread(self.standby.ask, statement)


@contextlib.contextmanager
def started(directory: Path) -> Iterator[PgCluster]:
    with pg_cluster(directory) as cluster:
        migrate(cluster.primary.url_of(TEMPLATE), LOGINS)
        yield cluster


@pytest.fixture(scope="module")
def cluster(own_directory: Path) -> Iterator[PgCluster]:
    with started(own_directory / "standby") as cluster:
        yield cluster


@pytest.fixture
async def ledger(cluster: PgCluster) -> Ledger:
    made = Ledger(cluster, await make_database(cluster.primary))
    await made.project()
    await made.replayed()
    return made


async def code_of(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[int, str]:
    answer = await client.get(path, headers=headers)
    return answer.status_code, "" if answer.is_success else answer.json()["code"]


@pytest.mark.odd_store
async def test_every_read_answers_the_same_bytes_from_the_standby(cluster: PgCluster, tmp_path: Path) -> None:
    url = await make_database(cluster.primary)
    ledger = Ledger(cluster, url)
    async with contextlib.AsyncExitStack() as stack:
        file = auth_file(tmp_path)
        primary = await stack.enter_async_context(serving(Settings(database_url=as_role(url, "query"), auth_file=file)))
        ground = Marked(url, primary)
        ground.fill()
        await ground.write()
        root = await signed_in(url, ADMIN)
        await ledger.replayed()
        standby = await stack.enter_async_context(serving(ledger.settings(auth_file=file)))
        head, some, past = len(ground.events), 0, 0
        for path in (ground.path(read.path) for reads in READS.values() for read in reads):
            if re.search("stream|health", path):  # without an end; more to say of a standby
                continue
            joint = "&" if "?" in path else "?"
            for asked, form in (
                (path, "text/csv" if "select" in path or "history" in path else "application/json"),
                (path, "application/x-ndjson" if "events" in path else "application/json"),
                (f"{path}{joint}as_of={head - 30}", "application/json"),
            ):
                headers = {**root, "Accept": form}
                one, other = [await client.get(asked, headers=headers) for client in (primary, standby)]
                assert (other.status_code, other.content) == (one.status_code, one.content), (asked, form)
                assert one.status_code < 500
                some += one.is_success
                past += one.is_success and "as_of" in asked
        assert some > 150
        assert past > 30


async def test_events_are_told_live_when_the_standby_shows_them(ledger: Ledger) -> None:
    frames = ""
    async with (
        listening(create_app(ledger.settings())) as address,
        httpx.AsyncClient(base_url=address, timeout=LONG_S) as client,
        client.stream("GET", "/events/stream?after=0") as answer,
        asyncio.timeout(BOUND_S),
    ):
        lines = answer.aiter_text()
        async with ledger.still() as resume:
            await ledger.project()
            while "project-1" not in frames:
                frames += await anext(lines)
            await asyncio.sleep(0.3)
            assert "project-2" not in frames, "it tells what a read does not show yet"
            await resume()
        while "project-2" not in frames:
            frames += await anext(lines)


@pytest.mark.parametrize("path", ["/projects?min_position={}", "/projects?as_of={}", "/events?after={}", "/events/{}"])
async def test_a_read_of_what_the_standby_has_not_replayed_waits_for_it(ledger: Ledger, path: str) -> None:
    async with serving(ledger.settings(visible_timeout_s=LONG_S, read_lag_max_s=LONG_S)) as client:
        assert (await client.get(MATCHED)).status_code == 200
        async with ledger.still() as resume:
            position = await ledger.project()
            asked = asyncio.create_task(client.get(path.format(position)))
            done, _ = await asyncio.wait([asked], timeout=0.4)
            assert not done, done.pop().result().text
            await resume()
            answer = await asked
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["Hourbook-Position"]) >= position


async def test_the_wait_for_the_standby_ends_and_what_the_primary_does_not_have_is_refused(ledger: Ledger) -> None:
    async with serving(ledger.settings(visible_timeout_s=0.5, read_lag_max_s=LONG_S)) as client:
        async with ledger.still():
            position = await ledger.project()
            assert await code_of(client, f"/projects?min_position={position}") == (503, "not_yet_visible")
            assert await code_of(client, f"/projects?as_of={position}") == (503, "standby_behind")
        await ledger.replayed()
        assert await code_of(client, f"/projects?min_position={position}") == (200, "")
    async with serving(ledger.settings(visible_timeout_s=LONG_S)) as client:
        beyond = position + 1
        for path in (f"/projects?min_position={beyond}", f"/projects?as_of={beyond}", f"/events?after={beyond}"):
            assert await code_of(client, path) == (400, "invalid_field"), path
        assert await code_of(client, "/events/stream", **{"Last-Event-ID": f"{beyond}"}) == (400, "invalid_field")
        assert await code_of(client, f"/events/{beyond}") == (404, "unknown_id")


async def test_a_standby_that_stands_still_is_not_read_until_it_has_caught_up(ledger: Ledger) -> None:
    async with serving(ledger.settings(read_lag_max_s=1.5)) as client:

        async def answers(status: int) -> bool:
            return (await client.get("/projects")).status_code == status

        await until(lambda: answers(200))
        async with ledger.still():
            await ledger.project()
            began = time.monotonic()
            await until(lambda: answers(503))
            assert time.monotonic() - began > 1
            for path in ("/projects", "/health", "/projects?as_of=1"):
                assert await code_of(client, path) == (503, "standby_behind"), path
            metrics = (await client.get("/metrics")).text
            assert "hourbook_standby_behind_seconds 0.0" not in metrics
            assert "hourbook_standby_behind_seconds" in metrics
        await until(lambda: answers(200))
        health = (await client.get("/health")).json()
        assert (health["status"], health["position"], health["standby_behind_seconds"]) == ("ok", 2, 0)


async def test_a_standby_on_which_nothing_happens_is_not_behind(ledger: Ledger) -> None:
    async with serving(ledger.settings(read_lag_max_s=0.5)) as client, ledger.still():
        await asyncio.sleep(1.6)
        assert (await client.get("/projects")).status_code == 200


async def test_a_read_that_the_replay_cancels_is_tried_again(ledger: Ledger) -> None:
    """The primary takes locks for which the standby ends every read that uses the table at that moment."""
    conflicts = "SELECT sum(confl_lock + confl_snapshot) FROM pg_stat_database_conflicts"
    for setting in ("max_standby_streaming_delay = 0", "deadlock_timeout = '10ms'"):
        await asyncio.to_thread(ledger.standby.ask, f"ALTER SYSTEM SET {setting}")
    await asyncio.to_thread(ledger.standby.ask, "SELECT pg_reload_conf()")
    before = await asyncio.to_thread(ledger.standby.ask, conflicts)
    last = await ledger.project(1500)
    await ledger.replayed()

    async def lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            async with connection.transaction():
                await connection.execute("LOCK TABLE past_pool, pool, event, generation IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(0.05)

    async with connected(ledger.url) as connection, listening(create_app(ledger.settings())) as address:
        locking = asyncio.create_task(lock(connection))
        async with httpx.AsyncClient(base_url=address, timeout=LONG_S) as client:

            async def cancelled() -> bool:
                answers = await asyncio.gather(*(client.get(path) for path in ("/projects?as_of=9", "/projects") * 5))
                assert {answer.text for answer in answers if not answer.is_success} == set()
                whole = await client.get("/events", headers={"Accept": "application/x-ndjson"})
                assert whole.text.count("\n") == last
                assert await told(client, last) == list(range(1, last + 1))
                return bool(await asyncio.to_thread(ledger.standby.ask, conflicts) - before >= 3)

            await until(cancelled)
        await end_tasks(locking)


async def told(client: httpx.AsyncClient, last: int) -> list[int]:
    """The positions of the events that a live subscriber gets, from the first to `last`."""
    positions: list[int] = []
    async with client.stream("GET", "/events/stream?after=0") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                positions.append(json.loads(line.removeprefix("data: "))["position"])
                if positions[-1] == last:
                    break
    return positions


async def answered(client: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    return (await client.get("/projects", headers=headers)).status_code == 200


async def test_reads_go_on_when_a_host_is_lost_or_promoted(own_directory: Path, tmp_path: Path) -> None:
    with started(own_directory / "lost") as cluster:
        ledger = Ledger(cluster, await make_database(cluster.primary))
        position, first, second = await ledger.project(), cluster.primary, cluster.standbys[0]
        token = await with_token(ledger.url, Limit("reader"))
        await ledger.replayed()
        settings = ledger.settings(second, first, auth_file=auth_file(tmp_path))
        async with serving(settings) as client:

            async def read() -> None:
                answer = await client.get("/projects", headers=token)
                assert answer.status_code == 200, answer.text

            await read()
            await asyncio.to_thread(second.pause)
            await until(lambda: answered(client, token))
            await asyncio.to_thread(second.resume)
            await asyncio.to_thread(first.kill)

            await until(lambda: answered(client, token))  # credentials are read from the standby now
            for _ in range(3):
                await read()
                await asyncio.sleep(0.5)
            assert (await client.get("/health")).json()["primary_unasked_seconds"] > 1
            assert (await client.get("/projects", headers=token)).json()["position"] == position
            await asyncio.to_thread(cluster.promote, second)
            await read()


async def test_a_standby_that_has_missed_a_revocation_does_not_speak_for_a_silent_primary(
    ledger: Ledger, tmp_path: Path
) -> None:
    primary, token = ledger.cluster.primary, await with_token(ledger.url, Limit("reader"))
    await ledger.replayed()
    async with serving(ledger.settings(auth_file=auth_file(tmp_path), read_lag_max_s=LONG_S)) as client:
        assert await answered(client, token)
        await asyncio.sleep(0.5)  # after the first look, a token is remembered until a look sees a revocation
        assert await answered(client, token)
        async with ledger.still():
            async with connected(ledger.url) as connection:
                await connection.execute("UPDATE token SET revoked_at = now()")
                await connection.execute(REVOKED)

            async def refused() -> bool:
                return (await client.get("/projects", headers=token)).status_code == 401

            await until(refused)
            await asyncio.to_thread(primary.pause)
            try:
                began = time.monotonic()
                while time.monotonic() - began < 4:
                    answer = await client.get("/projects", headers=token)
                    assert answer.status_code in (401, 503), answer.text
                    await asyncio.sleep(0.2)
            finally:
                await asyncio.to_thread(primary.resume)
