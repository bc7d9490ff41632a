"""Real servers for the whole session, a database of its own for each test.

`--backend=embedded` (the default) starts them from their wheels; `--backend=env` uses those that HOURBOOK_DATABASE_URL
(a role that may create databases) and HOURBOOK_NATS_URL name. Tests that kill a server always have one of their own.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import nats
import pytest
from nats.js.errors import NotFoundError

from shared.embedded import EmbeddedNats, EmbeddedPostgres
from shared.jetstream import STREAM
from shared.migrate import migrate
from shared.notices import STREAM as NOTICES

_numbers = count(1)
_run = uuid4().hex[:8]
TEMPLATE = f"hourbook_template_{_run}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=["embedded", "env"], default="embedded", help="which servers the tests use")


class GivenPostgres:
    """The server that HOURBOOK_DATABASE_URL names."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def url_of(self, database: str) -> str:
        return self._url._replace(path=f"/{database}").geturl()


class GivenNats:
    """The server that HOURBOOK_NATS_URL names. It is not ours to stop."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        pytest.skip("needs a server of its own")

    def stop(self, _how: signal.Signals = signal.SIGTERM) -> None:
        pytest.skip("needs a server of its own")


@pytest.fixture(scope="session")
def own_directory() -> Iterator[Path]:
    """Not pytest's: every session closes pytest's to other users, and root's PostgreSQL of another session is one."""
    with tempfile.TemporaryDirectory(prefix="hourbook-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, own_directory: Path) -> Iterator[EmbeddedPostgres | GivenPostgres]:
    if request.config.getoption("--backend") == "env":
        given = GivenPostgres(os.environ["HOURBOOK_DATABASE_URL"])
        migrate(given.url_of(TEMPLATE))
        yield given
        asyncio.run(drop_databases(given))
        return
    server = EmbeddedPostgres(own_directory / "postgres")
    server.start()
    try:
        migrate(server.url_of(TEMPLATE))
        yield server
    finally:
        server.stop()


async def drop_databases(server: GivenPostgres) -> None:
    """Leaves a given server as it was."""
    connection = await asyncpg.connect(server.url_of("postgres"))
    for record in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE '%' || $1 || '%'", _run):
        await connection.execute(f'DROP DATABASE "{record["datname"]}" WITH (FORCE)')
    await connection.close()


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres | GivenPostgres) -> str:
    """A fresh, migrated database, copied from the template."""
    name = f"test_{_run}_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url_of("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    finally:
        await connection.close()
    return postgres.url_of(name)


@pytest.fixture
async def nats_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddedNats | GivenNats]:
    """A NATS server without a stream of ours."""
    if request.config.getoption("--backend") == "env":
        given = GivenNats(os.environ["HOURBOOK_NATS_URL"])
        client = await nats.connect(given.url)
        for stream in (STREAM, NOTICES):
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(stream)
        await client.close()
        yield given
        return
    server = EmbeddedNats(tmp_path / "nats")
    server.start()
    try:
        yield server
    finally:
        server.stop()
