"""Two of everything behind one address: one of each is killed, and the other goes on at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.backends import Backend
from tests.support.doubled import COMMAND, NOTIFY, PROJECTOR, QUERY, SEALER, SERVICES
from tests.support.system import System
from tests.torture.run import Run, two_of_everything

LEADING = 1  # the copy that was started first
HANDED_OVER_S = 15.0  # 3 s on a machine that is not busy
# What a client may meet: its answer, or that it should ask again.
ANSWERS = {"200", "201", "409", "502", "503"}


def work_of(run: Run) -> dict[str, Callable[[int], Awaitable[bool]]]:
    """By service: whether its work is done up to a position."""

    async def relayed(position: int) -> bool:
        return run.position.position >= position

    async def projected(position: int) -> bool:
        return run.sse.position >= position

    called_to = run.webhook.position

    async def called(_: int) -> bool:  # with many events, a webhook is behind
        return run.webhook.position > called_to

    async def sealed(position: int) -> bool:
        return await run.sealed() >= position

    async def read(position: int) -> bool:
        async with run.http.get(f"{run.two.url}/pools?min_position={position}") as answer:
            return answer.status == 200

    return {COMMAND: relayed, PROJECTOR: projected, QUERY: read, SEALER: sealed, NOTIFY: called}


async def handed_over(run: Run, service: str) -> float:
    """The seconds until an event that is acknowledged from now on has been worked on."""
    began, before, is_done = time.monotonic(), len(run.record.acknowledged), work_of(run)[service]
    async with asyncio.timeout(4 * HANDED_OVER_S):
        while len(run.record.acknowledged) == before:
            await asyncio.sleep(0.01)
        position = max(made.position for made in run.record.acknowledged.values())
        while not await is_done(position):
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_one_of_each_service_is_killed_and_the_other_goes_on(
    own_directory: Path, backend: Backend, record_property: pytest.RecordProperty
) -> None:
    system = System(own_directory / f"two-{uuid4().hex}", backend)
    await asyncio.to_thread(system.start)
    took: dict[str, float] = {}
    try:
        async with two_of_everything(system, 1, print) as run:

            async def kill(name: str) -> None:
                async with run.broken(name, "kill"):
                    took[name] = await handed_over(run, name.partition("-")[0])

            async def kill_each() -> None:
                killed = []
                for service in SERVICES:  # one after the other; they start again meanwhile
                    name = f"{service}-{LEADING}"
                    killed.append(asyncio.create_task(kill(name)))
                    while name not in took and not killed[-1].done():
                        await asyncio.sleep(0.01)
                await asyncio.gather(*killed)

            outcome = await run.whole(kill_each)
    finally:
        await asyncio.to_thread(system.stop)
    for name, seconds in took.items():
        record_property(name, f"{seconds:.2f} s")
        print(f"{name}: {seconds:.2f} s")
    assert outcome.verdict.wrong == []
    assert {kind.split()[1] for kind in outcome.record.statuses} <= ANSWERS, outcome.record.statuses
    assert max(took.values()) < HANDED_OVER_S, took
