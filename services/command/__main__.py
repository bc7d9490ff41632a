"""`python -m services.command`: serves the commands until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from services.command.app import create_app
from services.command.settings import Settings
from shared.http.serving import serve
from shared.settings import settings_from


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    serve(create_app(settings), settings.host, settings.command_port)


if __name__ == "__main__":
    main()
