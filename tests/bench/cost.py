"""What one booking costs: the processor time of every process of `hourbook up`, by process.

`python -m tests.bench.cost [SOURCE ...] [--seconds S] [--rounds N]` measures each checkout of the source in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import psutil
from cyclopts import App, Parameter

from services.cli.up.directory import Run
from services.cli.up.embedded import free_port, stop_process
from tests.bench.load import Load, drive
from tests.bench.measures import Row, bookings

HERE = Path(__file__).parents[2]
CONNECTIONS = (64, 8, 1)
AIMS = {64: 500, 8: 1000, 1: 3000}
THROUGH=0
SETTLE_S = 1.0  # after a load: what follows the bookings ends
IDLE_S = 4.0
START_TIMEOUT_S = 60.0
PROJECT = "bench"
# What PostgreSQL calls a process of its own: the role of a session, or what the process is for.
BACKEND = re.compile(r"postgres: (?:\S+: )?([a-z_ ]+?)(?:_[0-9a-f]{8}|_login)? (?:hourbook|postgres) ")
WRK = """
wrk.method = "POST"
wrk.path = "/bookings/create"
wrk.headers["Content-Type"] = "application/json"
local bodies = {%s}
local next = 0
request = function()
    next = next %% #bodies + 1
    return wrk.format(nil, nil, nil, bodies[next])
end
"""


class Loaded(msgspec.Struct):
    """The number of bookings that were accepted, and the median latency in seconds."""

    accepted: int
    p50: float


@contextlib.contextmanager
def up(source: Path) -> Iterator[Run]:
    """`hourbook up --ephemeral` of a checkout of the source, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="hourbook-cost-") as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL is another user
        python, port = source / ".venv" / "bin" / "python", str(free_port())
        with (Path(folder) / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [python, "-m", "services.cli", "up", "--ephemeral", "--port", port],
                stdout=log,
                stderr=log,
                cwd=source,
                env={**os.environ, "TMPDIR": folder},
            )
        try:
            yield _started(Path(folder), process)
        finally:
            stop_process(process, signal.SIGINT)


def _started(folder: Path, process: subprocess.Popen[bytes]) -> Run:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if b"runs at" in (folder / "up.log").read_bytes():
            (file,) = folder.glob("*/run.json")
            return msgspec.json.decode(file.read_bytes(), type=Run)
        time.sleep(0.1)
    raise RuntimeError(f"`hourbook up` did not start: {(folder / 'up.log').read_text()}")


def processor_ms(run: Run) -> Counter[str]:
    """The processor time that each part of the system has used, in milliseconds. PostgreSQL's are by role."""
    used = Counter[str]({"gateway": _used_ms(psutil.Process(run.pid))})
    for name, process in run.processes.items():
        parent = psutil.Process(process.pid)
        used[name] += _used_ms(parent)
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                used[_part_of(name, child)] += _used_ms(child)
    ended = psutil.Process(run.processes["postgres"].pid).cpu_times()
    used["postgres: ended sessions"] += round((ended.children_user + ended.children_system) * 1000)
    return used


def _used_ms(process: psutil.Process) -> int:
    times = process.cpu_times()
    return round((times.user + times.system) * 1000)


def _part_of(name: str, child: psutil.Process) -> str:
    if name != "postgres":
        return name
    title = " ".join(child.cmdline())
    session = BACKEND.match(title + " ")
    return f"postgres: {session[1] if session else title.removeprefix('postgres:').strip()}"


