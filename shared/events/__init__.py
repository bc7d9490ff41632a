"""The facts of the ledger. An event class is never changed in a way that old bytes no longer mean what they meant."""

from shared.events.model import (
    EVENT_TYPES,
    BookingCancelled,
    BookingCreated,
    ClusterCreated,
    ClusterResized,
    Event,
    GrantCreated,
    GrantWithdrawn,
    ProjectCreated,
    decode_event,
    decode_events,
    encode_event,
)

__all__ = [
    "EVENT_TYPES",
    "BookingCancelled",
    "BookingCreated",
    "ClusterCreated",
    "ClusterResized",
    "Event",
    "GrantCreated",
    "GrantWithdrawn",
    "ProjectCreated",
    "decode_event",
    "decode_events",
    "encode_event",
]
