"""The numbers of Hourbook's advisory locks in PostgreSQL. Every process and the SQL functions use the same ones."""

from __future__ import annotations

from enum import IntEnum


class Lock(IntEnum):
    """Each lock is named after the work that one process does at a time."""

    APPEND = 7310579630513578615  # appending events, until the commit, so that positions commit in order
    RELAY = 7310579630513578616  # publishing events: one outbox relay of all command processes
    REBUILD = 7310579630513578617  # making and dropping generations: one rebuild or verification
    SEALER = 7310579630513578618  # signing checkpoints: one sealer
    NOTIFIER = 7310579630513578619  # making notices and calling webhooks: one notifier
    GRANTS = 7310579630513578620  # giving the services' roles their rights: one `hourbook migrate`


def try_lock(lock: Lock) -> str:
    """A SELECT that takes the lock for the session and answers true. It answers false if another session has it."""
    return f"SELECT pg_try_advisory_lock({lock:d})"
