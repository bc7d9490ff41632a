"""A hundred who follow the events live, at a thousand a second; how late they are, and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator

import httpx
import msgspec

from tests.bench.load import CLIENT, Client
from tests.bench.setting import HEAD, POSITION, Bench, bookings, project, warm
from tests.bench.steady import at_rate, held
from tests.bench.table import Row, ratios, spread

RATE = 1000
SUBSCRIBERS = 100
LATE_S = 2.0


class Answered(msgspec.Struct):
    """What came of bookings at a steady rate: when each position was answered, and how long each answer took."""

    at: dict[int, float]
    latencies: list[float]
    rate: float = 0.0

    def p99(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


async def live_subscribers(bench: Bench) -> AsyncIterator[Row]:
    """In turns: bookings at a steady rate, and the same while all follow."""
    alone, followed, lags, rates = [], [], [], []
    async with project(bench.system) as connection:
        with bench.system.projector(), bench.system.command() as command, bench.system.query() as query:
            await warm(command.port)
            async with asyncio.timeout(60):
                while (await connection.fetchval(POSITION) or 0) < await connection.fetchval(HEAD):
                    await asyncio.sleep(0.01)
            for _ in range(bench.runs):
                alone.append((await steady(command.port, 2 * bench.seconds)).p99() * 1000)
                answered, late = await _followed(command.port, query.port, 2 * bench.seconds)
                followed.append(answered.p99() * 1000)
                rates.append(answered.rate)
                lags.append(late)
    p50 = spread([late[len(late) // 2] * 1000 for late in lags], ".1f", " ms")
    p99 = spread([late[int(len(late) * 0.99)] * 1000 for late in lags], ".1f", " ms")
    yield Row(
        what=f"from the answer 201 to {SUBSCRIBERS} live subscribers, at {RATE:,} bookings/s",
        by=CLIENT,
        measured=f"p50 {p50}, p99 {p99}{held(RATE, rates)}",
    )
    yield Row(
        what="p99 of these bookings",
        by=CLIENT,
        measured=spread(followed, ".1f", " ms"),
        beside=f"{spread(alone, '.1f', ' ms')}: without subscribers",
        ratio=ratios(followed, alone),
    )


async def _followed(command: int, query: int, seconds: float) -> tuple[Answered, list[float]]:
    """Bookings while all follow, and in order how many seconds after the answer each event came."""
    async with subscribers(query, SUBSCRIBERS) as process:
        answered = await steady(command, seconds)
        await asyncio.sleep(LATE_S)
        process.send_signal(signal.SIGTERM)
        told, _error = await process.communicate()
    came: list[tuple[int, float]] = msgspec.json.decode(told, type=list[tuple[int, float]])
    lags = sorted(at - answered.at[position] for position, at in came if position in answered.at)
    expected = len(answered.at) * SUBSCRIBERS // 10
    if len(lags) < 0.9 * expected:
        raise RuntimeError(f"{len(lags)} of {expected} events came to the subscribers that were looked at")
    lags += [LATE_S] * (expected - len(lags))  # what has not come yet is at least so late
    return answered, lags


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
    """Bookings at RATE."""
    request, client, answered = bookings().endless(), Client(port), Answered({}, [])

    async def one(_: int) -> None:
        began = time.perf_counter()
        status, body = await client.ask(request())
        ended = time.perf_counter()
        assert status == 201, body
        answered.at[msgspec.json.decode(body)["position"]] = ended
        answered.latencies.append(ended - began)

    answered.rate = await at_rate(RATE, seconds, one)
    await client.close()
    return answered
