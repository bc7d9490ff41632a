"""The projector on a real PostgreSQL and a real JetStream, compared with plain SQL."""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import nats
import pytest

from services.command.domain import CancelBooking, CreateTemplate, TemplateCount
from services.command.relay import Relay
from services.projector.consumer import Parked, Projector, write_or_halve
from services.projector.generation import HOURS_MAX, CheckpointConflict, load_generation, prepare, write_batch
from services.projector.projections import Known, fold_batch
from services.projector.rebuild.rebuild import AlreadyRebuilding, rebuild
from services.projector.rows.one_statement import runs_for_one_statement
from services.projector.source import Source
from shared.capacity import COUNT_MAX
from shared.event_store import EventStore
from shared.events import (
    EVENT_TYPES,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    Event,
    FromTemplate,
    encode_event,
)
from shared.events.batch import decode_batch
from shared.jetstream import STREAM
from shared.locks import Lock
from shared.tasks import end_tasks
from tests.support.backends import Nats, as_role, nats_of
from tests.support.histories import append_history, history
from tests.support.oracle import (
    bound,
    bound_rows,
    decided_pools,
    held,
    held_rows,
    oracle,
    overcommitting,
    pool_rows,
    revised,
    revised_rows,
    short_hours,
    table,
)
from tests.support.project import Project, changed_bookings, cores

BOUND_S = 30


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    connection = await asyncpg.connect(database_url)
    await prepare(connection)
    yield EventStore(connection)
    await connection.close()


@contextlib.asynccontextmanager
async def running(database_url: str, nats_server: Nats, projectors: int = 1) -> AsyncIterator[Sequence[Projector]]:
    relay, made = (
        Relay(as_role(database_url, "command"), nats_of(nats_server, "command"), poll_s=0.05),
        [
            Projector(as_role(database_url, "projector"), nats_of(nats_server, "projector"), poll_s=0.1)
            for _ in range(projectors)
        ],
    )
    tasks = [asyncio.create_task(one.run()) for one in (relay, *made)]
    try:
        yield made
    finally:
        await end_tasks(*tasks)


async def level(store: EventStore) -> None:
    async with asyncio.timeout(BOUND_S):
        while await store.connection.fetchval("SELECT position FROM generation WHERE live") < await store.head():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(6))
async def test_in_any_batches_the_table_is_what_the_notes_query_gives(store: EventStore, seed: int) -> None:
    events = history(seed, 1500)
    stored = [encode_event(event) for event in events]
    generation = await load_generation(store.connection)
    while generation.position < len(stored):
        batch = 1 + (generation.position * 7 + seed) % 60
        await write_batch(store.connection, generation, stored[generation.position :][:batch])
    hours = await oracle(store.connection, events)
    assert await table(store.connection) == hours
    pools = overcommitting(events)
    short = [(row[0], row[1]) for row in hours if row[0] in pools and row[1] >= pools[row[0]] and min(row[-6:]) < 0]
    assert await short_hours(store.connection) == short
    assert await held_rows(store.connection) == held(events)
    assert await revised_rows(store.connection) == revised(events)
    assert await pool_rows(store.connection) == decided_pools(events)
    assert await bound_rows(store.connection) == bound(events)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
async def test_in_any_batches_it_is_known_where_a_booking_was_changed_last(store: EventStore, batch: int) -> None:
    events = changed_bookings()
    stored = [encode_event(event) for event in events]
    generation = await load_generation(store.connection)
    while generation.position < len(stored):
        await write_batch(store.connection, generation, stored[generation.position :][:batch])
    assert {BookingConfirmed, BookingContested, BookingLapsed} < set(map(type, events))
    assert await revised_rows(store.connection) == revised(events)
    assert await held_rows(store.connection) == held(events)


