"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

BOUND_S = 60.0
LOOK_S = 0.01


async def until(holds: Callable[[], Any], bound_s: float = BOUND_S) -> None:
    """Returns when `holds` does; it may be a coroutine function. Raises TimeoutError."""
    async with asyncio.timeout(bound_s):
        while True:
            held = holds()
            if await held if inspect.isawaitable(held) else held:
                return
            await asyncio.sleep(LOOK_S)
