"""Settings come from environment variables `HOURBOOK_<NAME>`. A service decodes them once, into a frozen struct."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar, get_args, get_type_hints

import msgspec

PREFIX = "HOURBOOK_"
FIELD = re.compile(r"`(?:\$\.(?=[a-z]))?((?<=\.)[a-z][a-z0-9_]*|[a-z][a-z0-9_]*_[a-z0-9_]+|host)`")
SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


def settings_from(environment: Mapping[str, str], kind: type[SettingsType]) -> SettingsType:
    """The settings of `kind` from the variables that start with HOURBOOK_. Raises msgspec.ValidationError, which names
    the variable that is missing or wrong."""
    named = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return msgspec.convert(named, kind, strict=False)
    except msgspec.ValidationError as error:
        words = FIELD.sub(lambda field: f"{PREFIX}{field[1].upper()}", str(error))
        words = words.replace("Object missing required field ", "there is no ")
        raise msgspec.ValidationError(f"{words}{_choices(str(error), kind)}") from None


def _choices(error: str, kind: type[msgspec.Struct]) -> str:
    """`: it is one of store, stream`, if the setting that is wrong takes only some words. Else an empty text."""
    field = FIELD.search(error)
    words = get_args(get_type_hints(kind).get(field[1])) if field is not None and "enum" in error else ()
    return f": it is one of {', '.join(map(str, words))}" if words else ""
