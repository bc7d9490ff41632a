"""The five measurements of the README. Each yields rows as it gets them."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import msgspec

from services.projector.rebuild.rebuild import rebuild
from shared.hours import iso
from tests.bench.history import BOOKED_HOURS, MONTH_HOURS, T0, History
from tests.bench.load import Client, drive, get, post
from tests.support.backends import as_role
from tests.support.system import Service, System


class Row(msgspec.Struct):
    """A line of the table."""

    what: str
    measured: str
    beside: str = ""
    ratio: str = ""
    aim: str = ""


Measure = Callable[[System, int, float], AsyncIterator[Row]]
PROJECT = "bench"


def ceiling_of(system: System) -> Service:
    return Service(system, "tests.bench.ceiling", "ceiling_port")


def bookings(project: str = PROJECT) -> Callable[[], bytes]:
    """Requests for bookings of 72 hours that begin within the month, over and over."""
    chance, made = random.Random(2), []
    for _ in range(500):
        start = T0 + chance.randrange(MONTH_HOURS - BOOKED_HOURS)
        body = {
            "project": project,
            "account": "ada",
            "cores": 1,
            "memory": 2,
            "startdate": iso(start),
            "enddate": iso(start + BOOKED_HOURS),
        }
        made.append(post("/bookings/create", msgspec.json.encode(body)))
    return itertools.cycle(made).__next__


async def warm(port: int) -> None:
    """Until a booking is accepted: a process that has just begun reads the project first."""
    async with asyncio.timeout(120):
        while not (await drive(port, bookings(), connections=1, seconds=0.01)).rate:
            pass


async def accepted_against_the_ceiling(system: System, _: int, seconds: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    with system.command() as command_service, ceiling_of(system) as bare:
        command, ceiling = command_service.port, bare.port
        await warm(command)
        rounds = [
            (await drive(command, bookings(), seconds=seconds), await drive(ceiling, bookings(), seconds=seconds))
            for _ in range(3)
        ]
    measured, beside = [statistics.median(load.rate for load in loads) for loads in zip(*rounds, strict=True)]
    ratio = statistics.median(one.rate / other.rate for one, other in rounds)
    yield Row(
        "bookings accepted over HTTP, 64 connections",
        f"{measured:,.0f}/s",
        f"{beside:,.0f}/s: the same HTTP server, which only decodes the body",
        f"{ratio:.2f}",
        "≥ 0.7",
    )
    p99 = statistics.median(one.percentile(99) for one, _ in rounds)
    yield Row("p99 of these bookings", f"{p99 * 1000:.1f} ms")
    await connection.close()


async def accepted_as_the_project_grows(system: System, most: int, seconds: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    rates: dict[int, float] = {}
    for size in (10, 10_000, 1_000_000):
        if size > most:
            break
        history = History(connection, f"{PROJECT}{size}")
        await history.begin()
        await history.grow(size)
    for size in [size for size in (10, 10_000, 1_000_000) if size <= most]:
        requests = bookings(f"{PROJECT}{size}")
        with system.command() as service:
            command = service.port
            began = time.monotonic()
            async with asyncio.timeout(300):
                while not (await drive(command, requests, connections=1, seconds=0.01)).rate:
                    pass
            cold = time.monotonic() - began
            loads = [await drive(command, requests, seconds=seconds) for _ in range(3)]
        rates[size] = statistics.median(load.rate for load in loads)
        yield Row(
            f"bookings accepted, {size:,} bookings stored before",
            f"{rates[size]:,.0f}/s (cold start {cold:.1f} s)",
            f"{rates[10]:,.0f}/s: with 10 stored before",
            f"{rates[10] / rates[size]:.2f}",
            "≤ 1.3",
        )
    await connection.close()


MAKE_TIMELINE = """
CREATE TABLE IF NOT EXISTS timeline (
    id bigserial PRIMARY KEY, startdate timestamp, enddate timestamp, cores bigint, memory bigint
)
"""
FILL_TIMELINE = """
INSERT INTO timeline (startdate, enddate, cores, memory)
SELECT start, start + interval '72 hours', -1, -2
FROM (SELECT timestamp '2030-01-01' + interval '1 hour' * floor(random() * 672) AS start
      FROM generate_series(1, $1::int)) AS starts
"""
NOTES_QUERY = """
SELECT hours.hour, sum(timeline.cores), sum(timeline.memory)
FROM timeline,
    (SELECT hour FROM generate_series(timestamp '2030-01-01', '2030-01-31 23:00', '1 hour') hour) AS hours
