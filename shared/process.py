"""How the process of a service begins: with its settings from the environment, and its log on standard error."""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from shared.settings import SettingsType, settings_from


def settings_or_exit(kind: type[SettingsType]) -> SettingsType:
    """The settings that the environment holds. When one is missing or wrong, ends the process with a message that names
    it."""
    try:
        return settings_from(os.environ, kind)
    except msgspec.ValidationError as error:
        sys.exit(f"hourbook: the settings HOURBOOK_… are not right: {error}")


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
