"""A bulk load makes the same generation as the projector makes batch by batch."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from services.projector.consumer import Parked, write_or_halve
from services.projector.generation import Generation, load_generation, prepare
from services.projector.rebuild import bulk_load
from services.projector.rebuild import rebuild as rebuilding
from services.projector.rebuild.bulk_load import load_events
from services.projector.rebuild.rebuild import rebuild
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.event_store.ranges import read_events
from shared.events import GrantCreated, ProjectCreated, encode_event
from shared.hours import instant_of
from tests.support.backends import as_role
from tests.support.histories import append_history, history

Connections = tuple[asyncpg.Connection, asyncpg.Connection]


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Connections]:
    """One connection that writes, and one that reads."""
    connection, reader = [await asyncpg.connect(database_url) for _ in range(2)]
    await prepare(connection)
    yield connection, reader
    await reader.close()
    await connection.close()


async def new_generation(connection: asyncpg.Connection) -> Generation:
    return await load_generation(connection, await connection.fetchval("SELECT create_bare_generation()"))


async def checksums(connection: asyncpg.Connection, generation: Generation) -> list[tuple[object, ...]]:
    await connection.execute("SELECT complete_generation($1)", generation.number)
    return [tuple(row) for row in await connection.fetch("SELECT * FROM checksum_generation($1)", generation.number)]


@pytest.mark.parametrize(("batch", "hours"), [(1500, 500_000), (97, 500_000), (40, 300), (1, 500_000)])
async def test_filled_at_once_it_is_as_if_it_had_been_followed(
    connections: Connections, monkeypatch: pytest.MonkeyPatch, batch: int, hours: int
) -> None:
    monkeypatch.setattr(bulk_load, "BATCH_MAX", batch)
    connection, reader = connections
    events = history(11, 700, projects=3)
    await append_history(EventStore(connection), events)
    followed, filled = await new_generation(connection), await new_generation(connection)
    for start in range(0, len(events), 100):
        stored = [encode_event(event) for event in events[start : start + 100]]
        await write_or_halve(connection, followed, stored, live=False)
    reached: list[int] = []
    for position in (400, 400, len(events)):  # the second load continues the first
        await load_events(connection, reader, filled, position, reached.append, hours_max=hours)
    assert (filled.position, reached[-1], reached) == (len(events), len(events), sorted(reached))
    assert await checksums(connection, filled) == await checksums(connection, followed)


NOBODY_KNOWS = b'{"type":"NobodyKnows"}'
ENDS_BEFORE_IT_STARTS = encode_event(
    GrantCreated(
        at=instant_of(0),
        actor="ada",
        command=UUID(int=1),
        project="lonely",
        grant=UUID(int=1),
        start=instant_of(526_020),
        end=instant_of(526_010),
        capacity=Capacity(cores=1),
    )
)


@pytest.mark.parametrize("bytes_", [NOBODY_KNOWS, ENDS_BEFORE_IT_STARTS])
@pytest.mark.parametrize("wrong", [1, 41, 79, 80, 149])
async def test_it_stands_before_the_event_that_cannot_be_applied(
    connections: Connections, database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: int, bytes_: bytes
) -> None:
    monkeypatch.setattr(bulk_load, "BATCH_MAX", 40)
    connection, reader = connections
    lonely = ProjectCreated(at=instant_of(0), actor="ada", command=UUID(int=2), project="lonely", name="Lonely")
    events = [lonely, *history(4, 149)]
    await append_history(EventStore(connection), events)
    await connection.execute("ALTER TABLE event DISABLE TRIGGER ALL")
    await connection.execute("UPDATE event SET data = $2 WHERE position = $1", wrong + 1, bytes_)
    followed, filled = await new_generation(connection), await new_generation(connection)
    await write_or_halve(connection, followed, [encode_event(event) for event in events[:wrong]], live=False)
    with pytest.raises(Parked, match=f"position {wrong + 1} "):
        await load_events(connection, reader, filled, len(events), lambda _: None)
    assert filled.position == wrong
    assert await checksums(connection, filled) == await checksums(connection, followed)
    with pytest.raises(Parked, match=f"position {wrong + 1} "):
        await rebuild(as_role(database_url, "projector"))


async def test_a_rebuild_whose_comparison_fails_ends_and_leaves_nothing(
    connections: Connections, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, _ = connections
    await append_history(EventStore(connection), history(3, 60))
    live = await load_generation(connection)
    await write_or_halve(connection, live, await read_events(connection, 0, 60))
    one_of_two = (
        "SELECT *, CASE WHEN $1 = 1 THEN pg_sleep(1)::text ELSE (1 / ($1 - $1))::text END FROM checksum_generation($1)"
    )
    monkeypatch.setattr(rebuilding, "CHECKSUM", one_of_two)
    async with asyncio.timeout(20):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await rebuild(as_role(database_url, "projector"))
        assert await connection.fetchval("SELECT count(*) FROM live_booking JOIN generation USING (generation)") >= 0
    assert [row[0] for row in await connection.fetch("SELECT generation FROM generation")] == [live.number]


async def test_a_rebuild_clears_away_what_others_left(connections: Connections, database_url: str) -> None:
    connection, _ = connections
    await append_history(EventStore(connection), history(3, 60))
    await new_generation(connection)  # what a load leaves that was killed early, and one that was killed later
    await connection.execute("SELECT create_generation()")
    number = (await rebuild(as_role(database_url, "projector"))).generation
    tables = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_booking_[0-9]+$'")
    assert [row["relname"] for row in tables] == [f"live_booking_{number}"]
    assert await connection.fetchval("SELECT count(*) FROM generation") == 1
