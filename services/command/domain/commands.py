"""The commands. Time, ids and the actor come with a command; nothing here reads a clock."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from shared.capacity import NOTHING, Capacity
from shared.events import Limits, Policy, Role
from shared.hours import Period
from shared.identity.principals import Principal


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, when, why, and under which command id."""

    command: UUID
    principal: Principal
    at: datetime
    reason: str | None = None

    @property
    def actor(self) -> str:
        """The id of the principal."""
        return self.principal.id


class TemplateCount(msgspec.Struct, frozen=True, kw_only=True):
    """A template of the project, `count` times. `version` None: the newest."""

    name: str
    count: int = 1
    version: int | None = None


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """A group of nodes. What is None is as in the group that had this name before."""

    name: str
    role: str | None = None
    count: int | None = None
    flavor: str | None = None
    size: Capacity | None = None
    min: int | None = None
    max: int | None = None


class LayoutChange(msgspec.Struct, frozen=True, kw_only=True):
    """The new layout of a cluster. A field that is None stays as it is; `groups` are all groups beside masters and
    workers. The size of a node is that of its flavor, a template, or the `…size` that is given.

    `nested`: the client gave one object with parts, and errors name the parts of it. Then a flavor counts as it is.
    Else it is one of Magnum, and a node whose flavor has no servers counts as one server.
    """

    masterflavor: str | None = None
    mastercount: int | None = None
    mastersize: Capacity | None = None
    workerflavor: str | None = None
    workercount: int | None = None
    workersize: Capacity | None = None
    workermin: int | None = None
    workermax: int | None = None
    groups: tuple[GroupChange, ...] | None = None
    nested: bool = False


class CreateProject(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    project: str
    name: str
    overcommit: Policy = "never"
    admin: str | None = None


class CreateGrant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    grant: UUID
    period: Period
    capacity: Capacity
    source: str | None = None


class WithdrawGrant(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    grant: UUID


class CreateCluster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The size is `capacity`, or that of `layout`, which must then be complete. With both, they must agree."""

    cluster: str
    parent: str
    kind: str
    period: Period
    capacity: Capacity = NOTHING
    layout: LayoutChange | None = None
    overcommit: Policy | None = None


class ResizeCluster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`start` None: the next whole hour. `end` None: the cluster's end. The size is `capacity`, or that of `layout`.
    With both, they must agree."""

    cluster: str
    capacity: Capacity = NOTHING
    layout: LayoutChange | None = None
    start: int | None = None
    end: int | None = None


class RequestResize(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Notes a requested resize. It changes no hour until it is applied."""

    request: UUID
    resize: ResizeCluster


class ApplyResize(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    cluster: str
    request: UUID


class FailResize(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    cluster: str
    request: UUID
    error: str


class CreateTemplate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    template: str
    capacity: Capacity


class CreateAccount(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    account: str
    name: str
    limits: Limits = Limits()


class SetLimits(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    account: str
    limits: Limits


class CloseAccount(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    account: str


class AddAccountMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    account: str
    member: str


class RemoveAccountMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    account: str
    member: str


class GrantRole(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pool: str
    role: Role
    member: str


class RevokeRole(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pool: str
    role: Role
    member: str


class RequireRole(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Decides nothing. It is refused if the principal lacks a right of the role on the pool; None: on the whole ledger.
    `field` is what names the pool in the request, `purpose` what the log of refusals calls the request."""

    pool: str | None
    role: Role
    field: str = "project"
    purpose: str = "RequireRole"


class CreateBooking(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Books one of `capacity`, `template`, and `share` (basis points of a cluster's size)."""

    booking: UUID
    pool: str
    account: str
    period: Period
    capacity: Capacity = NOTHING
    share: int = 0
    template: TemplateCount | None = None


class CreateExclusive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A new cluster of `parent`, and a booking of all of it."""

    booking: UUID
    cluster: str
    parent: str
    account: str
    period: Period
    capacity: Capacity


class CreateSeries(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The same booking in each of `periods`; the first is that of `booking`. `skip`: leave out refused ones."""

    booking: CreateBooking
    periods: tuple[Period, ...]
    rrule: str
    timezone: str
    skip: bool = False


class AmendBooking(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Changes a booking. A field that is None stays as it is. At most one of `counts`, `share` and `template` is given.
    `counts` has some dimensions; the others stay as they are."""

    booking: UUID
    start: int | None = None
    end: int | None = None
    counts: dict[str, int] | None = None
    share: int | None = None
    template: TemplateCount | None = None


class CancelBooking(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    booking: UUID


class AmendSeries(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Changes the amount of each occurrence of a recurring booking that has not begun, and begins at `since` or later.
    A field that is None stays as it is; `since` None: all occurrences."""

    series: UUID
    since: int | None = None
    counts: dict[str, int] | None = None
    share: int | None = None
    template: TemplateCount | None = None


class CancelSeries(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Cancels each occurrence of a recurring booking that begins at `since` or later; None: all occurrences."""

    series: UUID
    since: int | None = None


class LeaseAmount(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease of OpenStack takes: counts, and instances of flavors. A flavor is a template of the project."""

    capacity: Capacity = NOTHING
    flavors: tuple[TemplateCount, ...] = ()


class LeaseUse(msgspec.Struct, frozen=True, kw_only=True):
    """Another lease. Unless a call made the `booking` for it, it uses what its account has booked."""

    openstack_project: str
    period: Period
    amount: LeaseAmount
    booking: UUID | None = None


class AskLease(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asks whether an OpenStack project may have a lease, new or changed. It may if its account has booked as much.

    `others` are the other leases on the pool. `booked` is the booking that an earlier call made for this lease; with
    `books`, this call may make `booking`. `issuers` are the names of the Keystones that are trusted; empty: of any."""

    pool: str
    openstack_project: str
    period: Period
    amount: LeaseAmount
    booking: UUID
    booked: UUID | None = None
    books: bool = False
    issuers: tuple[str, ...] = ()
    others: tuple[LeaseUse, ...] = ()


class EndLease(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Gives back what a call had booked for a lease; None: nothing. `issuers` as in AskLease."""

    pool: str
    openstack_project: str
    booked: UUID | None = None
    issuers: tuple[str, ...] = ()


class SettleConflicts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ends claims until no hour is over-committed that is nearer than its pool's policy allows."""


Command = (
    CreateProject
    | CreateGrant
    | WithdrawGrant
    | CreateCluster
    | ResizeCluster
    | RequestResize
    | ApplyResize
    | FailResize
    | CreateTemplate
    | CreateAccount
    | SetLimits
    | CloseAccount
    | AddAccountMember
    | RemoveAccountMember
    | GrantRole
    | RevokeRole
    | RequireRole
    | CreateBooking
    | CreateExclusive
    | AmendBooking
    | CancelBooking
    | CreateSeries
    | AmendSeries
    | CancelSeries
    | AskLease
    | EndLease
    | SettleConflicts
)
