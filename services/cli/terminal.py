"""The terminal that a table is shown on."""

from __future__ import annotations

import sys

from rich.console import Console

PIPED_WIDTH = 200


def table_console() -> Console:
    """Standard output: as wide as the terminal, or PIPED_WIDTH when it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
