"""A migration of a database with data gives the tables that the history gives."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.command.domain import CancelBooking, ResizeCluster
from services.projector.generation import load_generation, prepare, write_batch
from services.projector.rebuild.rebuild import rebuild
from shared.capacity import Capacity
from shared.event_store import EventStore, Pending
from shared.events import BookingCreated, Event, GrantCreated, encode_event
from shared.migrate import MIGRATIONS, migrate, run_dbmate
from tests.support.backends import RUN, Postgres, as_role
from tests.support.histories import append_history
from tests.support.project import T0, Project, changed_bookings
from tests.support.schema import HEAD, SCHEMA, schema_of

WHOLE_DOMAIN = 20261124000120
BOOKING_CHANGED = 20261126080001
NO_KEPT_SECRET = 20261126160002
CHANGED = "SELECT id, segment, changed FROM live_booking ORDER BY id, segment"
CHECKSUMS = "SELECT * FROM checksum_generation((SELECT generation FROM generation WHERE live)) ORDER BY model"


def before() -> list[Event]:
    """A history of only those event types that existed before the migration."""
    project = Project()
    project.grant(0, 400, 100)
    project.cluster("gaia.k", 0, 100, 10)
    project.cluster("gaia.k.s", 10, 90, 5, parent="gaia.k")
    cut = project.book(0, 30, 3)
    project.book(20, 50, 2, pool="gaia.k.s")
    project.do(ResizeCluster(cluster="gaia.k", start=T0 + 30, end=T0 + 40, capacity=Capacity(cores=12)))
    project.at(10)
    project.do(CancelBooking(booking=cut))
    project.do(ResizeCluster(cluster="gaia.k.s", start=T0 + 60, capacity=Capacity(cores=1)))
    return project.history


async def store_and_project(connection: asyncpg.Connection[asyncpg.Record], events: Sequence[Event]) -> None:
    pending = [
        Pending("gaia", version, command_of(event), 0, b"", type(event).__name__, encode_event(event))
        for version, event in enumerate(events, 1)
    ]
    assert (await EventStore(connection).append({"gaia": 0}, pending)).outcome == "stored"
    await prepare(connection)
    await write_batch(connection, await load_generation(connection), [one.data for one in pending])


def command_of(event: Event) -> UUID:
    """A booking's and a grant's id is the id of the command that made it."""
    match event:
        case BookingCreated():
            return event.booking
        case GrantCreated():
            return event.grant
    return event.command


def migrate_down(database_url: str, version: int) -> None:
    """Undoes the migrations from the newest one to `version`."""
    newer = sorted((int(one.name[:14]) for one in MIGRATIONS.glob("[0-9]*.sql")), reverse=True)
    for _ in range(newer.index(version) + 1):
        run_dbmate(database_url, "down")


async def test_the_live_read_models_are_right_after_the_migration(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await store_and_project(connection, before())
    expected = await connection.fetch(CHECKSUMS)
    assert {row["model"]: row["rows"] for row in expected}["cluster_resize"] == 2
    await connection.close()
    migrate_down(database_url, WHOLE_DOMAIN)
    connection = await asyncpg.connect(database_url)
    assert len(await connection.fetch(CHECKSUMS)) == 4
    await connection.close()
    migrate(database_url)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetch(CHECKSUMS) == expected
    await connection.close()
    assert (await rebuild(as_role(database_url, "projector"))).differences == []


async def test_where_a_booking_was_changed_last_is_found_in_the_history(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    events = changed_bookings()
    await append_history(EventStore(connection), events)
    await prepare(connection)
    await write_batch(connection, await load_generation(connection), [encode_event(event) for event in events])
    expected = await connection.fetch(CHANGED)
    assert {row["segment"] for row in expected} == {0, 1, 2}
    assert len({row["changed"] for row in expected}) > 5
    await connection.close()
    migrate_down(database_url, BOOKING_CHANGED)
    migrate(database_url)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetch(CHANGED) == expected
    await connection.close()
    assert (await rebuild(as_role(database_url, "projector"))).differences == []


async def test_the_secrets_of_webhooks_in_kept_answers_end(database_url: str) -> None:
    migrate_down(database_url, NO_KEPT_SECRET)
    connection = await asyncpg.connect(database_url)
    bodies = [b'{"id":"a","notices":[],"secret":"whsec_c2Vj+/cmV0="}', '{"url":"…","secret":null}'.encode(), b"{}"]
    for number, body in enumerate(bodies):
        await connection.execute("INSERT INTO remembered_answer VALUES ($1, '', 201, $2)", UUID(int=number), body)
    await connection.close()
    migrate(database_url)
    connection = await asyncpg.connect(database_url)
    kept = await connection.fetch("SELECT body FROM remembered_answer ORDER BY request_id")
    await connection.close()
    assert [one["body"] for one in kept] == [b'{"id":"a","notices":[],"secret":null}', *bodies[1:]]


async def test_the_schema_in_one_file_is_what_the_migrations_make(postgres: Postgres) -> None:
    url = postgres.url_of(f"schema_{RUN}")
    migrate(url)
    assert schema_of(url) == SCHEMA.read_text(), (
        "the migrations make another schema: `make schema` writes the file again"
    )


async def test_undoing_every_migration_leaves_nothing(postgres: Postgres) -> None:
    url = postgres.url_of(f"undone_{RUN}")
    migrate(url)
    migrate_down(url, min(int(one.name[:14]) for one in MIGRATIONS.glob("[0-9]*.sql")))
    assert schema_of(url).strip() == HEAD.strip()
