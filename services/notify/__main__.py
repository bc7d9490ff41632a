"""`python -m services.notify`: notifies until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import msgspec

from services.notify.app import serve
from services.notify.settings import Settings
from shared.settings import settings_from


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
