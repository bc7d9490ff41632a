"""Commits that wait for a synchronous standby, if PostgreSQL is set up so: what is answered must be there too.

Somebody may cancel that wait (pg_cancel_backend, a shutdown). Then PostgreSQL answers success, with a warning, though
the standby has nothing: whether the commit survives a failover is unknown. And after a crash, a primary shows commits
whose wait nobody finished.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.postgres import Connection

# A transaction that writes to the WAL, and so waits at its commit until the standby has it and everything before it.
# One that only has a transaction id does not wait. The record is some 70 bytes, and nobody reads it.
BARRIER = "SELECT pg_logical_emit_message(true, 'hourbook', '')"
WAITS_IN = "SyncRepWaitForLSN"  # the function of PostgreSQL that warns; the text of the warning may be translated


class NotReplicated(asyncpg.InterfaceError):
    """The wait for a synchronous standby was cancelled. A failover may lose the commit, or not."""


class CommitWatch:
    """Hears whether a commit of this connection has not waited for its standby. It costs nothing without a warning."""

    def __init__(self, connection: Connection) -> None:
        self._cancelled: str | None = None
        connection.add_log_listener(self._heard)

    def check(self) -> None:
        """Raises NotReplicated if a wait was cancelled since the connection began. Then use another connection."""
        if self._cancelled is not None:
            raise NotReplicated(self._cancelled)

    def _heard(self, _: Any, message: Any) -> None:
        if getattr(message, "server_source_function", None) == WAITS_IN:
            self._cancelled = str(message)
