"""`python -m tests.torture --minutes N [--seed S]`: exit status 0 if everything holds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.system import System
from tests.torture.clusters import Clusters
from tests.torture.faults import WEIGHTS
from tests.torture.plan import draw
from tests.torture.report import lines
from tests.torture.run import Outcome, two_of_everything

THREADS = 32  # starting a process takes one for some seconds; a thread lives as long as what it has started


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long parts are broken")
    parser.add_argument("--seed", type=int, default=None, help="the same seed draws the same faults")
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    logging.basicConfig(level=logging.ERROR)
    directory = Path(tempfile.mkdtemp(prefix="hourbook-torture-"))
    directory.chmod(0o711)
    say(f"seed {seed}; logs and data: {directory}")
    status = 1
    try:
        status = asyncio.run(until_signal(directory, 60 * arguments.minutes, seed))
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    finally:
        if status in (0, 130):
            shutil.rmtree(directory, ignore_errors=True)
        else:
            say(f"seed {seed}; the logs of every process are in {directory / 'system'}")
    return status


async def until_signal(directory: Path, seconds: float, seed: int) -> int:
    """Runs, and ends everything that it has started also on SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        outcome = await torture(directory, seconds, seed)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    for line in lines(outcome):
        print(line, flush=True)
    return 1 if outcome.verdict.wrong else 0


async def torture(directory: Path, seconds: float, seed: int) -> Outcome:
    """One run in an empty directory."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    system = System(directory / "system", Clusters(), tether=True)
    await asyncio.to_thread(system.start)
    try:
        async with two_of_everything(system, seed, say) as run:
            plan = draw(seed, seconds, {name: part.ways for name, part in run.parts.items()}, WEIGHTS)
            say(f"{len(plan)} faults in {seconds:.0f} s")
            return await run.whole(lambda: run.follow_plan(plan, seconds))
    finally:
        await asyncio.to_thread(system.stop)


def say(words: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
