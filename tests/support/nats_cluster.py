"""Three real NATS servers that are a cluster. Each can be killed, paused, stopped, started and emptied."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nats.errors
from nats.js import JetStreamContext

from services.cli.up.embedded import free_port, stop_process
from services.cli.up.embedded_nats import EmbeddedNats, NatsFiles, Subscriber, quoted, url_for
from shared.jetstream import NATS_LOST, STREAM, leave
from shared.nats_access.config import ROUTE, cluster
from shared.nats_access.users import ADMIN, TOGETHER, USERS
from shared.nats_server import NatsClient
from tests.support.backends import run

NAMES = ("nats-1", "nats-2", "nats-3")
ROUTE_PASSWORD = "pRoute"
READY_S = 60.0
RETRY_S = 0.1


class _Files(NatsFiles):
    """The files of one server. The cluster's lines stand at the end of its configuration."""

    def __init__(self, directory: Path, lines: str) -> None:
        super().__init__(directory, (*USERS, TOGETHER))
        self._lines = lines

    def write_config(self, port: int) -> None:
        super().write_config(port)
        with self.config.open("a") as config:
            config.write(self._lines)


class ClusterServer(EmbeddedNats):
    """One server of the cluster."""

    def __init__(self, directory: Path, name: str, listen: int, routes: list[int]) -> None:
        super().__init__(directory, free_port())
        self.name = name
        addresses = json.dumps([f"nats://{ROUTE}:{ROUTE_PASSWORD}@127.0.0.1:{port}" for port in routes])
        listening = quoted(f"127.0.0.1:{listen}")
        self.files = _Files(directory, cluster(quoted(name), addresses, ROUTE_PASSWORD, listening))
        self.paused = False

    @property
    def runs(self) -> bool:
        """Whether the process is there and not paused."""
        return self.process is not None and self.process.poll() is None and not self.paused

    def pause(self) -> None:
        """The server falls silent: its connections stay open, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the server, also a paused one. It is no error if it has ended."""
        if self.paused and how != signal.SIGKILL:
            self.resume()
        self.paused = False
        stop_process(self.process, how)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def wipe(self) -> None:
        """Stops the server, removes everything that JetStream stored on it, and starts it."""
        self.stop()
        shutil.rmtree(self.directory / "data")
        self.start()


class NatsCluster:
    """A cluster of three servers. Where one server is wanted (tests.support.backends.Nats), it can be given.

    `url` and `url_of` name all three servers. A server that starts again has the same address.
    """

    def __init__(self, directory: Path, subscribers: Sequence[Subscriber] = ()) -> None:
        self._subscribers = list(subscribers)
        listen = [free_port() for _ in NAMES]
        self.servers = [
            ClusterServer(directory / name, name, port, listen) for name, port in zip(NAMES, listen, strict=True)
        ]

    @property
    def url(self) -> str:
        """The administrator's address."""
        return self.url_of(ADMIN.name)

    def url_of(self, user: str) -> str:
        return ",".join(server.url_of(user) for server in self.servers)

    def url_with(self, user: str, password: str) -> str:
        """The address for a user whose password the test knows."""
        return ",".join(url_for(user, password, server.port) for server in self.servers)

    def start(self) -> None:
        """Starts those that do not run, and waits until JetStream answers."""
        for server in self.servers:
            server.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.servers[0].files.logins()
        for server in self.servers[1:]:  # the same passwords on all servers
            shutil.copy(self.servers[0].directory / "passwords.json", server.directory)
        for server in self.servers:
            server.files.set_subscribers(self._subscribers)
            if server.process is None or server.process.poll() is not None:
                server.start()
        run(self.ready())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends all servers. With SIGKILL, at once."""
        if how == signal.SIGKILL:
            for server in self.servers:
                if server.process is not None and server.process.poll() is None:
                    server.process.kill()
        for server in self.servers:
            server.stop(how)

    async def ready(self) -> None:
        """Waits until JetStream answers. It does when more than half of the servers run and have a leader."""
        await self._asked(lambda context: context.account_info())

    async def leader(self, stream: str = STREAM) -> ClusterServer:
        """The server that leads a stream now. Waits for one that runs."""

        async def leading(context: JetStreamContext) -> ClusterServer:
            cluster = (await context.stream_info(stream)).cluster
            name = cluster.leader if cluster is not None else None
            for server in self.servers:
                if server.name == name and server.runs:
                    return server
            raise nats.errors.Error(f"the leader of {stream} is {name or 'nobody'}")

        return await self._asked(leading)

    async def level(self, stream: str = STREAM) -> None:
        """Waits until all three servers have everything of a stream."""

        async def current(context: JetStreamContext) -> None:
            cluster = (await context.stream_info(stream)).cluster
            replicas = (cluster.replicas if cluster is not None else None) or []
            if len(replicas) != len(NAMES) - 1 or not all(one.current and not one.lag for one in replicas):
                raise nats.errors.Error(f"{stream}: {replicas}")

        await self._asked(current)

    async def lead_with(self, server: ClusterServer, stream: str = STREAM) -> None:
        """Makes a server the leader of a stream. It must have everything of it."""
        request = {"placement": {"preferred": server.name}}

        async def asked(context: JetStreamContext) -> None:
            cluster = (await context.stream_info(stream)).cluster
            if cluster is None or cluster.leader != server.name:
                await context._api_request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", json.dumps(request).encode())
                raise nats.errors.Error("another leads")

        await self._asked(asked)

    async def _asked(self, question: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
        """The answer to a question about JetStream, which is asked until it is answered. Raises TimeoutError."""
        deadline = time.monotonic() + READY_S
        last: Exception | None = None
        while time.monotonic() < deadline:
            for server in self.servers:
                if not server.runs:
                    continue
                try:
                    return await _answer(server.url, question)
                except (*NATS_LOST, ValueError) as error:
                    last = error
            await asyncio.sleep(RETRY_S)
        raise TimeoutError(f"the cluster did not answer within {READY_S:.0f} s: {last!r}")


async def _answer(url: str, question: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    client = NatsClient()
    try:
        await client.connect(url, allow_reconnect=False, connect_timeout=2, error_cb=_ignored)
        return await question(client.jetstream(timeout=2))
    finally:
        await leave(client)


async def _ignored(_: Exception) -> None:
    pass


@contextlib.contextmanager
def nats_cluster(directory: Path, subscribers: Sequence[Subscriber] = ()) -> Iterator[NatsCluster]:
    """A cluster that runs as long as the block does. It knows `subscribers`, whose consumers the test makes."""
    made = NatsCluster(directory, subscribers)
    try:
        made.start()
        yield made
    finally:
        made.stop(signal.SIGKILL)
