"""The command service's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `…_NATS_URL`, `…_HOST`, `…_COMMAND_PORT`, `…_BATCH_MAX`, `…_QUEUE_MAX`.

    `HOURBOOK_REFUSALS_KEPT_DAYS` and `…_KEPT_MAX` bound the log of what was refused.

    `HOURBOOK_WEBHOOK_HOSTS` names the hosts that webhooks may go to, with commas between them.

    Without `nats_url` this process relays nothing to the stream: another one must.
    """

    database_url: str
    nats_url: str | None = None
    host: str = "127.0.0.1"
    command_port: int = 8081
    batch_max: int = 512
    queue_max: int = 10_000
    refusals_kept_days: int = 90
    refusals_kept_max: int = 1_000_000
    webhook_hosts: str = ""
