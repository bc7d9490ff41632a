"""The query service's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.http.server_settings import ServerSettings


class Settings(ServerSettings, frozen=True, kw_only=True):
    """Those of ServerSettings, `HOURBOOK_DATABASE_URL`, `HOURBOOK_QUERY_PORT`, and these, which need no change:

    `HOURBOOK_QUERY_CONNECTIONS` (to the database), `HOURBOOK_QUERY_CACHE_BYTES` (of encoded answers; a quarter as much
    again holds hours; 0 is neither), `HOURBOOK_VISIBLE_TIMEOUT_S` (how long `min_position` waits),
    `HOURBOOK_SUBSCRIBERS_MAX` (of /events/stream).

    `HOURBOOK_READ_DATABASE_URL` is the database that all reads ask: a standby. Without it they ask
    `HOURBOOK_DATABASE_URL`, which is the primary. `HOURBOOK_READ_LAG_MAX_S`: reads answer 503 when the standby has been
    behind the primary for longer.
    """

    database_url: str
    query_port: int = 8082
    query_connections: int = 8
    query_cache_bytes: int = 64 * 1024 * 1024
    visible_timeout_s: float = 5.0
    subscribers_max: int = 1000
    read_database_url: str = ""
    read_lag_max_s: Annotated[float, Meta(gt=0)] = 10.0

    @property
    def reads_from(self) -> str:
        """The address of the database that the reads ask."""
        return self.read_database_url or self.database_url
