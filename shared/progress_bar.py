"""The progress display of the commands that take long: one bar on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Tell = Callable[[str, int, int], None]


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """Yields `tell(step, done, total)`, which shows how many events a step has done.

    The bar is on standard error while that is a terminal, and disappears at the end. Elsewhere nothing is shown.
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("")

        def tell(step: str, done: int, total: int) -> None:
            progress.update(task, description=f"{step}: {done:,} of {total:,} events", completed=done, total=total)

        yield tell
