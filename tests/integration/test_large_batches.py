"""Large events: the projector limits a batch by what it writes, and splits a batch that fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from aiohttp import ClientSession

from services.cli.up.embedded import free_port
from services.projector.consumer import Parked, Projector, write_or_halve
from services.projector.generation import Generation, TooManyHours, load_generation, prepare, write_batch
from services.projector.monitor import Watch, monitored
from services.projector.rebuild.bulk_load import load_events
from shared import postgres
from shared.capacity import Capacity
from shared.event_store import EventStore
from shared.events import ClusterCreated, ClusterResized, Event, GrantCreated, ProjectCreated, encode_event
from shared.hours import instant_of
from shared.postgres import copy_rows
from shared.tasks import end_tasks
from shared.telemetry import Telemetry
from tests.support.backends import as_role
from tests.support.histories import append_history, history
from tests.support.running import hourbook

BOUND_S = 30
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
START = 526_000
HOURS = 3000
NOWHERE = "nats://127.0.0.1:9"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await postgres.connect(database_url)
    await prepare(connection)
    yield connection
    await connection.close()


def long_clusters(count: int) -> list[Event]:
    """A project and its clusters, which all last long. The last one is resized."""
    recorded = {"at": LONG_AGO, "actor": "ada", "project": "gaia"}
    period = {"start": instant_of(START), "end": instant_of(START + HOURS)}
    ids = iter(UUID(int=number) for number in range(1, 1000))
    events: list[Event] = [ProjectCreated(**recorded, command=next(ids), name="Gaia")]
    grant = next(ids)
    events.append(GrantCreated(**recorded, **period, command=grant, grant=grant, capacity=Capacity(cores=10**6)))
    names = [f"gaia.c{number}" for number in range(count)]
    events += [
        ClusterCreated(
            **recorded,
            **period,
            command=next(ids),
            cluster=name,
            parent="gaia",
            kind="magnum",
            capacity=Capacity(cores=5),
        )
        for name in names
    ]
    events += [
        ClusterResized(**recorded, **period, command=next(ids), cluster=name, capacity=Capacity(cores=7, memory=1))
        for name in names
    ]
    return events


async def checksums(connection: asyncpg.Connection, generation: Generation) -> list[tuple[object, ...]]:
    await connection.execute("SELECT complete_generation($1)", generation.number)
    return [tuple(row) for row in await connection.fetch("SELECT * FROM checksum_generation($1)", generation.number)]


async def new_generation(connection: asyncpg.Connection) -> Generation:
    return await load_generation(connection, await connection.fetchval("SELECT create_bare_generation()"))


async def test_a_batch_of_long_clusters_is_written_in_parts_and_is_what_one_by_one_gives(
    connection: asyncpg.Connection, database_url: str
) -> None:
    events = long_clusters(6)
    stored = [encode_event(event) for event in events]
    await append_history(EventStore(connection), events)
    parts, singly, filled = [await new_generation(connection) for _ in range(3)]
    with pytest.raises(TooManyHours, match="reach over"):
        await write_batch(connection, parts, stored, live=False, hours_max=3 * HOURS)
    await write_or_halve(connection, parts, stored, live=False, hours_max=3 * HOURS)
    for one in stored:
        await write_or_halve(connection, singly, [one], live=False)
    reader = await postgres.connect(database_url)
    await load_events(connection, reader, filled, len(events), lambda _: None, hours_max=3 * HOURS)
    await reader.close()
    assert (parts.position, parts.parked_position, filled.position) == (len(events), None, len(events))
    expected = await checksums(connection, singly)
    assert await checksums(connection, parts) == expected
    assert await checksums(connection, filled) == expected


async def test_parts_of_a_batch_in_one_transaction_add_each_hour_once(connection: asyncpg.Connection) -> None:
    stored = [encode_event(event) for event in long_clusters(4)]
    together, singly = [await new_generation(connection) for _ in range(2)]
    async with connection.transaction():
        await write_or_halve(connection, together, stored, live=False, hours_max=3 * HOURS)
    for one in stored:
        await write_or_halve(connection, singly, [one], live=False)
    assert await checksums(connection, together) == await checksums(connection, singly)


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM made) > {most} THEN {what}; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON live_booking_1 REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""
OUT_OF_MEMORY = "RAISE 'out of memory' USING ERRCODE = '53200'"
DISK_FULL = "RAISE 'no space left on device' USING ERRCODE = '53100'"
KILLED = "PERFORM pg_terminate_backend(pg_backend_pid())"


async def test_a_batch_that_is_too_much_for_the_server_is_halved_and_nothing_is_parked(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(REFUSE.format(most=3, what=OUT_OF_MEMORY))
    generation = await load_generation(connection)
    await write_or_halve(connection, generation, [encode_event(event) for event in history(6, 200)])
    row = await connection.fetchrow("SELECT position, parked_position FROM generation")
    assert row is not None
    assert tuple(row) == (200, None)


async def test_an_event_that_meets_a_full_disc_is_not_parked(connection: asyncpg.Connection) -> None:
    await connection.execute(REFUSE.format(most=0, what=DISK_FULL))
    generation = await load_generation(connection)
    with pytest.raises(asyncpg.DiskFullError):
        await write_or_halve(connection, generation, [encode_event(event) for event in history(6, 200)])
    row = await connection.fetchrow("SELECT position, parked_position FROM generation")
    assert row is not None
    assert 0 < row["position"] < 200
    assert row["parked_position"] is None


async def test_a_batch_on_which_the_connection_is_lost_gets_smaller_until_it_goes(
    connection: asyncpg.Connection, database_url: str
) -> None:
    await connection.execute(REFUSE.format(most=12, what=KILLED))
    await append_history(EventStore(connection), history(6, 200))
    projecting = asyncio.create_task(Projector(as_role(database_url, "projector"), NOWHERE, poll_s=0.05).run())
    async with asyncio.timeout(BOUND_S):
        while await connection.fetchval("SELECT position FROM generation WHERE live") < 200:
            await asyncio.sleep(0.05)
    await end_tasks(projecting)
    assert await connection.fetchval("SELECT parked_position FROM generation WHERE live") is None


WRITES = "SELECT true FROM pg_locks WHERE pid = $1 AND relation = 'filled'::regclass"


@pytest.mark.parametrize("write", ["copy", "many rows"])
async def test_a_server_that_is_gone_while_much_is_written_is_heard_of_within_seconds(
    connection: asyncpg.Connection, database_url: str, write: str
) -> None:
    """asyncpg alone waits for ever for room in the socket's buffer of a lost connection."""
    await connection.execute("CREATE TABLE filled (a bytea)")
    body = bytes(1_000_000)
    row = b"\0\1" + len(body).to_bytes(4, "big") + body
    other = await postgres.connect(database_url)
    if write == "copy":
        writing = asyncio.create_task(copy_rows(other, "filled", [row] * 300))
    else:
        writing = asyncio.create_task(other.executemany("INSERT INTO filled VALUES ($1)", [(body,)] * 300))
    async with asyncio.timeout(BOUND_S):
        while not await connection.fetchval(WRITES, other.get_server_pid()):
            await asyncio.sleep(0.01)
        assert await connection.fetchval("SELECT pg_terminate_backend($1)", other.get_server_pid())
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await writing
    other.terminate()


