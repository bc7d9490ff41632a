"""`python -m services.notify`: makes notices and calls webhooks until SIGTERM."""

from __future__ import annotations

import asyncio

from services.notify.app import serve
from services.notify.settings import Settings
from shared.process import log_to_stderr, settings_or_exit


def main() -> None:
    log_to_stderr()
    settings = settings_or_exit(Settings)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
