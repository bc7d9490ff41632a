"""The notifier's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `HOURBOOK_NATS_URL`, and these:

    `HOURBOOK_ENDING_LEAD_HOURS` (how long before its end a booking is said to be ending),
    `HOURBOOK_CONFLICT_LEAD_HOURS` (how long before its deadline a conflict is said to approach),
    `HOURBOOK_WEBHOOK_HOSTS` (the hosts that webhooks may go to, with commas between them; none by default),
    `HOURBOOK_WEBHOOK_FIRST_RETRY_S`, `…_LAST_RETRY_S` (how long before the second attempt, and at most before another),
    `HOURBOOK_WEBHOOK_ATTEMPTS_MAX` (before a message is given up), `HOURBOOK_WEBHOOK_TIMEOUT_S`.
    """

    database_url: str
    nats_url: str = "nats://127.0.0.1:4222"
    ending_lead_hours: int = 24
    conflict_lead_hours: int = 24
    webhook_hosts: str = ""
    webhook_first_retry_s: float = 5.0
    webhook_last_retry_s: float = 3600.0
    webhook_attempts_max: int = 12
    webhook_timeout_s: float = 10.0
