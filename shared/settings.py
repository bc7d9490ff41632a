"""Settings come from the environment (twelve-factor): `HOURBOOK_<NAME>`, decoded once into a frozen struct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

PREFIX = "HOURBOOK_"
SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


def settings_from(environment: Mapping[str, str], kind: type[SettingsType]) -> SettingsType:
    """Raises msgspec.ValidationError, which names the setting that is missing or wrong."""
    named = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    return msgspec.convert(named, kind, strict=False)
