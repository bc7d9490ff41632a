"""Who waits for the bell is woken by it, also by a ring that came before, and otherwise looks by itself."""

from __future__ import annotations

import asyncio

from services.projector.bell import Bell

BOUND_S = 30
NEVER_S = 1000.0


async def test_a_ring_wakes_who_waits_and_one_that_came_before_counts() -> None:
    bell = Bell(unheard_s=NEVER_S)
    async with asyncio.timeout(BOUND_S):
        bell.ring()
        await bell.wait(0.0)
        waiting = asyncio.create_task(bell.wait(0.0))
        await asyncio.sleep(0.01)
        assert not waiting.done()  # that ring was heard already
        bell.ring()
        await waiting


async def test_without_a_ring_the_wait_ends_too() -> None:
    async with asyncio.timeout(BOUND_S):
        await Bell(unheard_s=0.02).wait(0.01)
