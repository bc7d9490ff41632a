"""The truth: an append-only table with gap-free positions in commit order."""

from shared.event_store.store import POSITION_MAX, Appended, EventStore, Kept, Pending, Remembered, Stored

__all__ = ["POSITION_MAX", "Appended", "EventStore", "Kept", "Pending", "Remembered", "Stored"]
