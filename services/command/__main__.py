"""`python -m services.command`: serves the commands until it is told to stop."""

from __future__ import annotations

from services.command.app import create_app
from services.command.settings import Settings
from shared.http.owners import COMMAND
from shared.http.serving import serve
from shared.process import log_and_trace, settings_or_exit


def main() -> None:
    log_and_trace("command")
    settings = settings_or_exit(Settings)
    serve(create_app(settings), settings, COMMAND, settings.command_port)


if __name__ == "__main__":
    main()
