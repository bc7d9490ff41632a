"""The truth: an append-only table with gap-free positions in commit order."""

from shared.event_store.store import Appended, EventStore, Kept, Pending, Remembered, Stored

__all__ = ["Appended", "EventStore", "Kept", "Pending", "Remembered", "Stored"]
