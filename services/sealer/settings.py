"""The sealer's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from shared.http.server_settings import ServerSettings
from shared.nats_server import Replicas


class Settings(ServerSettings, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `…_NATS_URL`, `…_AUDIT_KEY_FILE` (an Ed25519 key in PEM; no other service needs it) and
    `…_AUDIT_ORIGIN`, the name of this ledger in its checkpoints.

    Without `nats_url` the checkpoints are stored and not published.

    With `HOURBOOK_SEALER_PORT` it answers /health and /metrics there, by the settings of ServerSettings.
    """

    database_url: str
    audit_key_file: str
    nats_url: str | None = None
    nats_ca_file: str = ""
    nats_cert_file: str = ""
    nats_key_file: str = ""
    nats_credentials_file: str = ""
    stream_replicas: Replicas | None = None
    sealer_port: int = 0
    audit_origin: str = "hourbook"
