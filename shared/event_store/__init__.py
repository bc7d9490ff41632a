"""The event store: an append-only table. Positions have no gap and follow the order of the commits."""

from shared.event_store.store import POSITION_MAX, Appended, EventStore, Kept, Pending, Remembered, Stored

__all__ = ["POSITION_MAX", "Appended", "EventStore", "Kept", "Pending", "Remembered", "Stored"]
