"""From the answer until a booking can be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from tests.bench.load import CLIENT, Client, get
from tests.bench.setting import HEAD, POSITION, PROJECT, Bench, bookings, project, warm
from tests.bench.steady import at_rate, held
from tests.bench.table import Row, spread

RATE = 500
LOOKED_AT_EVERY = 10


async def visible_after(bench: Bench) -> AsyncIterator[Row]:
    """Bookings at a steady rate, with a read for every tenth of them that waits for its position."""
    async with project(bench.system) as connection:
        with bench.system.projector(), bench.system.command() as command, bench.system.query() as query:
            await warm(command.port)
            async with asyncio.timeout(60):
                while (await connection.fetchval(POSITION) or 0) < await connection.fetchval(HEAD):
                    await asyncio.sleep(0.01)
            runs, rates = [], []
            for _ in range(bench.runs):
                delays, rate = await _delays(command.port, query.port, 2 * bench.seconds)
                runs.append(sorted(delays))
                rates.append(rate)
    p50 = spread([delays[len(delays) // 2] * 1000 for delays in runs], ".1f", " ms")
    p99 = spread([delays[int(len(delays) * 0.99)] * 1000 for delays in runs], ".1f", " ms")
    yield Row(
        what=f"from the answer 201 until the booking is visible, at {RATE} bookings/s",
        by=CLIENT,
        measured=f"p50 {p50}, p99 {p99}{held(RATE, rates)}",
        aim="p99 < 50 ms",
    )


async def _delays(command: int, query: int, seconds: float) -> tuple[list[float], float]:
    """Seconds from the answer until the booking is visible, and the rate of the bookings."""
    delays: list[float] = []
    request, writer, reader = bookings().endless(), Client(command), Client(query)
    look = f"/available/select?project={PROJECT}&range=2030-01-01,2030-01-02&min_position="

    async def one(number: int) -> None:
        status, body = await writer.ask(request())
        began = time.perf_counter()
        assert status == 201, body
        if number % LOOKED_AT_EVERY == 0:
            status, body = await reader.ask(get(look + str(msgspec.json.decode(body)["position"])))
            delays.append(time.perf_counter() - began)
            assert status == 200, body

    rate = await at_rate(RATE, seconds, one)
    await writer.close()
    await reader.close()
    return delays, rate
