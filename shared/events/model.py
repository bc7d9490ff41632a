"""The event types and their stored form: one JSON object, told apart by `type`.

Every event says all that a reader needs to fold it. A cancellation repeats what it gives back, so that a
subscriber can add up a calendar without remembering bookings; only ClusterResized sets rather than adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.capacity import NOTHING, WHOLE, Capacity, Count
from shared.events.upcasting import EventDecoder, First, Upcasters

BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]


class Overcommit(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A pool's policy: hours at least `beyond_hours` after the next whole hour may be promised more than they have."""

    beyond_hours: Annotated[int, msgspec.Meta(ge=1, le=87_672)]


Policy = Literal["never"] | Overcommit


def beyond_hours(policy: Policy) -> int | None:
    """After how many hours the policy allows over-commit; None: never."""
    return policy.beyond_hours if isinstance(policy, Overcommit) else None


class FromTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The template that a booking's capacity was resolved from: `count` times the capacity of this version."""

    name: str
    version: int
    count: int = 1


class Layout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a Magnum cluster is made of: masters of one flavor, workers of another. Flavors are templates."""

    masterflavor: str
    mastercount: int
    workerflavor: str
    workercount: int


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """What an account may take of a project; a limit or a dimension left out is none.

    `capacity` bounds what is held in any one hour, `monthly_hours` the resource-hours of a calendar month (UTC), per
    dimension; `ahead_hours` how long before its start a booking is made, `duration_hours` how long it is.
    """

    capacity: dict[str, Count] | None = None
    monthly_hours: dict[str, Annotated[int, msgspec.Meta(ge=0, le=10**15)]] | None = None
    ahead_hours: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duration_hours: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """What every event carries: when it was decided, by whom, why, for which command, in which schema version."""

    at: datetime
    actor: str
    command: UUID
    project: str
    reason: str | None = None
    schema: First = 1


class ProjectCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ProjectCreated"):
    """`overcommit` holds for the project and all its clusters but those that have a policy of their own."""

    name: str
    overcommit: Policy = "never"


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
    """A cluster of `capacity` is drawn from `parent` (a project or a cluster) in `[start, end)`.

    `overcommit` None: the parent's policy. `tentative`: some hour of the parent has not got it (yet).
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


class ClusterResized(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResized"):
    """The cluster's size is `capacity` in `[start, end)`; after it, the sizes planned before stand again.

    `request` names the ClusterResizeRequested that this applies, if there was one. `lapsed`: the ledger itself cut the
    size back, because the parent was still over-committed when the hour came near.
    """

    cluster: str
    start: datetime
    end: datetime
    capacity: Capacity
    layout: Layout | None = None
    request: UUID | None = None
    tentative: bool = False
    lapsed: bool = False


class ClusterConfirmed(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterConfirmed"):
    """What the cluster took tentatively of its parent is there now."""

    cluster: str


class ClusterResizeRequested(
    Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResizeRequested"
):
    """Somebody asked for this size; nothing changes until the resize is applied, or has failed."""

    request: UUID
    cluster: str
    start: datetime
    end: datetime
    capacity: Capacity
    layout: Layout | None = None


class ClusterResizeFailed(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="ClusterResizeFailed"):
    """The request came to nothing; `error` says why."""

    request: UUID
    cluster: str
    error: str


class TemplateCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="TemplateCreated"):
    """A version of a named capacity. Later versions change no booking made from this one."""

    template: str
    version: int
    capacity: Capacity


class AccountCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountCreated"):
    """From the first of these on, the project takes bookings only of accounts that are open."""

    account: str
    name: str
    limits: Limits = Limits()


class AccountLimitsSet(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountLimitsSet"):
    """`limits` take the place of all limits before, for what is booked from now on."""

    account: str
    limits: Limits


class AccountClosed(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="AccountClosed"):
    """The account books nothing more; what it holds stays."""

    account: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An occurrence that was not booked, and why."""

    start: datetime
    end: datetime
    why: str


class SeriesCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="SeriesCreated"):
    """A recurring booking was asked for; the BookingCreated after it are its occurrences, but for those `skipped`."""

    series: UUID
    pool: str
    account: str
    rrule: str
    timezone: str
    skipped: tuple[Skipped, ...] = ()


class BookingCreated(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCreated"):
    """`account` holds `capacity` of `pool` in `[start, end)`, or `share` basis points of its size, whatever that is.

    `tentative`: some hour has not got it (yet). `series` names the recurring booking that it is an occurrence of.
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


class BookingAmended(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingAmended"):
    """The booking gives back `from_capacity` and `from_share` in `[from_start, from_end)`, the part that had not begun,
    and holds `capacity` and `share` in `[start, end)` instead. What it held before `from_start` is untouched."""

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


class BookingCancelled(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingCancelled"):
    """`capacity` and `share` go back to `pool` in `[start, end)`, the part of the booking that had not begun."""

    booking: UUID
    pool: str
    start: datetime
    end: datetime
    capacity: Capacity = NOTHING
    share: BasisPoints = 0


class BookingLapsed(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingLapsed"):
    """As BookingCancelled, by the ledger itself: the hours were still over-committed when they came near."""

    booking: UUID
    pool: str
    start: datetime
    end: datetime
    capacity: Capacity = NOTHING
    share: BasisPoints = 0


class BookingConfirmed(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingConfirmed"):
    """What was tentative is there now, in every hour of the booking."""

    booking: UUID
    pool: str


class BookingContested(Recorded, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="BookingContested"):
    """A confirmed booking is tentative: capacity that it relied on was withdrawn in an hour that is still far off."""

    booking: UUID
    pool: str


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
    | SeriesCreated
    | BookingCreated
    | BookingAmended
    | BookingCancelled
    | BookingLapsed
    | BookingConfirmed
    | BookingContested
)
EVENT_TYPES: tuple[type[Recorded], ...] = (
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
    SeriesCreated,
    BookingCreated,
    BookingAmended,
    BookingCancelled,
    BookingLapsed,
    BookingConfirmed,
    BookingContested,
)

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
