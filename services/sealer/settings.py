"""The sealer's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from shared.nats_server import NatsFiles


class Settings(NatsFiles, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `…_NATS_URL`, `…_AUDIT_KEY_FILE` (an Ed25519 key in PEM; no other service needs it) and
    `…_AUDIT_ORIGIN`, the name of this ledger in its checkpoints.

    Without `nats_url` the checkpoints are stored and not published.
    """

    database_url: str
    audit_key_file: str
    nats_url: str | None = None
    audit_origin: str = "hourbook"
