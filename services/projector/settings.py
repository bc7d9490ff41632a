"""The projector's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `HOURBOOK_NATS_URL`, and, for /health and /metrics, `…_HOST`, `…_PROJECTOR_PORT`."""

    database_url: str
    nats_url: str = "nats://127.0.0.1:4222"
    host: str = "127.0.0.1"
    projector_port: int = 8083
