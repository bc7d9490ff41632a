"""The notifier's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from shared.clock import TOLERANCE_S, Tolerance
from shared.http.server_settings import ServerSettings
from shared.nats_server import Replicas


class Settings(ServerSettings, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `HOURBOOK_NATS_URL`, and these:

    `HOURBOOK_ENDING_LEAD_HOURS` (how long before a booking ends its notice is due),
    `HOURBOOK_CONFLICT_LEAD_HOURS` (how long before the deadline of a conflict its notice is due),
    `HOURBOOK_WEBHOOK_HOSTS` (the hosts that webhooks may call, separated by commas; none by default),
    `HOURBOOK_AUTH_FILE` (who has roles on the whole ledger, where principals sign in),
    `HOURBOOK_WEBHOOK_FIRST_RETRY_S`, `…_LAST_RETRY_S` (the delay before the second attempt, and the longest delay),
    `HOURBOOK_WEBHOOK_ATTEMPTS_MAX` (attempts before a message becomes a dead letter), `HOURBOOK_WEBHOOK_TIMEOUT_S`,
    `HOURBOOK_CLOCK_TOLERANCE_S` (by how many seconds the clock may differ from the database's; 0: by any).

    With `HOURBOOK_NOTIFY_PORT` it answers /health and /metrics there, by the settings of ServerSettings.
    """

    database_url: str
    nats_url: str = "nats://127.0.0.1:4222"
    nats_ca_file: str = ""
    nats_cert_file: str = ""
    nats_key_file: str = ""
    nats_credentials_file: str = ""
    stream_replicas: Replicas | None = None
    notify_port: int = 0
    ending_lead_hours: int = 24
    conflict_lead_hours: int = 24
    webhook_hosts: str = ""
    webhook_first_retry_s: float = 5.0
    webhook_last_retry_s: float = 3600.0
    webhook_attempts_max: int = 12
    webhook_timeout_s: float = 10.0
    clock_tolerance_s: Tolerance = TOLERANCE_S
