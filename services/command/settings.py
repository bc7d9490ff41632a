"""The settings of the command service. `__main__` reads them once from the environment."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from services.command.domain.bounds import DEFAULT, Bounds
from shared.clock import TOLERANCE_S, Tolerance
from shared.http.server_settings import ServerSettings
from shared.nats_server import Replicas

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Acknowledge = Literal["store", "stream"]
BlazarPolicy = Literal["booked", "book"]


class Settings(ServerSettings, frozen=True, kw_only=True):
    """`HOURBOOK_DATABASE_URL`, `…_NATS_URL`, `…_COMMAND_PORT`, `…_BATCH_MAX`, `…_QUEUE_MAX`, and those of
    ServerSettings and NatsFiles.

    `HOURBOOK_REFUSALS_KEPT_DAYS` and `…_KEPT_MAX` bound the log of refusals.

    `HOURBOOK_KEYS_KEPT_DAYS` and `…_KEPT_MAX` bound the kept answers to idempotency keys whose requests made no event.

    `HOURBOOK_CLOCK_TOLERANCE_S`: by how many seconds the clock may differ from the database's; 0: by any.

    `HOURBOOK_WEBHOOK_HOSTS` are the hosts to which webhooks may be sent, separated by commas.

    `HOURBOOK_BLAZAR_POLICY`: a lease of Blazar must be booked already (`booked`), or asking for it books it (`book`).

    `HOURBOOK_POOLS_MAX` and the others bound one project, and what one command may ask of it (`Bounds`).
    `HOURBOOK_STATE_BYTES_MAX` also bounds the memory of all projects together.

    Without `nats_url` this process publishes nothing on the stream: another process must.

    `HOURBOOK_ACKNOWLEDGE` says when a command is answered: when the store has its events, or the stream too.
    """

    database_url: str
    nats_url: str | None = None
    nats_ca_file: str = ""
    nats_cert_file: str = ""
    nats_key_file: str = ""
    nats_credentials_file: str = ""
    acknowledge: Acknowledge = "store"
    stream_replicas: Replicas | None = None
    command_port: int = 8081
    batch_max: int = 512
    queue_max: int = 10_000
    refusals_kept_days: int = 90
    refusals_kept_max: int = 1_000_000
    keys_kept_days: AtLeastOne = 7
    keys_kept_max: AtLeastOne = 1_000_000
    clock_tolerance_s: Tolerance = TOLERANCE_S
    webhook_hosts: str = ""
    blazar_policy: BlazarPolicy = "booked"
    state_bytes_max: AtLeastOne = DEFAULT.state_bytes
    pools_max: AtLeastOne = DEFAULT.pools
    grants_max: AtLeastOne = DEFAULT.grants
    bookings_max: AtLeastOne = DEFAULT.bookings
    accounts_max: AtLeastOne = DEFAULT.accounts
    templates_max: AtLeastOne = DEFAULT.templates
    roles_max: AtLeastOne = DEFAULT.roles
    resizes_max: AtLeastOne = DEFAULT.resizes
    tentative_max: AtLeastOne = DEFAULT.tentative
    tentative_hours_max: AtLeastOne = DEFAULT.tentative_hours
    pool_hours_max: AtLeastOne = DEFAULT.pool_hours
    account_hours_max: AtLeastOne = DEFAULT.account_hours
    series_hours_max: AtLeastOne = DEFAULT.series_hours
    reviewed_max: AtLeastOne = DEFAULT.reviewed

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec makes a ValidationError."""
        if self.acknowledge == "stream" and not self.nats_url:
            raise ValueError("HOURBOOK_ACKNOWLEDGE is stream: then HOURBOOK_NATS_URL should name the NATS server")

    def bounds(self) -> Bounds:
        return Bounds(**{name: getattr(self, f"{name}_max") for name in Bounds.__struct_fields__})
