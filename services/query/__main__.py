"""`python -m services.query`: serves the reads until it is told to stop."""

from __future__ import annotations

import os
import sys

import msgspec

from services.query.app import create_app
from services.query.memory import give_back_large_buffers
from services.query.settings import Settings
from shared.http.serving import serve
from shared.settings import settings_from


def main() -> None:
    try:
        settings = settings_from(os.environ, Settings)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")
    give_back_large_buffers()
    app = create_app(settings)
    serve(app, settings.host, settings.query_port, app.state.end_streams)


if __name__ == "__main__":
    main()
