"""The servers that tests run on: embedded ones, containers, or those that the environment names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import nats
import pytest

from services.cli.up.embedded import EmbeddedPostgres
from services.cli.up.embedded_nats import EmbeddedNats
from shared.database_roles import Login, let_connect, login_url
from shared.grants import SERVICES
from shared.jetstream import STREAM
from shared.nats_access.users import TOGETHER, USERS
from shared.nats_server import NatsServer

RUN = uuid4().hex[:8]  # in the name of every database that this run makes
TEMPLATE = f"hourbook_template_{RUN}"
# The roles of the services. Every database of this run lets them in.
LOGINS = {service: Login(f"test_{RUN}_{service}", uuid4().hex) for service in SERVICES}
_numbers = count(1)


class Postgres(Protocol):
    """A server on which databases may be made. `stop` and `start` are for tests that kill it."""

    @property
    def url(self) -> str: ...

    def url_of(self, database: str) -> str: ...

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = signal.SIGINT) -> None: ...


class Nats(Protocol):
    """A server with JetStream and no stream of ours. It keeps its address over `stop` and `start`.

    `url` is the administrator's address: tests look into the streams with it. A service gets that of its own user.
    """

    @property
    def url(self) -> str: ...

    def url_of(self, user: str) -> str: ...

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None: ...


class Backend(Protocol):
    """Where servers come from. Each runs as long as the block does; `directory` is for its data."""

    def postgres(self, directory: Path) -> contextlib.AbstractContextManager[Postgres]: ...

    def nats(self, directory: Path) -> contextlib.AbstractContextManager[Nats]: ...


class Embedded:
    """Real servers from their wheels, as children of this process."""

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[Postgres]:
        # Killed backends are what its tests see, never a machine that loses power; those that kill servers have others.
        server = EmbeddedPostgres(directory, settings={"fsync": "off", "full_page_writes": "off"})
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # at once: nobody will ask for what is in it

    @contextlib.contextmanager
    def nats(self, directory: Path) -> Iterator[Nats]:
        server = EmbeddedNats(directory, users=(*USERS, TOGETHER))
        try:
            server.start()
            yield server
        finally:
            server.stop()


class Containers:
    """Real servers in containers. HOURBOOK_TEST_POSTGRES_IMAGE and HOURBOOK_TEST_NATS_IMAGE say of which images."""

    def postgres(self, directory: Path) -> contextlib.AbstractContextManager[Postgres]:
        from tests.support.containers import PostgresInContainer

        del directory  # its data stays in the container
        return PostgresInContainer(os.environ.get("HOURBOOK_TEST_POSTGRES_IMAGE", "postgres:18"))

    def nats(self, directory: Path) -> contextlib.AbstractContextManager[Nats]:
        from tests.support.containers import NatsInContainer

        del directory
        return NatsInContainer(os.environ.get("HOURBOOK_TEST_NATS_IMAGE", "nats:2.15"))


class Given:
    """The servers that HOURBOOK_DATABASE_URL (a role that may create databases) and HOURBOOK_NATS_URL name."""

    def __init__(self) -> None:
        self._used = 0

    @contextlib.contextmanager
    def postgres(self, directory: Path) -> Iterator[Postgres]:
        del directory
        given = GivenPostgres(os.environ["HOURBOOK_DATABASE_URL"], f"hourbook_{RUN}_{next(_numbers)}")
        self._used += 1
        yield given
        self._used -= 1
        if not self._used:
            run(drop_databases(given))

    @contextlib.contextmanager
    def nats(self, directory: Path) -> Iterator[Nats]:
        del directory
        given = GivenNats(os.environ["HOURBOOK_NATS_URL"])
        run(delete_streams(given))
        yield given


BACKENDS: dict[str, Callable[[], Backend]] = {"embedded": Embedded, "containers": Containers, "env": Given}


class GivenPostgres:
    """A server that is not ours to stop."""

    def __init__(self, url: str, database: str) -> None:
        self._url, self._database = urlsplit(url), database

    @property
    def url(self) -> str:
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        return self._url._replace(path=f"/{database}").geturl()

    def start(self) -> None:
        pytest.skip("needs a server of its own")

    def stop(self, _how: signal.Signals = signal.SIGINT) -> None:
        pytest.skip("needs a server of its own")


class GivenNats:
    """A server that is not ours to stop."""

    def __init__(self, url: str) -> None:
        self.url = url

    def url_of(self, user: str) -> str:
        del user  # the server's users are not ours to make
        return self.url

    def start(self) -> None:
        pytest.skip("needs a server of its own")

    def stop(self, _how: signal.Signals = signal.SIGTERM) -> None:
        pytest.skip("needs a server of its own")


def nats_of(server: Nats, user: str) -> NatsServer:
    """The server, for a part of a service that the test runs in its own process."""
    return NatsServer(server.url_of(user))


def run(work: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own, whether one runs here or not."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def as_role(url: str, service: str) -> str:
    """The same database, as the role of a service."""
    return login_url(url, LOGINS[service].name, password=LOGINS[service].password)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection, closed after the block."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def make_database(server: Postgres) -> str:
    """The address of a fresh, migrated database, copied from the template: as the role that owns everything."""
    name = f"test_{RUN}_{next(_numbers)}"
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        await let_connect(connection, [login.name for login in LOGINS.values()], name)
    return server.url_of(name)


async def drop_database(server: Postgres, url: str) -> None:
    """Drops a database of `make_database`, with the connections that are left to it."""
    async with connected(server.url_of("postgres")) as connection:
        await connection.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")


async def drop_databases(server: Postgres) -> None:
    """Leaves a given server as it was."""
    connection = await asyncpg.connect(server.url_of("postgres"))
    for record in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE '%' || $1 || '%'", RUN):
        await connection.execute(f'DROP DATABASE "{record["datname"]}" WITH (FORCE)')
    for record in await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE '%' || $1 || '%'", RUN):
        await connection.execute(f'DROP ROLE "{record["rolname"]}"')
    await connection.close()


async def delete_streams(server: Nats) -> None:
    """Every stream whose name begins as that of the events does is ours."""
    client = await nats.connect(server.url)
    context = client.jetstream()
    for stream in await context.streams_info():
        if stream.config.name is not None and stream.config.name.startswith(STREAM):
            await context.delete_stream(stream.config.name)
    await client.close()
