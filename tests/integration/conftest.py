"""What the integration tests look at the two servers with."""

from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from shared.event_store import EventStore
from tests.support.backends import Nats, connected


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    """The event store, as the owner of the database."""
    async with connected(database_url) as connection:
        yield EventStore(connection)


@pytest.fixture
async def client(nats_server: Nats) -> AsyncIterator[Client]:
    """A connection to NATS, as the administrator."""
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()
