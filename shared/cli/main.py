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
for module, name, summary in (
    ("up", "up", "Run the whole system here until Ctrl-C."),
    ("demo", "demo", "Load an example, and draw what is available in it."),
    ("status", "status", "Show how far each part has come, and what is wrong."),
    ("single", "command", "Run the command service alone."),
    ("single", "projector", "Run the projector alone."),
    ("single", "query", "Run the query service alone."),
    ("single", "migrate", "Bring the database to the newest schema."),
    ("single", "rebuild", "Build the read models anew from the events."),
):
    app.command(f"shared.cli.{module}:{name}", name=name, help=summary)


def main() -> None:
    try:
        app()
    except Failure as failure:
        sys.exit(f"hourbook: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
