"""Other processes: find one by its pid, make sure that it is still the same one, end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil

POLL_S = 0.02
CHILD_POLL_S = 0.05


def started_at(pid: int) -> str | None:
    """The process's start time in seconds, as text. It differs from that of a later process with the same pid.

    None when no such process runs; a zombie does not run. On Linux the time counts from the boot of the machine, so a
    change of the clock does not change it.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time() - (psutil.boot_time() if psutil.LINUX else 0):.2f}"
    except (psutil.Error, ValueError):  # ValueError: a negative pid
        return None


async def until_ended(process: subprocess.Popen[bytes]) -> None:
    """Returns when a child process has ended. On Linux the kernel says so; elsewhere this looks every CHILD_POLL_S."""
    try:
        watched = os.pidfd_open(process.pid) if sys.platform == "linux" and process.poll() is None else None
    except OSError:
        watched = None
    if watched is not None:
        gone, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(watched, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
    while process.poll() is None:
        await asyncio.sleep(CHILD_POLL_S)


def command_line(pid: int) -> str:
    """The process's command line. Empty when no such process runs."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.Error, ValueError):
        return ""


def end(pid: int, started: str, how: signal.Signals, timeout_s: float) -> None:
    """Signals a process that is not a child, and waits until it is gone. Kills it after `timeout_s`.

    `started` is what `started_at` answered for it: another process that has the pid by now is left alone.
    """
    for number in (how, signal.SIGKILL):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if started_at(pid) != started:
                return
            process.send_signal(number)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if started_at(pid) != started:
                return
            time.sleep(POLL_S)
