"""The projector's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from shared.http.server_settings import ServerSettings
from shared.progress import STALL_S


class Settings(ServerSettings, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `HOURBOOK_NATS_URL`, and for /health and /metrics `…_PROJECTOR_PORT` and
    those of ServerSettings and NatsFiles.

    The projector is stalled when events have waited for `HOURBOOK_STALL_S` seconds and none was applied in that time.
    """

    database_url: str
    nats_url: str = "nats://127.0.0.1:4222"
    nats_ca_file: str = ""
    nats_cert_file: str = ""
    nats_key_file: str = ""
    nats_credentials_file: str = ""
    projector_port: int = 8083
    stall_s: float = STALL_S
