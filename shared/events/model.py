"""The event types and their stored form: one JSON object, told apart by `type`.

Every event says all that a reader needs to fold it. A cancellation repeats what it gives back, so that a
subscriber can add up a calendar without remembering bookings; only ClusterResized sets rather than adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from shared.capacity import Capacity
from shared.events.upcasting import EventDecoder, First, Upcasters


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """What every event carries: when it was decided, by whom, why, for which command, in which schema version."""

    at: datetime
    actor: str
    command: UUID
    project: str
    reason: str | None = None
    schema: First = 1


class ProjectCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ProjectCreated"):
    name: str
    overcommit: str = "never"


class GrantCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantCreated"):
    """`capacity` is granted to the project in every hour of `[start, end)`."""

    grant: UUID
    start: datetime
    end: datetime
    capacity: Capacity
    source: str | None = None


class GrantWithdrawn(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantWithdrawn"):
    """`capacity` is no longer granted in `[start, end)`, the part of the grant that had not begun."""

    grant: UUID
    start: datetime
    end: datetime
    capacity: Capacity


class ClusterCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterCreated"):
    """A cluster of `capacity` is drawn from `parent` (a project or a cluster) in `[start, end)`."""

    cluster: str
    parent: str
    kind: str
    start: datetime
    end: datetime
    capacity: Capacity


class ClusterResized(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResized"):
    """The cluster's size is `capacity` in `[start, end)`; after it, the sizes planned before stand again."""

    cluster: str
    start: datetime
    end: datetime
    capacity: Capacity


class BookingCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCreated"):
    """`account` holds `capacity` of `pool` in `[start, end)`."""

    booking: UUID
    pool: str
    account: str
    start: datetime
    end: datetime
    capacity: Capacity


class BookingCancelled(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCancelled"):
    """`capacity` goes back to `pool` in `[start, end)`, the part of the booking that had not begun."""

    booking: UUID
    pool: str
    start: datetime
    end: datetime
    capacity: Capacity


Event = (
    ProjectCreated | GrantCreated | GrantWithdrawn | ClusterCreated | ClusterResized | BookingCreated | BookingCancelled
)
EVENT_TYPES: tuple[type[Recorded], ...] = (
    ProjectCreated, GrantCreated, GrantWithdrawn, ClusterCreated, ClusterResized, BookingCreated, BookingCancelled,
)  # fmt: skip

# What stored events of older versions become: `("GrantCreated", 1)` names what makes its version 2 of version 1.
UPCASTERS: Upcasters = {}

_encoder = msgspec.json.Encoder()
_decoder: EventDecoder[Event] = EventDecoder(EVENT_TYPES, UPCASTERS)  # type: ignore[arg-type]


def encode_event(event: Event) -> bytes:
    """The bytes that are stored; they are never encoded again."""
    return _encoder.encode(event)


def decode_event(stored: bytes) -> Event:
    """An event from its stored bytes, of whatever version; fields that this version does not know are ignored. Raises
    msgspec.DecodeError on what is no event, NewerSchema on one that a later version of the program stored."""
    return _decoder.decode(stored)


def decode_events(stored: Sequence[bytes]) -> list[Event]:
    """As `decode_event`, for many at once, which is faster."""
    return _decoder.decode_many(stored)
