"""`python -m services.notify`: makes notices and calls webhooks until SIGTERM."""

from __future__ import annotations

import sys

from services.notify.app import serve
from services.notify.settings import Settings
from shared import tracing
from shared.http.monitoring import PortTaken
from shared.http.server_settings import CannotServe
from shared.process import log_and_trace, run, settings_or_exit


def main() -> None:
    log_and_trace("notify")
    settings = settings_or_exit(Settings)
    try:
        run(serve(settings))
    except (PortTaken, CannotServe) as error:
        sys.exit(f"hourbook: {error}")
    finally:
        tracing.end()


if __name__ == "__main__":
    main()
