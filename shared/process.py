"""The start of a service's process: its settings from the environment, its log to standard error, its traces."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any

import msgspec

from shared import tracing
from shared.log_format import BadLogFormat, JsonLines, formatter_of, log_uncaught
from shared.nats_server import BadNatsSetting, HasNatsFiles, server_at
from shared.postgres_hosts import BadAddress, hosts_of, parse_address
from shared.settings import SettingsType, settings_from

if sys.platform == "win32":  # uvloop does not run there
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a service's work until it ends, on the event loop that uvicorn takes: uvloop, which costs a wake-up half of
    the standard loop's time."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


def settings_or_exit(kind: type[SettingsType]) -> SettingsType:
    """The settings from the environment. If one is missing or wrong, exits with a message that names it."""
    try:
        settings = settings_from(os.environ, kind)
        if isinstance(settings, HasNatsFiles) and (url := getattr(settings, "nats_url", None)):
            server_at(url, settings).options()
    except BadNatsSetting as error:
        sys.exit(f"hourbook: {error}")
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: a setting HOURBOOK_… is missing or wrong: {error}")
    if (url := getattr(settings, "database_url", "")) and (why := address_trouble(url)) is not None:
        sys.exit(f"hourbook: HOURBOOK_DATABASE_URL: {why}")
    return settings


def address_trouble(url: str) -> str | None:
    """Why nobody can connect to the address of a database; None if nothing is wrong with the address itself."""
    try:
        hosts_of(url)
    except BadAddress as error:
        return str(error)
    return password_file_trouble(url)


def password_file_trouble(url: str) -> str | None:
    """Why nobody can read the `passfile` of a database's address; None if there is none, or it can be read. Without
    this, PostgreSQL would only say that the password is wrong."""
    try:
        for name, path in parse_address(url).parameters():
            if name == "passfile":
                with open(path, "rb"):
                    pass
    except OSError as error:
        return f"the password file (passfile) {error.filename}: {error.strerror}. `hourbook migrate` makes it"
    except ValueError:  # no address: whoever connects says so
        return None
    return None


def log_and_trace(service: str) -> None:
    """Logs INFO and above to standard error, in the form that HOURBOOK_LOG_FORMAT says, and begins traces if
    OTEL_TRACES_EXPORTER asks for them. Exits with a message if one of the two cannot be used."""
    try:
        handler = logging.StreamHandler()
        handler.setFormatter(formatter_of(os.environ, service))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        if isinstance(handler.formatter, JsonLines):
            log_uncaught()
        tracing.begin(service, os.environ)
    except (BadLogFormat, tracing.CannotTrace) as error:
        sys.exit(f"hourbook: {error}")
