"""The truth: an append-only table with gap-free positions in commit order."""

from shared.event_store.store import Appended, EventStore, Pending, Stored

__all__ = ["Appended", "EventStore", "Pending", "Stored"]
