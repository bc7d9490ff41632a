"""The NATS server on which subscribers are made: the embedded one of a running `hourbook up`, or a server of yours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.js import JetStreamContext

from services.cli.failure import Failure
from services.cli.up.directory import DataDirectory, Process, default_directory
from services.cli.up.embedded_nats import NatsFiles, Subscriber, url_for
from services.cli.up.processes import started_at
from services.cli.up.servers import NATS, NATS_ERRORS, connect_nats
from shared.jetstream import STREAM, leave
from shared.nats_access.users import ADMIN, SUBSCRIBER

TAKEN_S = 15.0
READING_S = 5.0
ANSWER_S = 1.0
RETRY_S = 0.2
LOOK_AGAIN_S = 0.05
SIGNAL_AGAIN_S = 2.0

T = TypeVar("T")


class Embedded:
    """The NATS server of the `hourbook up` that runs now."""

    def __init__(self, files: NatsFiles, process: Process, port: int) -> None:
        self.files, self._process, self._port = files, process, port
        self.url = url_for(ADMIN.name, files.logins()[ADMIN.name].password, port)

    def address_of(self, user: str, password: str) -> str:
        return url_for(user, password, self._port)

    async def connected(self) -> Client:
        """A connection as the administrator. Raises one of NATS_ERRORS."""
        return await patiently(lambda: _answered(self.url, JetStreamContext.account_info))

    def set_subscribers(self, subscribers: list[Subscriber]) -> None:
        """Writes the subscribers, and makes the server read them. Raises Failure if the server has ended."""
        self._write(subscribers)
        self._signal()

    async def let_in(self, new: Subscriber, password: str) -> None:
        """Adds a subscriber, and returns when the server serves it. If that fails, or is broken off, it is taken back.
        Raises Failure.

        A NATS server takes a new account at the first signal, and the subjects of the account only at the next one.
        While it reads, requests of other users may be lost. So there is no signal before the one before it is seen to
        have worked, or has not for SIGNAL_AGAIN_S.
        """
        before = self.files.subscribers()
        self._write([*(one for one in before if one.name != new.name), new])
        try:
            async with asyncio.timeout(TAKEN_S):
                await self._signal_until(lambda: self._knows(new.name, password))
                await self._signal_until(lambda: self._serves(new.name, password))
        except BaseException as error:
            self._write(before)
            with contextlib.suppress(Failure):
                self._signal()
            if not isinstance(error, TimeoutError):
                raise
            raise Failure("NATS does not take the new configuration: see logs/nats.log in the data directory") from None

    async def _signal_until(self, works: Callable[[], Awaitable[bool]]) -> None:
        """Signals, and waits until that has worked. Signals again after each SIGNAL_AGAIN_S."""
        while True:
            self._signal()
            again = time.monotonic() + SIGNAL_AGAIN_S
            while time.monotonic() < again:
                if await works():
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    def _write(self, subscribers: list[Subscriber]) -> None:
        self.files.set_subscribers(subscribers)
        self.files.write_config(self._port)

    def _signal(self) -> None:
        if started_at(self._process.pid) != self._process.started:
            raise Failure("the NATS server of this `hourbook up` has just ended: try again")
        os.kill(self._process.pid, signal.SIGHUP)

    async def _knows(self, name: str, password: str) -> bool:
        """Whether the server lets the subscriber in."""
        return await _works(connect_nats(self.address_of(f"{SUBSCRIBER}{name}", password)))

    async def _serves(self, name: str, password: str) -> bool:
        """Whether the server answers the subscriber's requests, and the administrator's."""
        address = self.address_of(f"{SUBSCRIBER}{name}", password)
        if not await _works(_answered(address, lambda context: context.consumer_info(STREAM, name))):
            return False
        return await _works(_answered(self.url, JetStreamContext.account_info))


class Own:
    """The server that HOURBOOK_NATS_URL names, with the administrator's user and password."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def connected(self) -> Client:
        """A connection as the administrator. Raises one of NATS_ERRORS."""
        return await connect_nats(self.url)

    def address_of(self, user: str, password: str) -> str:
        """The address of the same servers for another user."""
        return ",".join(_address_of(server.strip(), user, password) for server in self.url.split(","))


def _address_of(server: str, user: str, password: str) -> str:
    parts = urlsplit(server if "://" in server else f"nats://{server}")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Does the work again while the server reads its configuration: then it refuses everybody, or does not answer.
    Raises one of NATS_ERRORS if that lasts longer than READING_S."""
    deadline = time.monotonic() + READING_S
    while True:
        try:
            return await work()
        except NATS_ERRORS:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_S)


async def _answered(address: str, request: Callable[[JetStreamContext], Awaitable[Any]]) -> Client:
    """A connection on which the server has answered the request. Raises one of NATS_ERRORS."""
    client = await connect_nats(address)
    try:
        await request(client.jetstream(timeout=ANSWER_S))
    except BaseException:
        await leave(client)
        raise
    return client


async def _works(connecting: Awaitable[Client]) -> bool:
    """Whether the connection is made. It is closed again."""
    try:
        client = await connecting
    except NATS_ERRORS:
        return False
    await leave(client)
    return True


def place(data_dir: Path | None, environment: Mapping[str, str]) -> Embedded | Own:
    """The server that the environment names; without one, or with `data_dir`, that of `hourbook up`. Raises Failure."""
    if data_dir is None and environment.get(NATS):
        return Own(environment[NATS])
    directory = DataDirectory(data_dir or default_directory(environment))
    run = directory.read_run()
    process = run.processes.get("nats") if run else None
    if process is None or process.port is None or started_at(process.pid) != process.started:
        raise Failure(
            f"no NATS server of `hourbook up` runs in {directory.path}: start `hourbook up`, give its --data-dir, or "
            f"set {NATS} to your own server, with the administrator's user and password"
        )
    return Embedded(NatsFiles(directory.nats), process, process.port)
