"""Real servers for the whole session, a database of its own for each test."""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from shared.embedded import EmbeddedNats, EmbeddedPostgres
from shared.migrate import migrate

_numbers = count(1)


@pytest.fixture(scope="session")
def own_directory() -> Iterator[Path]:
    """Not pytest's: every session closes pytest's to other users, and root's PostgreSQL of another session is one."""
    with tempfile.TemporaryDirectory(prefix="hourbook-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(own_directory: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(own_directory / "postgres")
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
