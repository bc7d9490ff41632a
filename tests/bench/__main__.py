"""`python -m tests.bench [1 2 3 4 5 6 7 8 9] [--most N] [--seconds S]`: prints the table of the README."""

from __future__ import annotations

import asyncio
import gc
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tests.bench import audit, heavy, live, measures, signed_in
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
    "9": signed_in.signed_in_against_open,
}


Chosen = Literal["1", "2", "3", "4", "5", "6", "7", "8", "9"]
app = App(name="hourbook bench", help_on_error=False)


@app.default
def main(*chosen: Annotated[Chosen, Parameter(name="measures")], most: int = 1_000_000, seconds: float = 4.0) -> None:
    """Measure this machine, and print the table of the README.

    Parameters
    ----------
    chosen
        Which measures. Default: all.
    most
        The longest history, in bookings.
    seconds
        How long each load lasts.
    """
    gc.set_threshold(100_000, 50, 50)  # as in the processes in which people rebuild and verify
    print(f"{platform.machine()}, Python {platform.python_version()}\n")
    print("| what | measured | compared with | ratio | aim |\n|---|---|---|---|---|")
    for measure in [MEASURES[name] for name in chosen or MEASURES]:
        with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as directory:
            Path(directory).chmod(0o711)  # root's PostgreSQL is another user
            system = System(Path(directory))
            system.start()
            try:
                asyncio.run(_print(measure, system, most, seconds))
            finally:
                system.stop()


async def _print(measure: measures.Measure, system: System, most: int, seconds: float) -> None:
    async for row in measure(system, most, seconds):
        print(f"| {row.what} | {row.measured} | {row.beside} | {row.ratio} | {row.aim} |", flush=True)


if __name__ == "__main__":
    app(sys.argv[1:])
