"""What other processes are: whether one lives, whether it is still the one that was meant, how to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_S = 0.02


def started_at(pid: int) -> str | None:
    """A mark that tells this process from any other that ever has its pid; None when it is gone, or a zombie."""
    if sys.platform != "linux":
        found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def command_line(pid: int) -> str:
    """The process's command line; empty when there is no such process."""
    if sys.platform != "linux":
        found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return found.stdout.strip()
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def end(pid: int, how: signal.Signals, timeout_s: float) -> None:
    """Signals a process that is not a child and waits until it is gone; one that does not go in time is killed."""
    mark = started_at(pid)
    for number in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if mark is None or started_at(pid) != mark:
                return
            time.sleep(POLL_S)
