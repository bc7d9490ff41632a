"""Hours that are held: a read takes only the rows that have changed, and finds what a read of all rows finds."""

import os
import random
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.cli.up.embedded import EmbeddedPostgres
from services.query.database import SERVER_SETTINGS
from services.query.held_hours import HELD_MAX_S, Asked, HeldHours
from services.query.settings import Settings
from services.query.views.hours import Hours, columns_of, read_hours
from shared.capacity import DIMENSIONS
from shared.errors import UnknownId
from shared.hours import Period, hour_of
from shared.migrate import migrate
from shared.postgres import Reader, Record
from tests.support.backends import as_role, connected
from tests.support.querying import serving
from tests.support.seeded import GAIA, SPARK, Database, add_hours, add_pool, at, touch
from tests.support.waiting import until

START = hour_of(at("2086-01-01T00"))
PERIOD = Period(START, START + 48)
COLUMNS = columns_of(("granted", "booked", "shares"), DIMENSIONS)
UNKNOWN = UnknownId("project", "project", "gaia")
ADD = """
INSERT INTO availability_hour AS a
SELECT $1, 1, to_timestamp($2::bigint * 3600) + n * interval '1 hour', 0, 0, 0, 0, 0, 0, 0, $4, 0, 0, 0, 0, 0
FROM generate_series(0, $3::int - 1) AS n
ON CONFLICT (generation, pool, hour) DO UPDATE SET booked_cores = a.booked_cores + excluded.booked_cores
"""


