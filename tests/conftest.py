"""Real servers for the whole session, a database of its own for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from shared.embedded import EmbeddedNats, EmbeddedPostgres
from shared.migrate import migrate

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    directory: Path = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        migrate(server.url_of("hourbook_template"))
        yield server
    finally:
        server.stop()


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres) -> str:
    """A fresh, migrated database, copied from the template."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url_of("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE hourbook_template STRATEGY file_copy")
    finally:
        await connection.close()
    return postgres.url_of(name)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A NATS server with an empty JetStream."""
    server = EmbeddedNats(tmp_path / "nats")
    server.start()
    try:
        yield server
    finally:
        server.stop()