WHERE timeline.startdate <= hours.hour AND timeline.enddate > hours.hour
GROUP BY hours.hour ORDER BY hours.hour
"""
MONTH = "range=2030-01-01,2030-01-31&dimensions=cores,memory&values=available&shape=columns"


async def a_month_against_the_notes_query(system: System, most: int, seconds: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    await connection.execute(MAKE_TIMELINE)
    history = History(connection, PROJECT)
    await history.begin()
    there, first = 0, 0.0
    for size in (1_000, 10_000, 100_000, 1_000_000):
        if size > most:
            break
        await history.grow(size - there)
        await connection.execute(FILL_TIMELINE, size - there)
        await connection.execute("VACUUM ANALYZE timeline")
        there = size
        await rebuild(as_role(system.postgres.url, "projector"))
        with system.query() as service:
            port = service.port
            notes = await _median_of(lambda: connection.fetch(NOTES_QUERY), times=3 if size > 10_000 else 9)
            cold, warm_s = await _month_over_http(port)
        first = first or cold
        aim = {100_000: "≥ 300 times", 1_000_000: "≥ 3,000 times"}.get(size, "")
        yield Row(
            f"read of a month by hour, {size:,} bookings",
            f"{cold * 1000:.2f} ms ({warm_s * 1000:.2f} ms from the cache)",
            f"{notes * 1000:,.0f} ms: SQL with `generate_series`",
            f"{notes / cold:,.0f} times ({notes / warm_s:,.0f})",
            aim,
        )
    with system.query() as query, ceiling_of(system) as bare:
        port, ceiling = query.port, bare.port
        for grain in ("hour", "day"):
            request = get(f"/available/select?project={PROJECT}&grain={grain}&{MONTH}")
            rounds = [
                (
                    await drive(port, lambda: request, seconds=seconds),  # noqa: B023
                    await drive(ceiling, lambda: request, seconds=seconds),  # noqa: B023
                )
                for _ in range(3)
            ]
            ratio = statistics.median(one.rate / other.rate for one, other in rounds)
            yield Row(
                f"reads of a month by {grain}, 64 connections",
                f"{rounds[1][0].rate:,.0f}/s",
                f"{rounds[1][1].rate:,.0f}/s: the same HTTP server with a constant answer",
                f"{ratio:.2f}",
                "≥ 0.3",
            )
    await connection.close()


async def _month_over_http(port: int) -> tuple[float, float]:
    """Median seconds of reads of a month by hour over one connection: of ranges not read before, and from the cache."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        cold, again = [], []
        for number in range(40):
            window = f"2030-01-01T{number % 24:02d}:00Z,2030-01-{31 - number // 24}T{number % 24:02d}:00Z"
            query = MONTH.replace("2030-01-01,2030-01-31", window)
            for times in (cold, again):
                began = time.perf_counter()
                answer = await client.get(f"/available/select?project={PROJECT}&grain=hour&{query}")
                times.append(time.perf_counter() - began)
                answer.raise_for_status()
    return statistics.median(cold), statistics.median(again)


async def _median_of(work: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


POSITION = "SELECT position FROM generation WHERE live"
HEAD = "SELECT position FROM event_head"


async def folded(system: System, most: int, _: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    history = History(connection, PROJECT, clusters=19)
    await history.begin()
    await history.grow(min(most, 400_000))
    head = await connection.fetchval(HEAD)
    with system.projector():
        async with asyncio.timeout(300):
            while not (begun := await connection.fetchval(POSITION)):
                await asyncio.sleep(0.01)
            began = time.monotonic()
            while await connection.fetchval(POSITION) < head:
                await asyncio.sleep(0.01)
        live = (head - begun) / (time.monotonic() - began)
    yield Row("events folded by a live projector that is far behind", f"{live:,.0f}/s", aim="≥ 40,000/s")
    rebuilt = await rebuild(as_role(system.postgres.url, "projector"))
    rate = rebuilt.position / rebuilt.seconds
    yield Row(
        "events folded in a rebuild", f"{rate:,.0f}/s", f"{live:,.0f}/s: live", f"{rate / live:.1f}", "≥ 200,000/s"
    )
    await connection.close()


async def visible_after(system: System, _: int, seconds: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    with system.projector(), system.command() as command_service, system.query() as query_service:
        command, query = command_service.port, query_service.port
        await warm(command)
        async with asyncio.timeout(30):
            while await connection.fetchval(POSITION) < await connection.fetchval(HEAD):
                await asyncio.sleep(0.01)
        delays = await _delays(command, query, rate=500, seconds=max(seconds, 4.0))
    delays.sort()
    p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    yield Row(
        "from the answer 201 until the booking is visible, at 500 bookings/s",
        f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms",
        aim="p99 < 50 ms",
    )
    await connection.close()


async def _delays(command: int, query: int, rate: int, seconds: float) -> list[float]:
    """Seconds from the answer until the booking is visible, for every tenth booking. Raises if the rate is too low."""
    delays: list[float] = []
    request, writer, reader = bookings(), Client(command), Client(query)
    look = f"/available/select?project={PROJECT}&range=2030-01-01,2030-01-02&min_position="

    async def one(looks: bool) -> None:
        status, body = await writer.ask(request())
        began = time.perf_counter()
        assert status == 201, body
        if looks:
            status, body = await reader.ask(get(look + str(msgspec.json.decode(body)["position"])))
            delays.append(time.perf_counter() - began)
            assert status == 200, body

    began, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number % 10 == 0)))
    await asyncio.gather(*tasks)
    held = len(tasks) / (time.perf_counter() - began)
    if held < 0.95 * rate:
        raise RuntimeError(f"only {held:.0f} of {rate} bookings a second were sent")
    await writer.close()
    await reader.close()
    return delays
