"""Processor time by process, and memory: what the kernel says of a process and all that it started."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path

import psutil

SERVICE = re.compile(r"services\.(\w+)$")


def used_s(*roots: int) -> Counter[str]:
    """Seconds of processor time by name, of these processes and all below them: user and system time, with that of
    children that have ended. A session of PostgreSQL that has ended counts there, too."""
    used = Counter[str]()
    for root in roots:
        parent = psutil.Process(root)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                ended = times.children_user + times.children_system
                used[name_of(process.cmdline())] += times.user + times.system + ended
    return used


def name_of(command: list[str]) -> str:
    """What the bench calls a process, by its command line."""
    program = Path(command[0].partition(":")[0]).name if command else ""
    service = next((found[1] for word in command if (found := SERVICE.search(word))), "")
    if program.startswith("postgres"):
        return "PostgreSQL"
    if program.startswith("nats"):
        return "NATS"
    return "gateway" if service == "cli" else service or program


def by_process_us(before: Counter[str], after: Counter[str], count: int) -> dict[str, float]:
    """Microseconds for each of `count` things, by process; the greatest first."""
    costs = {name: (after[name] - before[name]) * 1e6 / count for name in after}
    return dict(sorted(costs.items(), key=lambda one: -one[1]))


def peak_mb(pid: int) -> float:
    """The most memory that a process has had since it started, in MB (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