async def load(port: int, connections: int, seconds: float) -> Loaded:
    """Bookings over so many connections, by `wrk` if it is installed."""
    if shutil.which("wrk") is None:
        driven: Load = await drive(port, bookings(PROJECT), connections=connections, seconds=seconds)
        return Loaded(round(driven.rate * driven.seconds), driven.percentile(50))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        request = bookings(PROJECT)
        bodies = [request().partition(b"\r\n\r\n")[2].decode() for _ in range(500)]
        script.write(WRK % ", ".join(f"'{body}'" for body in bodies))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}", "--latency", "-s", script.name]
        ran = await asyncio.create_subprocess_exec(
            *command, f"http://127.0.0.1:{port}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        text = (await ran.communicate())[0].decode()
    return _said_by_wrk(text)


def _said_by_wrk(text: str) -> Loaded:
    if "Non-2xx" in text:
        raise RuntimeError(f"bookings were refused:\n{text}")
    requests, p50 = re.search(r"(\d+) requests in", text), re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    assert requests is not None and p50 is not None, text
    return Loaded(int(requests[1]), float(p50[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[p50[2]])


async def begin(run: Run) -> None:
    """Makes the project to book in."""
    async with httpx.AsyncClient(base_url=run.address, timeout=30) as client:
        for path, body in (
            ("/projects/create", {"id": PROJECT, "name": "Bench"}),
            (
                "/resources/create",
                {"project": PROJECT, "startdate": "2030-01-01", "enddate": "2030-12-31", "cores": 10**9, "memory": 10**9},
            ),
        ):
            (await client.post(path, json=body)).raise_for_status()


async def costs(run: Run, connections: int, seconds: float) -> tuple[Loaded, dict[str, float]]:
    """What came of the load, and the microseconds of processor time a booking, by part."""
    port = THROUGH or run.processes["command"].port
    assert port is not None
    before = processor_ms(run)
    loaded = await load(port, connections, seconds)
    await asyncio.sleep(SETTLE_S)
    return loaded, {part: ms * 1000 / loaded.accepted for part, ms in (processor_ms(run) - before).items()}


async def idle(run: Run, seconds: float = IDLE_S) -> dict[str, float]:
    """The milliseconds of processor time a second while nobody books, by part."""
    before = processor_ms(run)
    await asyncio.sleep(seconds)
    return {part: ms / seconds for part, ms in (processor_ms(run) - before).items()}


def summed(parts: dict[str, float], name: str) -> float:
    """Of a process with all its children."""
    return sum(value for part, value in parts.items() if part.partition(":")[0] == name)


async def measured(run: Run, seconds: float) -> AsyncIterator[tuple[str, dict[str, float], Loaded | None]]:
    """Each load with its costs, and then the idle system."""
    for connections in CONNECTIONS:
        loaded, parts = await costs(run, connections, seconds)
        yield f"{connections}", parts, loaded
    await asyncio.sleep(SETTLE_S)
    yield "idle", await idle(run), None


app = App(name="cost", help_on_error=False)


@app.default
def main(
    *sources: Annotated[Path, Parameter()], seconds: float = 4.0, rounds: int = 1, detail: bool = False
) -> None:
    """Measure each checkout in turn, and print microseconds of processor time a booking.

    Parameters
    ----------
    sources
        Folders of checkouts with their environments. Default: this one.
    seconds
        How long each load lasts.
    rounds
        How often each checkout is measured.
    detail
        Print PostgreSQL's parts, too.
    """
    for _ in range(rounds):
        for source in sources or (HERE,):
            asyncio.run(_print(source, seconds, detail))


async def _print(source: Path, seconds: float, detail: bool) -> None:
    with up(source) as run:
        await begin(run)
        global THROUGH
        THROUGH = int(run.address.rpartition(":")[2]) if os.environ.get("THROUGH") else 0
        port = run.processes["command"].port
        assert port is not None
        await load(port, 8, 1)
        await asyncio.sleep(SETTLE_S)
        async for what, parts, loaded in measured(run, seconds):
            total = sum(parts.values())
            unit = "ms/s" if loaded is None else "us"
            rate = "" if loaded is None else f"{loaded.accepted / seconds:6.0f}/s p50 {loaded.p50 * 1000:5.2f} ms "
            names = dict.fromkeys(part.partition(":")[0] for part in parts)
            whole = ", ".join(f"{name} {summed(parts, name):.0f}" for name in names)
            print(f"{source.name:8} {what:>4}: {rate} {total:6.0f} {unit}: {whole}", flush=True)
            if detail:
                print("    " + ", ".join(f"{part} {value:.0f}" for part, value in sorted(parts.items(), key=lambda one: -one[1])))


if __name__ == "__main__":
    app(sys.argv[1:])
