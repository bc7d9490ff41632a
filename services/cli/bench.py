"""`hourbook bench`: the measurements of the source checkout, run as a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from services.cli.failure import Failure

SOURCE = Path(__file__).parents[2]


def bench(*options: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Measure this machine, and print the table of the README.

    Parameters
    ----------
    options
        Handed to `python -m tests.bench` as they are: which measures (1 to 8), --most BOOKINGS, --seconds SECONDS.
    """
    run = subprocess.run(measuring(SOURCE, options), cwd=SOURCE, check=False)
    if run.returncode:
        sys.exit(run.returncode)


def measuring(source: Path, options: Sequence[str]) -> list[str]:
    """The command line that measures. Raises Failure where `source` is not a checkout, but what a wheel installed."""
    if not (source / "tests" / "bench" / "__main__.py").exists():
        raise Failure(
            "the measurements are not part of the installed package: run this in a checkout of the source, "
            "as `uv run hourbook bench`"
        )
    return [sys.executable, "-m", "tests.bench", *options]
