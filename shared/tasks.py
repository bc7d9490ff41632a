"""Task helpers: run until SIGTERM, run several until one ends, run again after an error, cancel and wait."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

AGAIN_S = 3.0


async def until_stopped(*works: Coroutine[Any, Any, None]) -> None:
    """How a service without HTTP runs: `side_by_side`, until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await side_by_side(stop.wait(), *works)


async def side_by_side(*works: Coroutine[Any, Any, Any]) -> None:
    """Runs `works` until one of them ends, and ends the others; raises what that one raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(*tasks)


async def keep_running(
    log: logging.Logger,
    name: str,
    serve: Callable[[], Awaitable[None]],
    errors: tuple[type[Exception], ...],
    delay_s: float,
    then: str = "it goes on",
) -> None:
    """Calls `serve` again and again, until it is cancelled. When it raises one of `errors`, logs one warning, which
    ends with what `then` happens, and waits `delay_s` before the next call. Raises any other error."""
    while True:
        try:
            await serve()
        except errors as error:
            log.warning("%s: %s: %s; %s", name, type(error).__name__, error, then)
            await asyncio.sleep(delay_s)


async def end_tasks(*tasks: asyncio.Task[Any], again_s: float | None = None) -> None:
    """Cancels tasks and waits until they have ended; what they raise is theirs to say.

    A task is asked again when it goes on for `again_s`, by default AGAIN_S, which is more than its last deeds may take.
    For before Python 3.12 `asyncio.wait_for`, which the NATS client waits with, loses a cancellation that comes in the
    moment in which what it waits for is there (python/cpython#86296). For the same reason nothing of ours calls it, and
    a TaskGroup, which asks once, is not for works that do.
    """
    going = {task for task in tasks if not task.done()}
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN_S if again_s is None else again_s)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # it is looked at, so that nobody says it was not
