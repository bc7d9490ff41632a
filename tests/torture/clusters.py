"""A primary of PostgreSQL with a synchronous standby, and three NATS servers: how their parts are broken and mended."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from services.cli.up.embedded import EmbeddedServerFailed
from tests.support.nats_cluster import ClusterServer, NatsCluster, nats_cluster
from tests.support.pg_cluster import Clustered, Node, PgCluster

REPLICAS = 3
SILENT_S = 1.0  # a primary that is silent for so long is given up
ZOMBIE_S = 1.5  # a primary that stood still goes on for so long before it is ended
TRIES = 3
FAILED = (AssertionError, EmbeddedServerFailed, OSError, asyncpg.PostgresError, subprocess.SubprocessError)


class Clusters(Clustered):
    """The backend of a System whose servers are clusters."""

    def __init__(self) -> None:
        super().__init__(synchronous=True)

    @contextlib.contextmanager
    def nats(self, directory: Path) -> Iterator[NatsCluster]:
        with nats_cluster(directory) as cluster:
            yield cluster


class Primary:
    """The primary and its standby, and who watches over them: it promotes the standby when the primary is lost, and
    makes the lost one a standby again.

    kill     the primary is lost
    pause    the primary stands still; after the promotion it goes on, until it is ended
    standby  the standby is killed: commits wait for it
    apart    the standby gets nothing of the primary: commits wait
    """

    name = kind = "postgres"
    ways = ("kill", "pause", "standby", "apart")

    def __init__(self, cluster: PgCluster) -> None:
        self._cluster = cluster
        self._lost: Node | None = None

    async def break_(self, way: str) -> None:
        standby = self._cluster.standbys[0]
        if way == "standby":
            await asyncio.to_thread(standby.kill)
        elif way == "apart":
            await asyncio.to_thread(self._cluster.hold_back, standby)
        else:
            self._lost = self._cluster.primary
            await asyncio.to_thread(self._lost.kill if way == "kill" else self._lost.pause)
            await asyncio.sleep(SILENT_S)
            await asyncio.to_thread(self._cluster.promote, standby)

    async def mend(self, way: str) -> None:
        standby = self._cluster.standbys[0]
        if way == "standby":
            await asyncio.to_thread(standby.start)
        elif way == "apart":
            await asyncio.to_thread(self._cluster.let_go, standby)
        elif self._lost is not None:
            if way == "pause":
                await asyncio.to_thread(self._lost.resume)
                await asyncio.sleep(ZOMBIE_S)
            await self._come_back(self._lost)
            self._lost = None

    async def _come_back(self, lost: Node) -> None:
        for again in range(TRIES):
            with contextlib.suppress(*FAILED):
                await asyncio.to_thread(self._cluster.come_back, lost, rewind=not again)
                break
        await asyncio.to_thread(self._cluster.wait_until_caught_up)
        await asyncio.to_thread(self._cluster.wait_for_standbys, True)


class NatsOfThree:
    """One of three NATS servers."""

    kind = "nats"
    ways = ("kill", "pause")

    def __init__(self, server: ClusterServer) -> None:
        self.name, self._server = server.name, server

    async def break_(self, way: str) -> None:
        await asyncio.to_thread(self._server.kill if way == "kill" else self._server.pause)

    async def mend(self, way: str) -> None:
        await asyncio.to_thread(self._server.start if way == "kill" else self._server.resume)