def only_bookings() -> list[Event]:
    """Counts and shares are booked in three pools, for hours that overlap and touch; some are cancelled, before and
    after they have begun."""
    project = Project()
    project.grant(0, 1000, 500)
    project.cluster("gaia.c", 0, 1000, 100)
    project.cluster("gaia.d", 0, 1000, 100)
    project.do(CreateTemplate(template="small", capacity=cores(2)))
    booked, ends = list[UUID](), list[int]()
    for number in range(150):
        start = number * 7 % 300
        pool = ("gaia", "gaia.c", "gaia.d")[number % 3]
        asked: dict[str, Any] = {"count": 1}
        if pool == "gaia.d" and number % 2:
            asked = {"share": 100}
        elif pool == "gaia.c" and number % 4 == 0:
            asked = {"template": TemplateCount(name="small", count=2)}
        ends.append(start + 1 + number % 40)
        booked.append(project.book(start, ends[-1], pool=pool, **asked))
        if number % 5 == 4:
            project.do(CancelBooking(booking=booked[number // 2]))
    project.at(100)
    for booking, end in zip(booked[100:140:3], ends[100:140:3], strict=True):
        if end > 101:
            project.do(CancelBooking(booking=booking))
    return project.history


async def test_bookings_that_one_statement_writes_are_what_a_rebuild_makes(
    store: EventStore, database_url: str
) -> None:
    events = only_bookings()
    await append_history(store, events)
    generation = await load_generation(store.connection)
    stored = [encode_event(event) for event in events]
    await write_batch(store.connection, generation, stored[:5])  # project, grant, clusters, template
    changes = fold_batch(generation.pools, Known({}, {}), 6, decode_batch(stored[5:]))
    assert runs_for_one_statement(changes, generation.pools, len(events) - 5, HOURS_MAX), (
        "this is not about these batches"
    )
    for batch in itertools.cycle((1, 4, 60)):  # decoded one by one, and by columns
        if generation.position == len(stored):
            break
        await write_batch(store.connection, generation, stored[generation.position :][:batch])
    assert await table(store.connection) == await oracle(store.connection, events)
    assert await held_rows(store.connection) == held(events)
    assert await revised_rows(store.connection) == revised(events)
    assert (await rebuild(as_role(database_url, "projector"))).differences == []


async def test_a_batch_of_one_statement_comes_twice_and_changes_nothing(store: EventStore) -> None:
    stored = [encode_event(event) for event in only_bookings()]
    await write_batch(store.connection, await load_generation(store.connection), stored[:5])
    first, second = [await load_generation(store.connection) for _ in range(2)]
    await write_batch(store.connection, first, stored[5:])
    before = await table(store.connection)
    with pytest.raises(CheckpointConflict):
        await write_batch(store.connection, second, stored[5:])
    assert await table(store.connection) == before


def test_the_histories_make_every_type_of_event() -> None:
    assert {type(event) for seed in range(6) for event in history(seed, 1500)} == set(EVENT_TYPES)


async def test_a_rebuild_of_thousands_of_events_of_every_type_is_what_was_live(
    store: EventStore, database_url: str
) -> None:
    events = history(99, 4000, projects=3)
    await append_history(store, events)
    generation = await load_generation(store.connection)
    while events_after := await store.after(generation.position, 37):
        await write_batch(store.connection, generation, [event.data for event in events_after])
    assert (await rebuild(as_role(database_url, "projector"))).differences == []
    assert await table(store.connection) == await oracle(store.connection, events)


async def test_live_over_the_stream_with_two_projectors(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    events = history(7, 600)
    async with running(database_url, nats_server, projectors=2):
        for start in range(0, 600, 50):
            await append_history(store, events[start : start + 50])
        await level(store)
    assert await table(store.connection) == await oracle(store.connection, events)


async def test_the_store_is_asked_often_while_nobody_can_say_that_there_is_something(store: EventStore) -> None:
    source = Source(store, poll_s=30.0)
    assert await source.after(0, 10) == []
    appended = asyncio.create_task(source.after(0, 10))
    await append_history(store, history(1, 3))
    async with asyncio.timeout(10):
        while not await appended:
            appended = asyncio.create_task(source.after(0, 10))


async def test_a_generation_that_was_left_elsewhere_is_followed_at_once(store: EventStore) -> None:
    source = Source(store, poll_s=600.0)
    await append_history(store, history(1, 3))
    async with asyncio.timeout(10):
        assert await source.after(0, 10) == await source.after(0, 10) != []


async def test_a_redelivered_batch_changes_nothing(store: EventStore) -> None:
    stored = [encode_event(event) for event in history(1, 50)]
    first, second = [await load_generation(store.connection) for _ in range(2)]
    await write_batch(store.connection, first, stored)
    before = await table(store.connection)
    with pytest.raises(CheckpointConflict):
        await write_batch(store.connection, second, stored)
    assert await table(store.connection) == before


async def test_a_lost_stream_and_a_dead_server_are_gone_around(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    events = history(2, 300)
    async with running(database_url, nats_server):
        await append_history(store, events[:100])
        await level(store)
        client = await nats.connect(nats_server.url)
        await client.jetstream().delete_stream(STREAM)
        await client.close()
        await append_history(store, events[100:200])
        await level(store)
        nats_server.stop(signal.SIGKILL)
        await append_history(store, events[200:])
        await level(store)
        nats_server.start()
    assert await table(store.connection) == await oracle(store.connection, events)


async def test_a_restarted_projector_goes_on_after_its_checkpoint(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    events = history(3, 300)
    for start in (0, 150):
        async with running(database_url, nats_server):
            await append_history(store, events[start : start + 150])
            await level(store)
    assert await table(store.connection) == await oracle(store.connection, events)


async def test_an_event_that_cannot_be_applied_is_found_and_stops_the_generation(store: EventStore) -> None:
    events = history(4, 100)
    stored = [encode_event(event) for event in events]
    stored[63] = b'{"type":"NobodyKnows"}'
    generation = await load_generation(store.connection)
    with pytest.raises(Parked, match="position 64"):
        await write_or_halve(store.connection, generation, stored)
    row = await store.connection.fetchrow("SELECT position, parked_position, parked_error FROM generation")
    assert row is not None
    assert (row["position"], row["parked_position"]) == (63, 64)
    assert "NobodyKnows" in row["parked_error"]
    assert await table(store.connection) == await oracle(store.connection, events[:63])


async def test_a_number_that_a_row_does_not_hold_stops_the_generation_and_not_the_projector(store: EventStore) -> None:
    project = booked_of_a_template(count=1)
    project.book(20, 21, 1)
    *events, created, last = project.history
    assert isinstance(created, BookingCreated)
    wrong = msgspec.structs.replace(created, template=FromTemplate(name="one", version=2**40, count=1))
    stored = [encode_event(one) for one in (*events, wrong, last)]
    generation = await load_generation(store.connection)
    with pytest.raises(Parked, match=f"position {len(stored) - 1}"):
        await write_or_halve(store.connection, generation, stored)
    assert await store.connection.fetchval("SELECT position FROM generation") == len(stored) - 2


async def test_a_booking_may_be_of_a_template_as_often_as_an_amount_allows(store: EventStore) -> None:
    events = booked_of_a_template(count=COUNT_MAX).history
    await write_or_halve(
        store.connection, await load_generation(store.connection), [encode_event(one) for one in events]
    )
    assert await store.connection.fetchval("SELECT template_count FROM live_booking") == COUNT_MAX


def booked_of_a_template(count: int) -> Project:
    project = Project()
    project.grant(0, 30, COUNT_MAX)
    project.do(CreateTemplate(template="one", capacity=cores(1)))
    project.book(0, 10, template=TemplateCount(name="one", count=count))
    return project


async def test_a_rebuild_gives_the_same_rows_and_mends_a_table_that_was_tampered_with(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    events = history(5, 500)
    await append_history(store, events)
    async with running(database_url, nats_server):
        await level(store)
        assert (await rebuild(as_role(database_url, "projector"))).differences == []
        await store.connection.execute("UPDATE availability_hour SET booked_cores = 7 WHERE pool = 1")
        rebuilt = await rebuild(as_role(database_url, "projector"))
        assert rebuilt.differences == ["availability_hour"]
    assert await table(store.connection) == await oracle(store.connection, events)
    generations = await store.connection.fetch("SELECT generation, live FROM generation")
    assert [tuple(row) for row in generations] == [(rebuilt.generation, True)]


async def test_queries_and_the_projector_go_on_during_a_rebuild(
    store: EventStore, database_url: str, nats_server: Nats
) -> None:
    events = history(8, 2000, projects=3)
    await append_history(store, events[:1000])
    reader = await asyncpg.connect(database_url)
    seen: list[int] = []

    async def read() -> None:
        while True:
            rows = await reader.fetch(
                "SELECT g.position, count(*) FROM generation g JOIN availability_hour USING (generation) "
                "WHERE g.live GROUP BY 1"
            )
            seen.extend(row["position"] for row in rows)

    async with running(database_url, nats_server):
        await level(store)
        reading = asyncio.create_task(read())
        rebuilding = asyncio.create_task(rebuild(as_role(database_url, "projector")))
        for start in range(1000, 2000, 100):
            await append_history(store, events[start : start + 100])
            await asyncio.sleep(0)
        await rebuilding
        await level(store)
        await end_tasks(reading)
    await reader.close()
    assert seen == sorted(seen)
    assert await table(store.connection) == await oracle(store.connection, events)


async def test_one_rebuild_at_a_time(store: EventStore, database_url: str) -> None:
    await store.connection.fetchval(f"SELECT pg_advisory_lock({Lock.REBUILD:d})")
    with pytest.raises(AlreadyRebuilding):
        await rebuild(as_role(database_url, "projector"))
