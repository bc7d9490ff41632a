"""A primary of PostgreSQL with a synchronous standby, and three NATS servers: how their parts are broken and mended."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import psutil

from services.cli.up.embedded import EmbeddedServerFailed
from tests.support.nats_cluster import ClusterServer, NatsCluster, nats_cluster
from tests.support.pg_cluster import Clustered, Node, PgCluster

REPLICAS = 3
SILENT_S = 1.0  # a primary that is silent for so long is given up
ZOMBIE_S = 1.5  # a primary that stood still goes on for so long before it is ended
TRIES = 5
SENDER = "SELECT pid FROM pg_stat_replication WHERE application_name = $1"
FAILED = (
    AssertionError,
    EmbeddedServerFailed,
    RuntimeError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    subprocess.SubprocessError,
)


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

    name: str = "postgres"
    kind: str = "postgres"
    ways: tuple[str, ...] = ("kill", "pause", "standby", "apart")

    def __init__(self, cluster: PgCluster) -> None:
        self._cluster = cluster
        self._lost: Node | None = None
        self._sender: psutil.Process | None = None

    async def break_(self, way: str) -> None:
        standby = self._cluster.standbys[0]
        if way == "standby":
            await asyncio.to_thread(standby.kill)
        elif way == "apart":
            self._sender = await self._sends_to(standby)
            self._sender.suspend()
        else:
            self._lost = self._cluster.primary
            await asyncio.to_thread(self._lost.kill if way == "kill" else self._lost.pause)
            await asyncio.sleep(SILENT_S)
            await tried(partial(self._cluster.promote, standby))

    async def mend(self, way: str) -> None:
        if way == "standby":
            await tried(self._cluster.standbys[0].start)
        elif way == "apart" and self._sender is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._sender.resume()
        elif self._lost is not None:
            if way == "pause":
                await asyncio.to_thread(self._lost.resume)
                await asyncio.sleep(ZOMBIE_S)
            await self._come_back(self._lost)
            self._lost = None

    async def _sends_to(self, standby: Node) -> psutil.Process:
        """The process of the primary that sends to the standby, which may have to connect again first."""
        for _ in range(TRIES * 10):
            pid = await asyncio.to_thread(self._cluster.primary.ask, SENDER, standby.name)
            if pid is not None:
                return psutil.Process(pid)
            await asyncio.sleep(0.5)
        raise EmbeddedServerFailed(f"the standby {standby.name} does not connect to the primary")

    async def _come_back(self, lost: Node) -> None:
        """As a standby: with pg_rewind, or as a new copy if that fails."""
        try:
            await asyncio.to_thread(self._cluster.come_back, lost)
        except FAILED:
            await tried(partial(self._cluster.come_back, lost, rewind=False))
        await tried(self._cluster.wait_until_caught_up)
        await tried(partial(self._cluster.wait_for_standbys, True))


class NatsOfThree:
    """One of three NATS servers."""

    kind: str = "nats"
    ways: tuple[str, ...] = ("kill", "pause")

    def __init__(self, server: ClusterServer) -> None:
        self.name, self._server = server.name, server

    async def break_(self, way: str) -> None:
        await asyncio.to_thread(self._server.kill if way == "kill" else self._server.pause)

    async def mend(self, way: str) -> None:
        await tried(self._server.start if way == "kill" else self._server.resume)


async def tried(do: Callable[[], object]) -> None:
    """Does it in a thread, and again if it fails: a busy machine may take longer than a test usually waits."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(*FAILED):
            await asyncio.to_thread(do)
            return
        await asyncio.sleep(1.0)
    await asyncio.to_thread(do)
