"""`python -m tests.bench [1 2 3 4 5 6 7 8] [--most N] [--seconds S]`: prints the table of the README."""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import tempfile
from pathlib import Path

from tests.bench import audit, heavy, live, measures
from tests.support.system import System

MEASURES = {
    "1": measures.accepted_against_the_ceiling,
    "2": measures.accepted_as_the_project_grows,
    "3": measures.a_month_against_the_notes_query,
    "4": measures.folded,
    "5": measures.visible_after,
    "6": audit.proven,
    "7": live.live_subscribers,
    "8": heavy.heaviest,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="hourbook bench", description=__doc__)
    parser.add_argument("measures", nargs="*", type=measure, help="which of 1 to 8; all by default")
    parser.add_argument("--most", type=int, default=1_000_000, help="the longest history, in bookings")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each load lasts")
    options = parser.parse_args()
    gc.set_threshold(100_000, 50, 50)  # as in the processes in which people rebuild and verify
    print(f"{platform.machine()}, Python {platform.python_version()}\n")
    print("| what | measured | beside it | ratio | aim |\n|---|---|---|---|---|")
    for chosen in options.measures or MEASURES.values():
        with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as directory:
            Path(directory).chmod(0o711)  # root's PostgreSQL is another user
            system = System(Path(directory))
            system.start()
            try:
                asyncio.run(_print(chosen, system, options))
            finally:
                system.stop()


def measure(name: str) -> measures.Measure:
    if name not in MEASURES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MEASURES)}")
    return MEASURES[name]


async def _print(measure: measures.Measure, system: System, options: argparse.Namespace) -> None:
    async for row in measure(system, options.most, options.seconds):
        print(f"| {row.what} | {row.measured} | {row.beside} | {row.ratio} | {row.aim} |", flush=True)


if __name__ == "__main__":
    main()