class Rows(Reader):
    """Reads on, and notes how many hours the last statement has sent."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self.sent = reader, 0

    async def fetch(self, query: str, *args: Any) -> Sequence[Record]:
        return await self._reader.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Record | None:
        record = await self._reader.fetchrow(query, *args)
        assert record is not None
        self.sent = len(record[-1] or b"") // 8
        return record


@pytest.fixture
async def reads(seeded_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(as_role(seeded_url, "query"), server_settings=SERVER_SETTINGS)
    yield connection
    await connection.close()


async def read(reader: Reader, held: HeldHours | None, pool: str = "gaia") -> tuple[Hours, list[list[int]]]:
    hours = await read_hours(reader, pool, PERIOD, COLUMNS, UNKNOWN, held)
    return hours._replace(cells=None), hours.cells.tolist()  # type: ignore[arg-type]


async def same(reads: Database, held: HeldHours) -> int:
    """How many hours the read took. It found what a read of all rows finds in the same snapshot."""
    async with reads.transaction(isolation="repeatable_read", readonly=True):
        rows = Rows(reads)
        found = await read(rows, held)
        assert found == await read(reads, None)
    return rows.sent


async def test_a_read_takes_the_rows_that_have_changed(reads: Database, database: Database) -> None:
    held = HeldHours(1_000_000)
    await add_hours(database, GAIA, "2086-01-01T00", [9] * 40)
    assert [await same(reads, held) for _ in range(2)] == [40, 0]
    await database.execute(ADD, 1, START + 3, 5, 2)
    await touch(database, 8)
    await touch(database, 9, SPARK)
    assert [await same(reads, held) for _ in range(2)] == [5, 0]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_written_a_read_finds_what_a_read_of_all_rows_finds(
    reads: Database, database: Database, seeded_url: str, seed: int
) -> None:
    """Transactions that end late, subtransactions, rolled back rows, new rows, and rows that were frozen."""
    chance, held, position = random.Random(seed), HeldHours(1_000_000), 8
    other = await asyncpg.connect(seeded_url)
    for round_ in range(40):
        late = other.transaction()
        if chance.random() < 0.5:
            await late.start()
            await other.execute("SELECT pg_current_xact_id()")
        for _ in range(chance.randrange(3)):
            start, count = START + chance.randrange(48), chance.randrange(1, 20)
            outer = database.transaction()
            await outer.start()
            inner = database.transaction()
            await inner.start()
            await database.execute(ADD, 1, start, count, chance.randrange(-3, 9))
            await (inner.commit if chance.random() < 0.8 else inner.rollback)()
            await touch(database, position)
            if chance.random() < 0.3:  # a read while the rows are written, after a younger transaction has ended
                await other.execute("SELECT pg_current_xact_id()")
                await same(reads, held)
            await (outer.commit if chance.random() < 0.8 else outer.rollback)()
            position += 1
        if chance.random() < 0.7:
            await same(reads, held)
        if other.is_in_transaction():
            await late.commit()
        if round_ % 10 == 9:
            await database.execute("VACUUM (FREEZE) availability_hour")
    assert await same(reads, held) <= 48
    await other.close()


async def test_a_snapshot_that_is_older_than_what_is_held_reads_all_rows(
    reads: Database, database: Database, seeded_url: str
) -> None:
    held = HeldHours(1_000_000)
    await add_hours(database, GAIA, "2086-01-01T00", [9] * 40)
    newer = await asyncpg.connect(as_role(seeded_url, "query"))
    async with reads.transaction(isolation="repeatable_read", readonly=True):
        before = await read(reads, None)
        await database.execute(ADD, 1, START, 5, 2)
        await touch(database, 8)
        await same(newer, held)
        assert await read(reads, held) == before
    await same(newer, held)
    await newer.close()


@pytest.mark.parametrize(
    "other",
    [
        "UPDATE store_term SET term = gen_random_uuid()",
        "UPDATE pool SET pool = 10 - pool",
        "UPDATE generation SET live = generation <> 1",
    ],
)
async def test_rows_of_another_term_pool_or_generation_are_all_read(
    reads: Database, database: Database, other: str
) -> None:
    """Their transactions may be older than what was seen before."""
    held = HeldHours(1_000_000)
    async with database.transaction():
        await database.execute("SELECT create_generation()")
        await database.execute(
            "INSERT INTO pool SELECT 2, pool, id, parent, project, name, kind, starts, ends, touched, NULL, false, 0"
            " FROM pool"
        )
        await database.execute("UPDATE generation SET position = 7")
        await database.execute(ADD, 2, START, 20, 4)
        await database.execute(ADD.replace("$1, 1", "$1, 9"), 1, START, 30, 6)
        await database.execute(ADD, 1, START, 40, 2)
    assert await same(reads, held) == 40
    await database.execute(other)
    assert await same(reads, held) == (40 if "term" in other else 30 if "pool SET" in other else 20)


@pytest.fixture
def crashing_url(own_directory: Path) -> Iterator[str]:
    """A migrated database on a server that a test may crash. It loses every commit that did not wait for the disc."""
    server = EmbeddedPostgres(own_directory / "crashing", settings={"fsync": "off", "wal_writer_delay": "10s"})
    try:
        server.start()
        migrate(server.url_of("crashing"))
        yield server.url_of("crashing")
    finally:
        server.stop(signal.SIGQUIT)


async def has_lost(url: str, position: int) -> bool:
    """Whether PostgreSQL answers again, and has lost what this position has changed."""
    try:
        async with connected(url) as connection:
            touched: int = await connection.fetchval("SELECT touched FROM pool WHERE pool = $1", GAIA)
            return touched < position
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def test_after_a_crash_that_the_server_survives_all_rows_are_read(crashing_url: str) -> None:
    """The crash loses commits that were read, and PostgreSQL gives the ids of their transactions again."""
    held = HeldHours(1_000_000)
    async with connected(crashing_url) as database:
        await add_pool(database, GAIA, "gaia", None)
        await add_hours(database, GAIA, "2086-01-01T00", [9] * 40)
        await database.execute("SET synchronous_commit = off")
        for position in range(8, 18):
            await database.execute(ADD, 1, START, 5, 2)
            await touch(database, position)
        horizon = await database.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        assert await same(database, held) == 40
        os.kill(database.get_server_pid(), signal.SIGKILL)
    await until(lambda: has_lost(crashing_url, 8))
    async with connected(crashing_url) as database:
        async with database.transaction():  # the events again, and new ones, in one batch
            await database.execute(ADD, 1, START, 40, 20)
            await touch(database, 20)
            assert await database.fetchval("SELECT pg_current_xact_id()::text::bigint") < horizon
        assert [await same(database, held) for _ in range(2)] == [40, 0]


async def test_an_answer_of_held_hours_is_the_answer_of_a_service_that_holds_nothing(
    database: Database, seeded_url: str
) -> None:
    chance, read = random.Random(7), as_role(seeded_url, "query")
    asked = [
        f"grain={grain}&{more}" for grain in ("hour", "day", "week", "month", "5h") for more in ("", "values=booked")
    ]
    asked += ["grain=hour&shape=columns&dimensions=cores", "grain=day&shape=columns"]
    async with (
        serving(Settings(database_url=read)) as holds,
        serving(Settings(database_url=read, query_cache_bytes=0)) as forgets,
    ):
        for position in range(8, 30):
            if changes := chance.random() < 0.7:
                start, count = START + chance.randrange(48), chance.randrange(1, 20)
                await database.execute(ADD, 1, start, count, chance.randrange(9))
            await touch(database, position, GAIA if changes else SPARK)
            paths = [f"/available/select?project=gaia&range=2086-01-01,2086-01-03&{one}" for one in asked]
            for path in chance.sample(paths, 6):
                etags = {} if chance.random() < 0.7 else {"If-None-Match": "*" if chance.random() < 0.5 else '"x"'}
                mine, plain = await holds.get(path, headers=etags), await forgets.get(path, headers=etags)
                assert (mine.status_code, mine.content, mine.headers) == (
                    plain.status_code,
                    plain.content,
                    plain.headers,
                ), path


async def test_hours_are_held_for_an_hour_and_within_the_bound(reads: Database, database: Database) -> None:
    now = 0.0
    await add_hours(database, GAIA, "2086-01-01T00", [9] * 40)
    held, small = HeldHours(1_000_000, lambda: now), HeldHours(8 * 13 * 48 * 8)
    assert [await same(reads, held) for _ in range(2)] == [40, 0]
    assert [await same(reads, small) for _ in range(2)] == [40, 40]
    now = HELD_MAX_S
    assert await same(reads, held) == 40
    held.forget()
    assert held.get(Asked("gaia", PERIOD, COLUMNS)) is None
