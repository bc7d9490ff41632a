"""`python -m services.query`: serves reads until a signal ends it."""

from __future__ import annotations

from services.query.app import create_app
from services.query.memory import give_back_large_buffers
from services.query.settings import Settings
from shared.http.owners import QUERY
from shared.http.serving import serve
from shared.process import log_and_trace, settings_or_exit


def main() -> None:
    log_and_trace("query")
    settings = settings_or_exit(Settings)
    give_back_large_buffers()
    app = create_app(settings)
    serve(app, settings, QUERY, settings.query_port, app.state.end_streams)


if __name__ == "__main__":
    main()
