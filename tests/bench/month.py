"""Reads of a month: cold, beside the best plain SQL and the query that Hourbook began with; and many at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import asyncpg

from services.projector.rebuild.rebuild import rebuild
from tests.bench.history import History
from tests.bench.load import CLIENT, DRIVER, Client, Requests, drive, get
from tests.bench.setting import HEAD, POSITION, PROJECT, Bench, ceiling_of, project
from tests.bench.table import Row, ratios, spread
from tests.support.backends import as_role

MAKE_TIMELINE = """
CREATE TABLE IF NOT EXISTS timeline (startdate timestamp, enddate timestamp, cores bigint, memory bigint);
CREATE INDEX IF NOT EXISTS timeline_starts ON timeline (startdate) INCLUDE (enddate, cores, memory);
CREATE INDEX IF NOT EXISTS timeline_ends ON timeline (enddate) INCLUDE (startdate, cores, memory);
CREATE STATISTICS IF NOT EXISTS timeline_periods (ndistinct) ON startdate, enddate FROM timeline;
"""
FILL_TIMELINE = """
INSERT INTO timeline
SELECT start, start + interval '72 hours', -1, -2
FROM (SELECT timestamp '2030-01-01' + interval '1 hour' * floor(random() * 672) AS start
      FROM generate_series(1, $1::int)) AS starts
"""
# The query that Hourbook began with.
NOTES_QUERY = """
SELECT hours.hour, sum(timeline.cores), sum(timeline.memory)
FROM timeline,
    (SELECT hour FROM generate_series(timestamp '2030-01-01', '2030-01-31 23:00', '1 hour') hour) AS hours
WHERE timeline.startdate <= hours.hour AND timeline.enddate > hours.hour
GROUP BY hours.hour ORDER BY hours.hour
"""
# The best plain SQL for any bookings: what starts and what ends in an hour, summed from hour to hour by a window.
DIFFERENCES_QUERY = """
WITH change AS (
    SELECT greatest(startdate, timestamp '2030-01-01') AS hour, sum(cores) AS cores, sum(memory) AS memory
    FROM timeline WHERE startdate < '2030-02-01' AND enddate > '2030-01-01' GROUP BY 1
    UNION ALL
    SELECT enddate, -sum(cores), -sum(memory)
    FROM timeline WHERE enddate > '2030-01-01' AND enddate < '2030-02-01' GROUP BY 1
    UNION ALL
    SELECT hour, 0, 0 FROM generate_series(timestamp '2030-01-01', '2030-01-31 23:00', '1 hour') AS hour
), summed AS (
    SELECT hour, sum(sum(cores)) OVER later AS cores, sum(sum(memory)) OVER later AS memory
    FROM change GROUP BY hour WINDOW later AS (ORDER BY hour)
)
SELECT hour, cores, memory FROM summed WHERE cores <> 0 OR memory <> 0 ORDER BY hour
"""
# The same, quicker where many bookings have the same period: these are added up first, in one pass over the table.
PERIODS_QUERY = """
WITH summed AS (
    SELECT hour, sum(sum(more_cores)) OVER later AS cores, sum(sum(more_memory)) OVER later AS memory
    FROM (
        SELECT startdate, enddate, sum(cores) AS cores, sum(memory) AS memory FROM timeline
        WHERE startdate < '2030-02-01' AND enddate > '2030-01-01' GROUP BY startdate, enddate
        UNION ALL
        SELECT hour, hour, 0, 0 FROM generate_series(timestamp '2030-01-01', '2030-01-31 23:00', '1 hour') AS hour
    ) AS period
    CROSS JOIN LATERAL (
        VALUES (greatest(startdate, timestamp '2030-01-01'), cores, memory), (enddate, -cores, -memory)
    ) AS change (hour, more_cores, more_memory)
    GROUP BY hour WINDOW later AS (ORDER BY hour)
)
SELECT hour, cores, memory FROM summed
WHERE hour < '2030-02-01' AND (cores <> 0 OR memory <> 0) ORDER BY hour
"""
COLD = {1_000_000: ("73 times", "≥ 200 times"), 100_000: ("12 times", "≥ 50 times")}
SIZES = (1_000, 10_000, 100_000, 1_000_000)
NOWHERE = "nats://127.0.0.1:9"  # without NATS, a projector looks for events ten times a second
BEGUN = "month-begun"


def month(project: str, grain: str) -> bytes:
    return get(
        f"/available/select?project={project}&dimensions=cores,memory&values=available&shape=columns"
        f"&range=2030-01-01,2030-01-31&grain={grain}"
    )


async def a_month_against_sql(bench: Bench) -> AsyncIterator[Row]:
    """A project without clusters grows, and a table of the same number of bookings with it."""
    connection = await asyncpg.connect(bench.system.postgres.url)
    history = History(connection, PROJECT)
    await history.begin()
    await History(connection, BEGUN).begin()
    for size in (size for size in SIZES if size <= bench.most):
        await history.grow(size - history.bookings)
        await _fill(connection, size)
        await rebuild(as_role(bench.system.postgres.url, "projector"))
        sql = {
            "plain SQL with differences": await _asked(connection, DIFFERENCES_QUERY, bench.runs),
            "with equal periods added up first": await _asked(connection, PERIODS_QUERY, bench.runs),
            "with `generate_series`": await _asked(connection, NOTES_QUERY, notes_runs(size, bench.runs)),
        }
        yield beside_sql(size, sql, await _reads(bench, connection, history))
    await connection.close()


def notes_runs(size: int, runs: int) -> int:
    """How often the notes' query is asked, which takes 20 s for a million bookings."""
    return runs if size <= 10_000 else min(runs, 3) if size <= 100_000 else 1


