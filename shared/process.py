"""The start of a service's process: its settings from the environment, and its log to standard error."""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from shared.nats_server import BadNatsSetting, HasNatsFiles, server_at
from shared.settings import SettingsType, settings_from


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
    return settings


def log_to_stderr() -> None:
    """Logs INFO and above to standard error, with time and level."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
