"""The event types. An event is stored as one JSON object, whose `type` names the event type.

Each event has all data that a reader needs to apply it. A cancellation repeats the capacity that it gives back, so a
subscriber can add up a calendar without storing bookings. All events add or subtract; only ClusterResized sets a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from shared.capacity import NOTHING, Capacity
from shared.events.parts import BasisPoints, FromTemplate, Layout, Limits, Policy, Role
from shared.events.upcasting import EventDecoder, FirstVersion, Upcasters


class EventBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """The fields of every event: when and by whom it was decided, in which project, for which command, for which
    reason, and the schema version.

    `actor` is the id of a principal. `auth` says how it was proven that this principal acted: by OpenID Connect, by
    Keystone, or by one of Hourbook's own tokens. Without it, nobody proved it.
    """

    at: datetime
    actor: str
    command: UUID
    project: str
    reason: str | None = None
    schema: FirstVersion = 1
    auth: Literal["oidc", "keystone", "token"] | None = None


class ProjectCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ProjectCreated"):
    """A project was created. `overcommit` is the policy of the project, and of its clusters that have none."""

    name: str
    overcommit: Policy = "never"


class GrantCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantCreated"):
    """The project got `capacity` in every hour of `[start, end)`."""

    grant: UUID
    start: datetime
    end: datetime
    capacity: Capacity
    source: str | None = None


class GrantWithdrawn(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="GrantWithdrawn"):
    """The project lost `capacity` in every hour of `[start, end)`, the part of the grant that had not begun."""

    grant: UUID
    start: datetime
    end: datetime
    capacity: Capacity


class ClusterCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterCreated"):
    """A cluster was created. In `[start, end)` it has `capacity`, which its `parent` (a project or a cluster) gives it.

    Without `overcommit`, it has its parent's policy. `tentative`: in some hour, the parent does not have the capacity.
    """

    cluster: str
    parent: str
    kind: str
    start: datetime
    end: datetime
    capacity: Capacity
    overcommit: Policy | None = None
    layout: Layout | None = None
    tentative: bool = False


class ClusterResized(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResized"):
    """The cluster's size is now `capacity` in `[start, end)`. Hours after `end` keep the sizes that they had.

    `request` is the id of the ClusterResizeRequested that this applies, if there was one. `lapsed`: the ledger reduced
    the size, because the parent was still over-committed shortly before these hours. `tentative`: in some hour, the
    parent does not have the capacity.
    """

    cluster: str
    start: datetime
    end: datetime
    capacity: Capacity
    layout: Layout | None = None
    request: UUID | None = None
    tentative: bool = False
    lapsed: bool = False


class ClusterConfirmed(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterConfirmed"):
    """The parent now has all capacity that the cluster takes. The cluster is no longer tentative."""

    cluster: str


class ClusterResizeRequested(
    EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResizeRequested"
):
    """A client asked for this size. The size changes when the resize is applied (ClusterResized); it may also fail."""

    request: UUID
    cluster: str
    start: datetime
    end: datetime
    capacity: Capacity
    layout: Layout | None = None


class ClusterResizeFailed(
    EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResizeFailed"
):
    """The resize `request` failed, and the size does not change. `error` says why."""

    request: UUID
    cluster: str
    error: str


class TemplateCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="TemplateCreated"):
    """A version of a template was created: a capacity with a name. A booking keeps the version that it was made of."""

    template: str
    version: int
    capacity: Capacity


class AccountCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountCreated"):
    """An account was created. A project that has accounts accepts bookings only for its open accounts."""

    account: str
    name: str
    limits: Limits = Limits()


class AccountLimitsSet(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountLimitsSet"):
    """`limits` replace all limits of the account. They apply to bookings made from now on."""

    account: str
    limits: Limits


class AccountClosed(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountClosed"):
    """The account was closed. It cannot book any more. Its bookings stay."""

    account: str


class AccountMemberAdded(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountMemberAdded"):
    """`member` belongs to the account now. With the role `member`, a principal books for the accounts to which it
    belongs."""

    account: str
    member: str


class AccountMemberRemoved(
    EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountMemberRemoved"
):
    """`member` does not belong to the account any more."""

    account: str
    member: str


class RoleGranted(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="RoleGranted"):
    """`member` has `role` on `pool` and on every pool inside it. A member is a principal, or a group (`group:…`).

    The roles on a cluster, and on what is inside it, end when a cluster of the same name is created again.
    """

    pool: str
    role: Role
    member: str


class RoleRevoked(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="RoleRevoked"):
    """`member` does not have `role` on `pool` any more. The member may have it on a pool around it."""

    pool: str
    role: Role
    member: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An occurrence of a recurring booking that was not booked. `why` says why."""

    start: datetime
    end: datetime
    why: str


class SeriesCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="SeriesCreated"):
    """A recurring booking was made. The BookingCreated events after it, with the same `series`, are its occurrences.
    `skipped` are the occurrences that were not booked."""

    series: UUID
    pool: str
    account: str
    rrule: str
    timezone: str
    skipped: tuple[Skipped, ...] = ()


class BookingCreated(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCreated"):
    """A booking was made: `account` holds `capacity` of `pool` in `[start, end)`, or `share` basis points of its size.

    `tentative`: in some hour, the pool does not have the capacity. `series` is the id of the recurring booking, if this
    is one of its occurrences.
    """

    booking: UUID
    pool: str
    account: str
    start: datetime
    end: datetime
    capacity: Capacity = NOTHING
    share: BasisPoints = 0
    template: FromTemplate | None = None
    tentative: bool = False
    series: UUID | None = None


class BookingAmended(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingAmended"):
    """A booking was amended. It gives back `from_capacity` and `from_share` in `[from_start, from_end)`, the part that
    had not begun. It holds `capacity` and `share` in `[start, end)` instead. Hours before `from_start` stay."""

    booking: UUID
    pool: str
    account: str
    from_start: datetime
    from_end: datetime
    start: datetime
    end: datetime
    from_capacity: Capacity = NOTHING
    from_share: BasisPoints = 0
    capacity: Capacity = NOTHING
    share: BasisPoints = 0
    template: FromTemplate | None = None
    tentative: bool = False


class BookingCancelled(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCancelled"):
    """A booking was cancelled. `capacity` and `share` go back to `pool` in `[start, end)`, the part that had not
    begun."""

    booking: UUID
    pool: str
    start: datetime
    end: datetime
    capacity: Capacity = NOTHING
    share: BasisPoints = 0


class BookingLapsed(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingLapsed"):
    """The ledger cancelled a tentative booking, because the pool was still over-committed shortly before its hours.
    `capacity` and `share` go back to `pool` in `[start, end)`."""

    booking: UUID
    pool: str
    start: datetime
    end: datetime
    capacity: Capacity = NOTHING
    share: BasisPoints = 0


class BookingConfirmed(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingConfirmed"):
    """A tentative booking was confirmed: the pool now has its capacity in every hour of the booking."""

    booking: UUID
    pool: str


class BookingContested(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingContested"):
    """A confirmed booking became tentative: in some hour, the pool lost capacity that the booking needs."""

    booking: UUID
    pool: str


class TermBegan(EventBase, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="TermBegan"):
    """Another primary of PostgreSQL takes the events from here on: a standby was promoted, or the database restored.

    `system` is PostgreSQL's system identifier and `timeline` the timeline of that primary. The `project` is `_ledger`.
    """

    system: str
    timeline: int


Event = (
    ProjectCreated
    | GrantCreated
    | GrantWithdrawn
    | ClusterCreated
    | ClusterResized
    | ClusterConfirmed
    | ClusterResizeRequested
    | ClusterResizeFailed
    | TemplateCreated
    | AccountCreated
    | AccountLimitsSet
    | AccountClosed
    | AccountMemberAdded
    | AccountMemberRemoved
    | RoleGranted
    | RoleRevoked
    | SeriesCreated
    | BookingCreated
    | BookingAmended
    | BookingCancelled
    | BookingLapsed
    | BookingConfirmed
    | BookingContested
    | TermBegan
)
EVENT_TYPES: tuple[type[EventBase], ...] = (
    ProjectCreated,
    GrantCreated,
    GrantWithdrawn,
    ClusterCreated,
    ClusterResized,
    ClusterConfirmed,
    ClusterResizeRequested,
    ClusterResizeFailed,
    TemplateCreated,
    AccountCreated,
    AccountLimitsSet,
    AccountClosed,
    AccountMemberAdded,
    AccountMemberRemoved,
    RoleGranted,
    RoleRevoked,
    SeriesCreated,
    BookingCreated,
    BookingAmended,
    BookingCancelled,
    BookingLapsed,
    BookingConfirmed,
    BookingContested,
    TermBegan,
)

# The functions that convert stored events of older versions: `("GrantCreated", 1)` converts version 1 to version 2.
UPCASTERS: Upcasters = {}

_encoder = msgspec.json.Encoder()
_decoder: EventDecoder[Event] = EventDecoder(EVENT_TYPES, UPCASTERS)  # type: ignore[arg-type]


def encode_event(event: Event) -> bytes:
    """The JSON of an event, as it is stored. Stored bytes are never encoded again."""
    return _encoder.encode(event)


def decode_event(stored: bytes) -> Event:
    """An event from its stored bytes, in any older schema version too. Ignores unknown fields. Raises
    msgspec.DecodeError if the bytes are not an event, NewerSchema if a newer version of Hourbook stored it."""
    return _decoder.decode(stored)


def decode_events(stored: Sequence[bytes]) -> list[Event]:
    """The events of many stored bytes, in their order. Faster than `decode_event` for each; raises the same errors."""
    return _decoder.decode_many(stored)
