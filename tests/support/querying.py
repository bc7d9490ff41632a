"""The query service over HTTP, on a real database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import httpx

from services.projector.generation import load_generation, prepare, write_batch
from services.query.app import create_app
from services.query.settings import Settings
from shared.event_store import EventStore
from shared.events import Event, encode_event
from shared.http.middleware import MethodMiddleware
from shared.postgres import Connection
from tests.support.histories import append_history


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The application in this very loop, so that many requests are under way at once."""
    app, started, ended = create_app(settings), asyncio.Event(), asyncio.Event()

    async def live() -> None:  # one task enters and leaves the lifespan, which a fixture would do in two
        async with app.lifespan():
            started.set()
            await ended.wait()

    task = asyncio.create_task(live())
    await started.wait()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=MethodMiddleware(app)), base_url="http://hourbook"
    ) as client:
        yield client
    ended.set()
    await task


async def append_and_show(connection: Connection, events: list[Event]) -> None:
    """Appends events, and writes them to the live read models."""
    await append_history(EventStore(connection), events)
    await prepare(connection)
    await write_batch(connection, await load_generation(connection), [encode_event(event) for event in events])


async def show(database_url: str, events: list[Event]) -> None:
    """Projects `events`, all that there are, as far as they are not yet."""
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    generation = await load_generation(connection)
    if new := [encode_event(event) for event in events[generation.position :]]:
        await write_batch(connection, generation, new)
        await connection.execute("UPDATE event_head SET position = $1", len(events))
    await connection.close()
