"""The command service's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `HOURBOOK_HOST`, `HOURBOOK_COMMAND_PORT`, `HOURBOOK_BATCH_MAX`, `HOURBOOK_QUEUE_MAX`."""

    database_url: str
    host: str = "127.0.0.1"
    command_port: int = 8081
    batch_max: int = 512
    queue_max: int = 10_000


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Raises msgspec.ValidationError, which names the setting that is missing or wrong."""
    named = {
        name.removeprefix("HOURBOOK_").lower(): value
        for name, value in environment.items()
        if name.startswith("HOURBOOK_")
    }
    return msgspec.convert(named, Settings, strict=False)
