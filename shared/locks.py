"""The advisory locks of PostgreSQL that Hourbook takes: one number each, the same in every process and in the SQL."""

from __future__ import annotations

from enum import IntEnum


class Lock(IntEnum):
    """Who takes the lock, and why."""

    APPEND = 7310579630513578615  # an append, until it commits: so positions are committed in their order
    RELAY = 7310579630513578616  # the outbox relay that publishes, of all command processes
    REBUILD = 7310579630513578617  # a rebuild or a verification: one of them at a time makes and drops generations
    SEALER = 7310579630513578618  # the sealer that signs checkpoints, of all sealers
    NOTIFIER = 7310579630513578619  # the notifier that makes notices and calls webhooks, of all notifiers


def try_lock(lock: Lock) -> str:
    """The statement that takes the lock for its session and answers true; false when another session has it."""
    return f"SELECT pg_try_advisory_lock({lock:d})"
