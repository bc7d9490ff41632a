"""`python -m services.query`: serves the reads until it is told to stop."""

from __future__ import annotations

import os
import sys

import msgspec
import uvicorn

from services.query.app import create_app
from services.query.settings import settings_from


def main() -> None:
    try:
        settings = settings_from(os.environ)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    uvicorn.run(create_app(settings), host=settings.host, port=settings.query_port, access_log=False)


if __name__ == "__main__":
    main()
