"""`python -m tests.bench [MEASURE ...] [OPTIONS]`: prints the table of the README."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from cyclopts import App, Parameter

from tests.bench import (
    accepted,
    folding,
    heavy,
    live,
    month,
    one_address,
    processes,
    scale,
    sealed,
    signed_in,
    starting,
    table,
    visible,
)
from tests.bench.load import DRIVER
from tests.bench.setting import Bench, Durable, Measure
from tests.support.system import System

SERVERS, LONG, ALONE = "small histories", "one long history", "servers of its own"


class Listed(NamedTuple):
    """A measure, and what it shares with others: the servers of small histories, those of the long one, or none."""

    shares: str
    measure: Measure


MEASURES = {
    "ceiling": Listed(SERVERS, accepted.accepted_against_the_ceiling),
    "sealed": Listed(SERVERS, sealed.sealing_beside_bookings),
    "processes": Listed(SERVERS, processes.several_processes),
    "reads": Listed(SERVERS, month.many_reads),
    "visible": Listed(SERVERS, visible.visible_after),
    "live": Listed(SERVERS, live.live_subscribers),
    "heavy": Listed(SERVERS, heavy.heaviest),
    "signed-in": Listed(SERVERS, signed_in.signed_in_against_open),
    "month": Listed(ALONE, month.a_month_against_sql),
    "address": Listed(ALONE, one_address.through_the_one_address),
    "append": Listed(ALONE, processes.appended),
    "folded": Listed(LONG, folding.folded_live),
    "past": Listed(LONG, folding.kept_past),
    "rebuild": Listed(LONG, folding.rebuilt),
    "verify": Listed(LONG, folding.verified),
    "start": Listed(LONG, starting.first_booking),
    "growth": Listed(LONG, accepted.accepted_as_the_project_grows),
    "decade": Listed(ALONE, starting.first_booking_of_many),
    "scale": Listed(ALONE, scale.scaled),
}
WHEN_NAMED = {"scale"}  # its table is that of docs/scale.md
NUMBERED = dict(enumerate(MEASURES, 1))
Chosen = Literal[(*map(str, NUMBERED), *MEASURES)]  # type: ignore[valid-type]
app = App(name="hourbook bench", help_on_error=False)


@app.default
def main(
    *chosen: Annotated[Chosen, Parameter(name="measures")],
    runs: int = 5,
    seconds: float = 1.0,
    most: int = 1_000_000,
    quick: Annotated[bool, Parameter(negative=())] = False,
    readme: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure this machine, and print the table of the README.

    Parameters
    ----------
    chosen
        Which measures, by name or number. Default: all but `scale`.
    runs
        How often each figure is measured.
    seconds
        How long each load lasts. wrk counts whole seconds.
    most
        The longest history, in bookings. With 5000000, the measure `decade` starts with ten years of bookings.
    quick
        One short run of each, on a short history: to see that the bench works, not how fast Hourbook is.
    readme
        Write the table into README.md.
    """
    if readme and (chosen or quick):
        sys.exit("--readme needs the whole bench: no measures by name, and not --quick")
    gc.set_threshold(100_000, 50, 50)  # as in the processes in which people rebuild and verify
    names = [NUMBERED[int(one)] if one.isdigit() else one for one in chosen]
    names = names or [name for name in MEASURES if name not in WHEN_NAMED]
    if quick:
        runs, most = 1, min(most, 2000)
    began, lines = time.monotonic(), [*title(runs, seconds), table.head()]
    print("\n".join(lines), flush=True)
    failed: list[str] = []
    for group in groups(names):
        lines += run(group, Options(runs, seconds, most), failed)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
    if failed:
        sys.exit("\n".join(failed))
    if readme:
        table.put_into_readme("\n".join(lines))


def title(runs: int, seconds: float) -> list[str]:
    """What stands above the table."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    return [
        f"`uv run hourbook bench`, {machine}, everything on one machine, fsync on. Each figure is the median of {runs} "
        f"runs, with the least and the greatest in parentheses. A load lasts {seconds:g} s, and {DRIVER} drives it.",
        "",
    ]


def groups(names: Sequence[str]) -> list[list[str]]:
    """The measures in the order of the list above; those that share servers are together."""
    ordered = [name for name in MEASURES if name in names]
    alone = [[name] for name in ordered if MEASURES[name].shares == ALONE]
    shared = [[name for name in ordered if MEASURES[name].shares == kind] for kind in (SERVERS, LONG)]
    return [group for group in (*shared, *alone) if group]


class Options(NamedTuple):
    """How often and how long (seconds) each load is measured, and the most bookings of a history."""

    runs: int
    seconds: float
    most: int


def run(names: Sequence[str], options: Options, failed: list[str]) -> list[str]:
    """Measures on new servers, prints each row when it is there, and returns the rows. A measure that fails is noted in
    `failed`, and the next one goes on."""
    with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as directory:
        Path(directory).chmod(0o711)  # root's PostgreSQL is another user
        system = System(Path(directory), Durable())
        system.start()
        try:
            return asyncio.run(_rows(names, Bench(system, *options), failed))
        finally:
            system.stop()


async def _rows(names: Sequence[str], bench: Bench, failed: list[str]) -> list[str]:
    lines = []
    for name in names:
        began = time.monotonic()
        try:
            async for row in MEASURES[name].measure(bench):
                print(row.line(), flush=True)
                lines.append(row.line())
        except Exception as error:
            failed.append(f"{name} was not measured: {type(error).__name__}: {error}")
            traceback.print_exc()
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    if bench.connection is not None:
        await bench.connection.close()
    return lines


if __name__ == "__main__":
    app(sys.argv[1:])
