"""`hourbook bench`: runs the measurements of the source checkout in a process of their own."""

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
    """
    Parameters
    ----------
    options
        Given to `python -m tests.bench` as they are: which measures, --runs N, --seconds SECONDS,
        --most BOOKINGS, --quick, --readme.
    """
    run = subprocess.run(bench_command(SOURCE, options), cwd=SOURCE, check=False)
    if run.returncode:
        sys.exit(run.returncode)


def bench_command(source: Path, options: Sequence[str]) -> list[str]:
    """The command line of the bench. Raises Failure when `source` is an installed package and no checkout."""
    if not (source / "tests" / "bench" / "__main__.py").exists():
        raise Failure(
            "the measurements are not part of the installed package: run this in a checkout of the source, "
            "as `uv run hourbook bench`"
        )
    return [sys.executable, "-m", "tests.bench", *options]
