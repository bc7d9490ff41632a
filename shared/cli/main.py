"""`hourbook`: the commands and where each of them lives. A command's module is imported only when it is run."""

from __future__ import annotations

import sys
from importlib.metadata import version

from cyclopts import App

from shared.cli.failure import Failure

HELP = """The booking ledger of shared compute.

`hourbook up` runs the whole system here; `hourbook demo` fills it with an example; `hourbook status` says how it is.
The others are for containers: each runs one part, on the servers that HOURBOOK_DATABASE_URL and HOURBOOK_NATS_URL name.
"""

app = App(name="hourbook", help=HELP, version=lambda: version("hourbook"))
app.command("shared.cli.up:up")
app.command("shared.cli.demo:demo")
app.command("shared.cli.status:status")
app.command("shared.cli.single:command")
app.command("shared.cli.single:projector")
app.command("shared.cli.single:query")
app.command("shared.cli.single:migrate")
app.command("shared.cli.single:rebuild")


def main() -> None:
    try:
        app()
    except Failure as failure:
        sys.exit(f"hourbook: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
