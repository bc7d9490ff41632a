"""The event store on a real PostgreSQL: append-only, no gaps, in commit order, all or nothing."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.event_store import EventStore, Pending
from shared.event_store.ranges import EventsMissing, read_events, stream_columns

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def pending(stream: str, version: int, command: UUID | None = None, ordinal: int = 0) -> Pending:
    return Pending(stream, version, command or uuid4(), ordinal, b"", "Tested", b"{}")


@pytest.fixture
async def store(database_url: str):  # type: ignore[no-untyped-def]
    connection = await asyncpg.connect(database_url)
    yield EventStore(connection)
    await connection.close()


async def test_positions_and_versions_run_on_without_a_gap(store: EventStore) -> None:
    assert (
        await store.append({"a": 0, "b": 0}, [pending("a", 1), pending("b", 1), pending("a", 2)])
    ).first_position == 1
    assert (await store.append({"a": 2}, [pending("a", 3)])).first_position == 4
    assert [(e.position, e.stream, e.version) for e in await store.after(0, 10)] == [
        (1, "a", 1),
        (2, "b", 1),
        (3, "a", 2),
        (4, "a", 3),
    ]
    assert await store.stream_data_after("a", 0, 2) == ([b"{}", b"{}"], 3)
    assert await store.stream_data_after("a", 2, 2) == ([b"{}"], 4)
    assert await store.stream_data_after("a", 3, 2) == ([], 0)
    assert await store.head() == 4


async def test_a_stale_version_is_a_conflict_and_changes_nothing(store: EventStore) -> None:
    await store.append({"a": 0}, [pending("a", 1)])
    assert (await store.append({"a": 0, "b": 0}, [pending("b", 1), pending("a", 1)])).outcome == "conflict"
    assert (await store.append({"a": 0}, [])).outcome == "conflict"
    assert (await store.append({"a": 1}, [])).outcome == "stored"
    assert await store.head() == 1


async def test_a_command_is_stored_once(store: EventStore) -> None:
    command = uuid4()
    await store.append({"a": 0}, [pending("a", 1, command), pending("a", 2, command, 1)])
    assert (await store.append({"a": 2}, [pending("a", 3, command)])).outcome == "duplicate"
    assert [e.version for e in (await store.by_commands([command, uuid4()]))[command]] == [1, 2]


@pytest.mark.parametrize("change", ["UPDATE event SET data = ''", "DELETE FROM event", "TRUNCATE event"])
async def test_the_database_refuses_to_change_an_event(store: EventStore, change: str) -> None:
    await store.append({"a": 0}, [pending("a", 1)])
    with pytest.raises(asyncpg.RestrictViolationError, match="immutable"):
        await store.connection.execute(change)


async def test_a_range_of_events_is_read_whole_or_the_missing_one_is_an_error(store: EventStore) -> None:
    connection = store.connection
    await store.append({"a": 0}, [pending("a", version) for version in range(1, 6)])
    assert [part async for part in stream_columns(connection, ("version", "type"), 5, batch_max=2)] == [
        [[1, 2], ["Tested"] * 2],
        [[3, 4], ["Tested"] * 2],
        [[5], ["Tested"]],
    ]
    assert [part async for part in stream_columns(connection, ("data",), 0)] == []
    assert await read_events(connection, 3, 5) == [b"{}", b"{}"]
    await connection.execute("ALTER TABLE event DISABLE TRIGGER ALL")
    await connection.execute("DELETE FROM event WHERE position = 4")
    parts = stream_columns(connection, ("version",), 5, batch_max=2)
    assert await anext(parts) == [[1, 2]]
    with pytest.raises(EventsMissing, match="of the events 3 to 4 only 1 are there"):
        await anext(parts)
    with pytest.raises(EventsMissing, match="of the events 4 to 5 only 1 are there"):
        await read_events(connection, 3, 5)
    with pytest.raises(EventsMissing, match="of the events 6 to 7 only 0 are there"):
        await read_events(connection, 5, 7)


async def test_an_append_is_never_compiled(store: EventStore) -> None:
    """Before PostgreSQL 18, a plan without sequential scans looks so expensive that LLVM compiles it: 40 ms an
    append."""
    settings = await store.connection.fetchval("SELECT proconfig FROM pg_proc WHERE proname = 'append_events'")
    assert {"enable_seqscan=off", "jit=off"} <= set(settings)


async def test_an_append_not_yet_committed_holds_back_the_next(database_url: str) -> None:
    """The first writer has its positions but has not committed. The test holds it there."""
    first, second, reader = [await asyncpg.connect(database_url) for _ in range(3)]
    transaction = first.transaction()
    await transaction.start()
    assert (await EventStore(first).append({"a": 0}, [pending("a", 1)])).first_position == 1
    racing = asyncio.create_task(EventStore(second).append({"b": 0}, [pending("b", 1)]))
    async with asyncio.timeout(10):
        while await reader.fetchval(WAITING) == 0:
            await asyncio.sleep(0.01)
    assert await EventStore(reader).after(0, 10) == []
    await transaction.commit()
    assert (await racing).first_position == 2
    assert [event.position for event in await EventStore(reader).after(0, 10)] == [1, 2]
    for connection in (first, second, reader):
        await connection.close()


async def test_writers_whose_backends_are_killed_leave_no_hole_and_lose_nothing_acknowledged(database_url: str) -> None:
    acknowledged: set[UUID] = set()
    done = asyncio.Event()

    async def write(name: str) -> None:
        version, connection = 0, await asyncpg.connect(database_url)
        for _ in range(150):
            event = pending(name, version + 1)
            while True:
                try:
                    outcome = (await EventStore(connection).append({name: version}, [event])).outcome
                except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
                    connection.terminate()
                    connection = await asyncpg.connect(database_url)
                    continue
                assert outcome in ("stored", "duplicate")
                break
            acknowledged.add(event.command_id)
            version += 1
        await connection.close()

    async def kill() -> None:
        connection = await asyncpg.connect(database_url)
        while not done.is_set():
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND query LIKE '%append_events%' ORDER BY random() LIMIT 1"
            )
            await asyncio.sleep(0.01)
        await connection.close()

    async def read() -> list[UUID]:
        connection = await asyncpg.connect(database_url)
        seen: list[UUID] = []
        while not done.is_set() or len(seen) < await EventStore(connection).head():
            seen += [event.command_id for event in await EventStore(connection).after(len(seen), 1000)]
        await connection.close()
        return seen

    reading, killing = asyncio.create_task(read()), asyncio.create_task(kill())
    async with asyncio.timeout(60):
        await asyncio.gather(*(write(f"stream-{n}") for n in range(6)))
        done.set()
        await killing
        seen = await reading
    assert len(seen) == len(set(seen)) == 6 * 150
    assert acknowledged == set(seen)


async def test_what_is_stored_alone_is_read_in_the_same_order(store: EventStore) -> None:
    await store.append({"gaia": 0}, [pending("gaia", version) for version in range(1, 8)])
    everything = [event.data for event in await store.after(0, 100)]
    assert await store.data_after(0, 100) == everything
    assert await store.data_after(2, 3) == everything[2:5]
    assert await store.data_after(7, 100) == []
