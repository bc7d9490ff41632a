"""`python -m services.projector`: projects events until SIGTERM, or runs the command `rebuild` or `verify`."""

from __future__ import annotations

import gc
import sys

from services.projector.app import serve
from services.projector.settings import Settings
from shared import tracing
from shared.http.monitoring import PortTaken
from shared.http.server_settings import CannotServe
from shared.process import log_and_trace, run, settings_or_exit


def main() -> None:
    gc.set_threshold(100_000, 50, 50)  # a batch makes many objects that live as long as the batch, and no cycles
    log_and_trace("projector")
    if sys.argv[1:]:
        from services.projector.commands import app  # only here: the service starts sooner without the command line

        app(sys.argv[1:])  # ends the process
    try:
        run(serve(settings_or_exit(Settings)))
    except (PortTaken, CannotServe) as error:
        sys.exit(f"hourbook: {error}")
    finally:
        tracing.end()


if __name__ == "__main__":
    main()
