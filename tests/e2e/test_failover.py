"""The primary of PostgreSQL is lost under load, and a standby is promoted: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest

from services.cli.status import database_hosts
from shared import postgres
from shared.jetstream import STREAM
from shared.progress import read_progress
from tests.support.pg_cluster import Clustered, Node, PgCluster
from tests.support.replay import assert_all_is_there_once
from tests.support.system import Service, System
from tests.support.writers import BOOKING, BOUND_S, Writers, writing

FOUND_S = 10.0  # a busy machine; the aim, from the promotion to the first 201, is 5 s


class Ledger(Writers):
    """All services over a primary and a standby, and clients that write."""

    def __init__(self, system: System, command: Service, query: Service) -> None:
        super().__init__(command.url)
        assert isinstance(system.postgres, PgCluster)
        self.system, self.cluster, self.command, self.query = system, system.postgres, command, query

    async def fail_over(self, lose: Callable[[Node], None]) -> tuple[Node, float]:
        """Loses the primary and promotes the standby. The lost one, and the seconds from the promotion to the next
        answer."""
        await self.grown_by(50)
        lost = self.cluster.primary
        await asyncio.to_thread(lose, lost)
        await asyncio.to_thread(self.cluster.promote)
        promoted = time.monotonic()
        await self.grown_by(50)
        return lost, self.first_after(promoted)

    async def comes_back(self, lost: Node, *, rewind: bool = True) -> None:
        """The lost one becomes a standby, for which commits wait."""
        await asyncio.to_thread(lost.kill)
        await asyncio.to_thread(self.cluster.rewind if rewind else self.cluster.copy, lost)
        self.cluster.follow(lost)
        await asyncio.to_thread(self.cluster.wait_until_caught_up)
        await asyncio.to_thread(self.cluster.wait_for_standbys, True)

    async def all_have_reached_the_primary(self) -> None:
        """Relay, projector, sealer, historian, indexer and notifier go on at the new primary, and so does a query."""
        connection = await postgres.connect(self.system.postgres.url)
        async with asyncio.timeout(BOUND_S):
            while not await self._level(connection):
                await asyncio.sleep(0.1)
        await connection.close()

    async def _level(self, connection: postgres.Connection) -> bool:
        progress = await read_progress(connection)
        reached = (progress.position, progress.sealed, progress.past, progress.indexed, progress.noticed)
        async with httpx.AsyncClient() as client:
            relayed = (await client.get(f"{self.command.url}/health")).json()["relayed"]
            listed = await client.get(f"{self.query.url}/projects", params={"min_position": progress.head})
        return all((one or 0) >= progress.head for one in (*reached, relayed)) and listed.status_code == 200


@contextlib.asynccontextmanager
async def ledger(directory: Path, *, synchronous: bool) -> AsyncIterator[Ledger]:
    system = System(directory / f"failover-{uuid4().hex}", Clustered(synchronous=synchronous))
    system.start()
    try:
        with system.projector(), system.sealer(), system.notify(), system.query() as query, system.command() as command:
            ledger = Ledger(system, command, query)
            await ledger.begin()
            async with writing(ledger):
                yield ledger
            await ledger.all_have_reached_the_primary()
            await assert_all_is_there_once(system, ledger.acknowledged)
    finally:
        system.stop()


async def head_of(node: Node) -> int:
    connection = await postgres.connect(node.url)
    head: int = await connection.fetchval("SELECT position FROM event_head")
    await connection.close()
    return head


async def test_a_synchronous_standby_takes_over_from_a_killed_and_from_a_paused_primary(own_directory: Path) -> None:
    async with ledger(own_directory, synchronous=True) as whole:
        first, found_s = await whole.fail_over(Node.kill)
        assert found_s < FOUND_S
        await whole.comes_back(first)

        second, found_s = await whole.fail_over(Node.pause)
        assert found_s < FOUND_S
        before = len(whole.acknowledged)
        second.resume()
        left_behind = await head_of(second)
        await whole.grown_by(100)
        assert await head_of(second) == left_behind, "it takes writes, and nobody writes to it"
        rows = {row.part: row for row in await database_hosts(whole.cluster.url)}
        assert rows[f"PostgreSQL 127.0.0.1:{first.port}"].note == "takes writes, timeline 3"
        assert "older timeline 2: stop it" in (rows[f"PostgreSQL 127.0.0.1:{second.port}"].trouble or "")
        assert await head_of(first) > left_behind
        assert len(whole.acknowledged) >= before + 100
        await whole.comes_back(second)
        async with httpx.AsyncClient(base_url=whole.command.url) as client:
            assert (await client.post("/bookings/create", json={**BOOKING, "cores": 10**7})).status_code == 409


@pytest.mark.failover
@pytest.mark.timeout(600)
async def test_primary_after_primary_is_lost_and_nothing_acknowledged_is(own_directory: Path) -> None:
    async with ledger(own_directory, synchronous=True) as whole:
        for number in range(8):
            lose = (Node.kill, Node.pause)[number % 2]
            lost, found_s = await whole.fail_over(lose)
            print(f"{lose.__name__}: the first answer {found_s:.2f} s after the promotion")
            assert found_s < FOUND_S
            lost.resume()
            await whole.grown_by(50)
            await whole.comes_back(lost, rewind=number % 3 > 0)
        print(f"{len(whole.acknowledged):,} bookings acknowledged")


async def test_an_asynchronous_standby_that_was_behind_accepts_nothing_until_it_is_healed(own_directory: Path) -> None:
    system = System(own_directory / f"failover-{uuid4().hex}", Clustered(synchronous=False))
    system.start()
    try:
        with system.projector(), system.command() as command:
            cluster, before, after = system.postgres, Writers(command.url), Writers(command.url)
            assert isinstance(cluster, PgCluster)
            await before.begin()
            async with writing(before):
                await before.grown_by(20)
                await asyncio.to_thread(cluster.hold_back, cluster.standbys[0])
                await before.grown_by(20)
            await published(system, await head_of(cluster.primary))
            await asyncio.to_thread(cluster.primary.kill)
            await asyncio.to_thread(cluster.promote)
            promoted = time.monotonic()
            health = await closed(command)
            assert time.monotonic() - promoted < FOUND_S
            assert "the store has lost" in health["trouble"]
            left = await head_of(cluster.primary)
            async with httpx.AsyncClient(base_url=command.url, timeout=BOUND_S) as client:
                answer = await client.post("/bookings/create", json=BOOKING)
            assert (answer.status_code, answer.json()["code"]) == (503, "history_unsettled")
            assert await head_of(cluster.primary) == left < len(before.acknowledged)

            await asyncio.to_thread(heal, system)
            async with writing(after):
                await after.grown_by(20)
            await assert_all_is_there_once(system, before.acknowledged + after.acknowledged)
    finally:
        system.stop()


def heal(system: System) -> None:
    """As the operator does, who knows that the lost primary does not come back."""
    program = [sys.executable, "-m", "services.cli", "heal", "--apply", "--other-primary-is-gone"]
    healed = subprocess.run(program, env=system.environment(), check=False, capture_output=True, text=True)
    assert healed.returncode == 0, healed.stdout + healed.stderr


async def published(system: System, position: int) -> None:
    client = await nats.connect(system.nats.url)
    async with asyncio.timeout(BOUND_S):
        while (await client.jetstream().stream_info(STREAM)).state.last_seq < position:
            await asyncio.sleep(0.01)
    await client.close()


async def closed(command: Service) -> dict[str, Any]:
    """The health of the command service when it accepts nothing."""
    async with asyncio.timeout(BOUND_S), httpx.AsyncClient(base_url=command.url) as client:
        while (answer := await client.get("/health")).status_code != 503:
            await asyncio.sleep(0.02)
    health: dict[str, Any] = answer.json()
    assert not health["accepts"]
    return health
