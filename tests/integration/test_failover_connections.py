"""Connections over a failover: they leave a primary that is silent or old, and go to the one that was promoted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from services.cli.failure import Failure
from services.cli.heal.commands import connect_to_primary
from shared import postgres
from shared.migrate import migrate
from shared.postgres import LOST
from tests.support.pg_cluster import PgCluster, pg_cluster

READS = {"default_transaction_read_only": "on"}
BOUND_S = 30  # a busy machine; the aim is 5 s


@pytest.fixture
def cluster(own_directory: Path) -> Iterator[PgCluster]:
    with pg_cluster(own_directory / f"cluster-{uuid4().hex}") as cluster:
        yield cluster


async def port_of(reader: postgres.Reader) -> int:
    record = await reader.fetchrow("SELECT current_setting('port')::int AS port")
    assert record is not None
    return int(record["port"])


async def reaches(pool: postgres.Pool, port: int) -> None:
    """Returns when the pool answers from this port."""
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                if await port_of(pool) == port:
                    return
            except LOST:
                await asyncio.sleep(0.05)


async def test_who_waits_for_a_primary_that_stands_still_goes_to_the_promoted_one_and_does_not_come_back(
    cluster: PgCluster,
) -> None:
    old, url = cluster.primary, cluster.url_of("postgres")
    writer = await postgres.connect(url)
    async with postgres.create_pool(url, min_size=2, max_size=2, server_settings=READS) as pool:
        assert await port_of(pool) == await port_of(writer) == old.port
        old.pause()
        waiting = asyncio.create_task(port_of(writer))
        await asyncio.to_thread(cluster.promote)
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresConnectionError)):
            async with asyncio.timeout(BOUND_S):
                await waiting
        await reaches(pool, cluster.primary.port)

        old.resume()
        assert not await asyncio.to_thread(old.ask, "SELECT pg_is_in_recovery()"), "it takes writes still"
        for _ in range(5):
            connection = await postgres.connect(url)
            assert await port_of(connection) == cluster.primary.port
            await connection.close()
        await asyncio.to_thread(cluster.primary.kill)
        with pytest.raises(LOST, match=f"127.0.0.1:{old.port} is an older primary: its timeline is 1, and a host"):
            await postgres.connect(url)


async def test_who_began_at_an_older_primary_leaves_it_when_a_newer_one_is_seen(cluster: PgCluster) -> None:
    old, url = cluster.primary, cluster.url_of("postgres")
    await asyncio.to_thread(cluster.promote)
    new, beside = cluster.primary, cluster.url_of("hourbook")
    await asyncio.to_thread(new.pause)
    async with postgres.create_pool(url, min_size=1, max_size=2) as pool:
        assert await port_of(pool) == old.port, "nobody knows of a newer one"
        await asyncio.to_thread(new.resume)
        await reaches(pool, new.port)
    await asyncio.to_thread(old.kill)
    migrate(beside)
    connection = await postgres.connect(beside)
    assert await connection.fetchval("SELECT count(*) FROM event") == 0
    await connection.close()


async def test_heal_asks_no_host_while_two_take_writes(cluster: PgCluster) -> None:
    old, url = cluster.primary, cluster.url_of("postgres")
    await asyncio.to_thread(cluster.promote)
    both = f"127.0.0.1:{old.port} (timeline 1), 127.0.0.1:{cluster.primary.port} (timeline 2)"
    with pytest.raises(Failure, match=f"^2 hosts of .* take writes: {re.escape(both)}. Stop those of the older"):
        await connect_to_primary(url)
    await asyncio.to_thread(old.kill)
    connection = await connect_to_primary(url)
    assert await connection.fetchval("SHOW port") == str(cluster.primary.port)
    await connection.close()
