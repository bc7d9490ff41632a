"""Bookings at a steady rate: each is sent at its time, whether the ones before it are answered or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def at_rate(rate: int, seconds: float, one: Callable[[int], Awaitable[None]]) -> float:
    """Begins `one(number)` so many times a second, and waits for all. Returns how many a second there were in truth."""
    began, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(number)))
    await asyncio.gather(*tasks)
    return len(tasks) / (time.perf_counter() - began)


def held(rate: int, rates: list[float]) -> str:
    """Says it when the machine did not hold the rate."""
    return "" if min(rates) > 0.95 * rate else f"; the machine did not hold the rate: {min(rates):,.0f}/s at the least"
