"""Task helpers: run until SIGTERM, run several until one ends, run again after an error, cancel and wait."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

AGAIN_S = 3.0
REPEAT_S = 60.0


async def until_stopped(*works: Coroutine[Any, Any, None]) -> None:
    """Runs `works` until one of them ends, or until SIGTERM or SIGINT, as `side_by_side` does. For services without
    HTTP."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await side_by_side(stop.wait(), *works)


async def side_by_side(*works: Coroutine[Any, Any, Any]) -> None:
    """Runs `works` until one of them ends, then cancels the others and waits for them. Raises the error of the one that
    ended, if it raised one."""
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
    """Calls `serve` again and again until it is cancelled.

    When `serve` raises one of `errors`, logs a warning and waits `delay_s` before the next call. `name` begins the
    warning and `then`, which says what happens next, ends it. The same warning comes once a minute at most: a disc that
    is full should not be filled with it. Raises any other error.
    """
    warned, at = "", float("-inf")
    while True:
        try:
            await serve()
        except errors as error:
            words, now = f"{type(error).__name__}: {error}", time.monotonic()
            if words != warned or now - at >= REPEAT_S:
                log.warning("%s: %s; %s", name, words, then)
                warned, at = words, now
            await asyncio.sleep(delay_s)


async def end_tasks(*tasks: asyncio.Task[Any], again_s: float | None = None) -> None:
    """Cancels tasks and waits until they have ended. Ignores what they raise.

    Cancels a task again if it still runs after `again_s` seconds (AGAIN_S by default; a task may take less than that to
    clean up). Before Python 3.12, `asyncio.wait_for` loses a cancellation that arrives together with its result
    (python/cpython#86296), and the NATS client uses it. So Hourbook itself uses neither `asyncio.wait_for` nor
    `asyncio.TaskGroup`, which cancels once.
    """
    going = {task for task in tasks if not task.done()}
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN_S if again_s is None else again_s)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # without this, asyncio logs that nobody retrieved the exception
