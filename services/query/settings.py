"""The query service's settings, decoded once from the environment by `__main__`."""

from __future__ import annotations

from shared.http.server_settings import ServerSettings


class Settings(ServerSettings, frozen=True, kw_only=True):
    """Those of ServerSettings, `HOURBOOK_DATABASE_URL`, `HOURBOOK_QUERY_PORT`, and these, which need no change:

    `HOURBOOK_QUERY_CONNECTIONS` (to the database), `HOURBOOK_QUERY_CACHE_BYTES` (of encoded answers; 0 is none),
    `HOURBOOK_VISIBLE_TIMEOUT_S` (how long `min_position` waits), `HOURBOOK_SUBSCRIBERS_MAX` (of /events/stream).
    """

    database_url: str
    query_port: int = 8082
    query_connections: int = 8
    query_cache_bytes: int = 64 * 1024 * 1024
    visible_timeout_s: float = 5.0
    subscribers_max: int = 1000
