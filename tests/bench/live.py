"""Measure 7: a hundred who follow the events live, at a thousand a second; how late they are, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator

import asyncpg
import httpx
import msgspec

from tests.bench.history import History
from tests.bench.load import Client
from tests.bench.measures import HEAD, POSITION, PROJECT, Row, bookings, warm
from tests.support.system import System

RATE = 1000
SUBSCRIBERS = 100


class Answered(msgspec.Struct):
    """What came of bookings at a steady rate: when each position was answered, and how long each answer took."""

    at: dict[int, float]
    latencies: list[float]

    def p99(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


async def live_subscribers(system: System, _: int, seconds: float) -> AsyncIterator[Row]:
    connection = await asyncpg.connect(system.postgres.url)
    await History(connection, PROJECT).begin()
    with system.projector(), system.command() as command, system.query() as query:
        await warm(command.port)
        async with asyncio.timeout(30):
            while await connection.fetchval(POSITION) < await connection.fetchval(HEAD):
                await asyncio.sleep(0.01)
        alone = await steady(command.port, max(seconds, 4.0))
        async with subscribers(query.port, SUBSCRIBERS) as process:
            followed = await steady(command.port, max(seconds, 4.0))
            await asyncio.sleep(1.0)
            process.send_signal(signal.SIGTERM)
            told, _error = await process.communicate()
    came: list[tuple[int, float]] = msgspec.json.decode(told, type=list[tuple[int, float]])
    lags = sorted(at - followed.at[position] for position, at in came if position in followed.at)
    expected = len(followed.at) * SUBSCRIBERS // 10
    if len(lags) != expected:
        raise RuntimeError(f"{len(lags)} of {expected} events came to the subscribers that were looked at")
    p50, p99 = lags[len(lags) // 2], lags[int(len(lags) * 0.99)]
    yield Row(
        f"from the answer 201 to {SUBSCRIBERS} live subscribers, at {RATE:,} bookings/s",
        f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms",
    )
    yield Row(
        "p99 of these bookings",
        f"{followed.p99() * 1000:.1f} ms",
        f"{alone.p99() * 1000:.1f} ms: without subscribers",
        f"{followed.p99() / alone.p99():.2f}",
    )
    await connection.close()


@contextlib.asynccontextmanager
async def subscribers(port: int, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """So many of them in a process of their own, all connected."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.subscribers", str(port), str(count), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(30):
            while f"hourbook_subscribers {count}.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.05)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def steady(port: int, seconds: float) -> Answered:
    """Bookings at RATE. Raises if it was not held."""
    request, client, answered = bookings(), Client(port), Answered({}, [])

    async def one() -> None:
        began = time.perf_counter()
        status, body = await client.ask(request())
        ended = time.perf_counter()
        assert status == 201, body
        answered.at[msgspec.json.decode(body)["position"]] = ended
        answered.latencies.append(ended - began)

    began, tasks = time.perf_counter(), []
    for number in range(int(RATE * seconds)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    held = len(tasks) / (time.perf_counter() - began)
    if held < 0.95 * RATE:
        raise RuntimeError(f"only {held:.0f} of {RATE} bookings a second were sent")
    await client.close()
    return answered
