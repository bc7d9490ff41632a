"""Settings come from environment variables `HOURBOOK_<NAME>`. A service decodes them once, into a frozen struct."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

PREFIX = "HOURBOOK_"
FIELD = re.compile(r"`(?:\$\.)?([a-z][a-z0-9_]*_[a-z0-9_]+|host)`")
SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


def settings_from(environment: Mapping[str, str], kind: type[SettingsType]) -> SettingsType:
    """The settings of `kind` from the variables that start with HOURBOOK_. Raises msgspec.ValidationError, which names
    the variable that is missing or wrong."""
    named = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return msgspec.convert(named, kind, strict=False)
    except msgspec.ValidationError as error:
        words = FIELD.sub(lambda field: f"{PREFIX}{field[1].upper()}", str(error))
        raise msgspec.ValidationError(words.replace("Object missing required field ", "there is no ")) from None
