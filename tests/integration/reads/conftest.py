"""What the reads are asked of: rows that a test wrote, or a project with a history."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.query.settings import Settings
from tests.support.backends import as_role
from tests.support.querying import serving
from tests.support.seeded import GAIA, OTHER, SPARK, Client, Database, add_hours, add_pool
from tests.support.shown import Shown


@pytest.fixture
async def seeded_url(database_url: str) -> str:
    """A database with two projects and a cluster, at position 7, in which nothing is granted."""
    connection = await asyncpg.connect(database_url)
    await add_pool(connection, GAIA, "gaia", None)
    await add_pool(connection, SPARK, "gaia.spark", GAIA)
    await add_pool(connection, OTHER, "other", None)
    await connection.execute("UPDATE generation SET position = 7")
    await connection.execute("UPDATE event_head SET position = 7")
    await connection.close()
    return database_url


@pytest.fixture
async def database(seeded_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(seeded_url)
    yield connection
    await connection.close()


@pytest.fixture
async def client(seeded_url: str) -> AsyncIterator[Client]:
    async with serving(Settings(database_url=as_role(seeded_url, "query"), visible_timeout_s=1.0)) as client:
        yield client


@pytest.fixture
async def example(database: Database) -> None:
    await add_hours(database, GAIA, "2086-01-01T00", [4] * 8, [0, 1, 2, 1, 0, 2, 0, 0])


@pytest.fixture
async def shown(database_url: str) -> AsyncIterator[Shown]:
    async with serving(Settings(database_url=as_role(database_url, "query"))) as client:
        yield Shown(database_url, client)
