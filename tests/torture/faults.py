"""The parts of the doubled set-up, and how each is broken and mended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

import psutil

from tests.support.doubled import ON_NATS, Doubled
from tests.support.links import Link
from tests.support.nats_cluster import NatsCluster
from tests.support.pg_cluster import PgCluster
from tests.support.system import Service
from tests.torture.clusters import NatsOfThree, Primary, tried


class Part(Protocol):
    """`ways`: kill (SIGKILL, then started again), pause (SIGSTOP, then SIGCONT), cut (connections are reset), silence
    (nothing is heard). `kind` is what the report adds it to."""

    name: str
    kind: str
    ways: tuple[str, ...]

    async def break_(self, way: str) -> None: ...

    async def mend(self, way: str) -> None: ...


class Process:
    """A process of a service."""

    ways: tuple[str, ...] = ("kill", "pause")

    def __init__(self, name: str, service: Service) -> None:
        self.name, self.kind, self._service = name, name.partition("-")[0], service

    async def break_(self, way: str) -> None:
        if way == "kill":
            await asyncio.to_thread(self._service.stop, signal.SIGKILL)
        else:
            self._service.signal(signal.SIGSTOP)

    async def mend(self, way: str) -> None:
        if way == "kill":
            await tried(self._service.start)
        else:
            self._service.signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        return self._service.ended


class Server:
    """The only PostgreSQL or NATS server."""

    ways: tuple[str, ...] = ("kill", "pause")

    def __init__(self, name: str, server: Any) -> None:
        self.name = self.kind = name
        self._server = server

    async def break_(self, way: str) -> None:
        if way == "kill":
            await asyncio.to_thread(self._server.stop, signal.SIGKILL)
        else:
            signal_all(self._server.process, signal.SIGSTOP)

    async def mend(self, way: str) -> None:
        if way == "pause":
            signal_all(self._server.process, signal.SIGCONT)
            return
        await tried(self._server.start)  # PostgreSQL does not start until its last process has noticed the kill


class Network:
    """The network between one process and the servers of one kind."""

    ways: tuple[str, ...] = ("cut", "silence")

    def __init__(self, name: str, kind: str, links: Sequence[Link]) -> None:
        self.name, self.kind, self._links = name, kind, links

    async def break_(self, way: str) -> None:
        for link in self._links:
            link.cut("closed" if way == "cut" else "silent")

    async def mend(self, way: str) -> None:
        del way
        for link in self._links:
            link.mend()


def signal_all(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Signals a process and its children, which may have sessions of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for one in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(how)


def parts_of(two: Doubled) -> dict[str, Part]:
    """Every part, by its name."""
    parts: list[Part] = [Process(name, service) for name, service in two.processes.items()]
    parts.append(Process("gateway", two.gateway))
    postgres, nats = two.system.postgres, two.system.nats
    parts.append(Primary(postgres) if isinstance(postgres, PgCluster) else Server("postgres", postgres))
    several = nats.servers if isinstance(nats, NatsCluster) else []
    parts += [NatsOfThree(server) for server in several] or [Server("nats", nats)]
    for name in two.processes:
        service = name.partition("-")[0]
        parts.append(Network(f"{name}>postgres", f"{service}>postgres", two.to_postgres(name)))
        if service in ON_NATS:
            parts.append(Network(f"{name}>nats", f"{service}>nats", two.to_nats(name)))
    return {part.name: part for part in parts}


WEIGHTS = {
    "postgres": 9.0,
    "nats-1": 1.5,
    "nats-2": 1.5,
    "nats-3": 1.5,
    "command-1": 2.0,
    "command-2": 2.0,
    "gateway": 0.4,
}