async def test_events_that_wait_are_told_in_the_log_in_health_and_in_status(
    connection: asyncpg.Connection, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    holder = await postgres.connect(database_url)
    telemetry, port = Telemetry(as_role(database_url, "query")), free_port()
    watch = Watch(telemetry, stall_s=0.2)
    projector = Projector(as_role(database_url, "projector"), NOWHERE, poll_s=0.05)

    async def health(wanted: int) -> dict[str, str]:
        async with asyncio.timeout(BOUND_S), ClientSession() as session:
            while True:
                async with session.get(f"http://127.0.0.1:{port}/health") as answer:
                    if answer.status == wanted:
                        told: dict[str, str] = await answer.json()
                        return told
                await asyncio.sleep(0.05)

    async with monitored("127.0.0.1", port, telemetry, lambda: projector.position, watch):
        tasks = [asyncio.create_task(projector.run()), asyncio.create_task(watch.run())]
        assert (await health(200))["state"] == "ok"
        held = holder.transaction()
        await held.start()
        await holder.execute("SELECT FROM generation FOR UPDATE")
        await append_history(EventStore(connection), long_clusters(1))
        stalled = await health(503)
        assert (stalled["position"], stalled["state"]) == (0, "stalled")
        assert "stand still at 0 while events wait" in stalled["why"]
        async with asyncio.timeout(BOUND_S):
            while "read models: the read models stand still at 0" not in caplog.text:
                await asyncio.sleep(0.05)
        await held.rollback()
        assert (await health(200))["position"] == 4
        await end_tasks(*tasks)
    await holder.close()


async def test_what_is_parked_or_stands_still_is_told_by_the_exit_status(
    connection: asyncpg.Connection, database_url: str
) -> None:
    await append_history(EventStore(connection), long_clusters(1))
    await connection.execute("UPDATE generation SET moved_at = now() - interval '1 hour'")
    told = await asyncio.to_thread(
        hourbook, "status", HOURBOOK_DATABASE_URL=as_role(database_url, "query"), HOURBOOK_NATS_URL=NOWHERE
    )
    assert told.returncode == 1
    assert "the read models stand still at 0 while events wait" in told.stdout
    generation = await load_generation(connection)
    with contextlib.suppress(Parked):
        await write_or_halve(connection, generation, [b"{}"])
    told = await asyncio.to_thread(
        hourbook, "status", HOURBOOK_DATABASE_URL=as_role(database_url, "query"), HOURBOOK_NATS_URL=NOWHERE
    )
    assert (told.returncode, "parked at position 1" in told.stdout) == (1, True)