class Reads(NamedTuple):
    """Milliseconds of reads of a month by hour, over one connection.

    first  the first of this pool after a start of the query service, which has answered for another pool
    cold   each after a new booking in the pool
    again  the same read once more: from the cache of answers
    """

    first: list[float]
    cold: list[float]
    again: list[float]


def beside_sql(size: int, sql: dict[str, list[float]], reads: Reads) -> Row:
    before, aim = COLD.get(size, ("", ""))
    cold = statistics.median(reads.cold)
    return Row(
        what=f"read of a month by hour, cold, {size:,} bookings",
        by=CLIENT,
        measured=f"{spread(reads.cold, '.2f', ' ms')}; first of its pool {spread(reads.first, '.2f', ' ms')}; "
        f"from the cache {spread(reads.again, '.2f', ' ms')}",
        beside="; ".join(f"{spread(taken, ',.1f', ' ms')}: {name}" for name, taken in sql.items()),
        ratio="; ".join(f"{statistics.median(taken) / cold:,.0f}" for taken in sql.values()) + " times",
        before=before,
        aim=aim,
    )


async def _asked(connection: asyncpg.Connection[asyncpg.Record], query: str, count: int) -> list[float]:
    return await times(lambda: connection.fetch(query), count)


async def _fill(connection: asyncpg.Connection[asyncpg.Record], bookings: int) -> None:
    await connection.execute(MAKE_TIMELINE)
    there = await connection.fetchval("SELECT count(*) FROM timeline")
    await connection.execute(FILL_TIMELINE, bookings - there)
    await connection.execute("VACUUM ANALYZE timeline")


async def _reads(
    bench: Bench, connection: asyncpg.Connection[asyncpg.Record], history: History, count: int = 20
) -> Reads:
    read, reads = month(history.project, "hour"), Reads([], [], [])
    for _ in range(bench.runs):
        with bench.system.query() as query:
            client = Client(query.port)
            await times(lambda: _ok(client, month(BEGUN, "hour")), 2)  # noqa: B023
            reads.first.extend(await times(lambda: _ok(client, read), 1))  # noqa: B023
            await client.close()
    with bench.system.projector(nats_url=NOWHERE), bench.system.query() as query:
        client = Client(query.port)
        await times(lambda: _ok(client, read), 2)
        for _ in range(count):
            await history.grow(1)
            history.bookings -= 1  # sizes are without them
            await _level(connection)
            reads.cold.extend(await times(lambda: _ok(client, read), 1))
            reads.again.extend(await times(lambda: _ok(client, read), 1))
        await client.close()
    return reads


async def _level(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async with asyncio.timeout(60):
        while (await connection.fetchval(POSITION) or 0) < await connection.fetchval(HEAD):
            await asyncio.sleep(0.005)


async def _ok(client: Client, request: bytes) -> None:
    status, body = await client.ask(request)
    assert status == 200, body


async def times(work: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """Milliseconds of each."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def many_reads(bench: Bench) -> AsyncIterator[Row]:
    """The same month for all: from the cache of answers. In turns with a server whose answer is constant."""
    async with project(bench.system):
        await rebuild(as_role(bench.system.postgres.url, "projector"))
    with bench.system.query() as query, ceiling_of(bench.system) as bare:
        for grain in ("hour", "day"):
            request = Requests((month(PROJECT, grain),))
            rounds = [
                (
                    await drive(query.port, request, seconds=bench.seconds),
                    await drive(bare.port, request, seconds=bench.seconds),
                )
                for _ in range(bench.runs)
            ]
            rates, beside = ([load.rate for load in loads] for loads in zip(*rounds, strict=True))
            yield Row(
                what=f"reads of a month by {grain}, 64 connections, from the cache",
                by=DRIVER,
                measured=spread(rates, unit="/s"),
                beside=f"{spread(beside, unit='/s')}: the same HTTP server with a constant answer",
                ratio=ratios(rates, beside),
                aim="≥ 0.3",
            )
