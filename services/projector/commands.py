"""The commands of the projector that end: rebuild the read models, verify the history."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from services.projector.consumer import Parked
from services.projector.rebuild.rebuild import AlreadyRebuilding
from services.projector.rebuild.rebuild import rebuild as rebuild_read_models
from services.projector.rebuild.report import report_lines
from services.projector.rebuild.verification import TrustedCheckpoint
from services.projector.rebuild.verification import verify as verify_history
from services.projector.settings import Settings
from shared.audit.notes import BadKey
from shared.process import settings_or_exit
from shared.progress_bar import progress_bar

app = App(name="python -m services.projector", help="Without a command, project events until SIGTERM.")


@app.command
def rebuild() -> None:
    """Rebuild the read models from the events, and put them in the place of the live ones."""
    settings = settings_or_exit(Settings)
    with progress_bar() as tell:

        def show(done: int, head: int) -> None:
            tell("rebuild", done, head)
            if not sys.stdout.isatty():
                print(f"rebuild: {done} of {head} events")

        try:
            rebuilt = asyncio.run(rebuild_read_models(settings.database_url, show))
        except (AlreadyRebuilding, Parked) as error:
            sys.exit(f"hourbook: {error}")
    rate = rebuilt.position / rebuilt.seconds
    print(
        f"generation {rebuilt.generation} is live at position {rebuilt.position}: {rebuilt.seconds:.1f} s, "
        f"{rate:,.0f} events/s; the live tables stood still for {rebuilt.switch_seconds:.2f} s"
    )
    if rebuilt.differences is None:
        print("the old tables were behind, and were not compared")
    elif rebuilt.differences:
        print(f"the old tables were not what the history gives: {', '.join(rebuilt.differences)}")


@app.command
def verify(
    *,
    key: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    kept: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = (),
) -> None:
    """Recompute everything from the stored events, and compare. The exit status is 1 when something differs.

    Parameters
    ----------
    key
        A public key to trust. Default: the keys in the database itself.
    kept
        The file of an earlier checkpoint.
    """
    settings, began = settings_or_exit(Settings), time.monotonic()
    try:
        checkpoints = [TrustedCheckpoint(str(file), file.read_text(encoding="utf-8")) for file in kept]
        with progress_bar() as tell:
            report = asyncio.run(verify_history(settings.database_url, checkpoints, list(key) or None, tell))
    except (AlreadyRebuilding, BadKey, LookupError, OSError) as error:
        sys.exit(f"hourbook: {error}")
    print("\n".join(report_lines(report, time.monotonic() - began)))
    sys.exit(0 if report.holds else 1)
