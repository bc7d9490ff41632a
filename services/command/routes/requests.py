"""The bodies of the commands. A field that is not named here is refused.

A new field of a body that there was must be UNSET where it is left out: then the hash of a request without it is what
stored idempotency keys have.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.command.routes.fields import (
    AccountLimits,
    AccountName,
    Body,
    BookedProjectId,
    ClusterId,
    ClusterName,
    ClusterOvercommit,
    Cores,
    DataDisc,
    DisplayName,
    EndDate,
    ErrorText,
    Expires,
    ExpiresInDays,
    FeedPathText,
    FirstAdmin,
    Kind,
    MasterCount,
    MasterFlavor,
    MemberName,
    Memory,
    NewAccountName,
    NewEndDate,
    NewProjectId,
    NewStartDate,
    NewTemplateName,
    NodeMax,
    NodeMin,
    OwnClusterName,
    ParentId,
    ProjectId,
    ProjectName,
    ProjectOvercommit,
    Reason,
    RecurrenceRule,
    ResizeEndDate,
    ResizeStartDate,
    RoleName,
    RolePool,
    SecretToken,
    Servers,
    Share,
    Since,
    Skip,
    Source,
    StartDate,
    Status,
    TempDisc,
    TemplateTimes,
    TemplateToUse,
    TemplateVersion,
    TimeZone,
    TokenName,
    TokenPool,
    UserDisc,
    WorkerCount,
    WorkerFlavor,
)
from services.command.routes.layouts import FlavorGroups, LayoutRequest
from shared.events import Limits
from shared.identity.tokens import LIMITS_MAX

TokenLimits = Annotated[
    tuple["TokenLimit", ...],
    Meta(description=f"What the token may do at most: 1 to {LIMITS_MAX} limits. You must have these roles now."),
]


class ProjectRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: NewProjectId
    name: ProjectName
    overcommit: ProjectOvercommit = "never"
    admin: FirstAdmin | None = None
    reason: Reason | None = None


class CapacityRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counts. A dimension that is left out is 0."""

    servers: Servers = 0
    cores: Cores = 0
    memory: Memory = 0
    tempdisc: TempDisc = 0
    userdisc: UserDisc = 0
    datadisc: DataDisc = 0
    reason: Reason | None = None


class GrantRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    startdate: StartDate
    enddate: EndDate
    source: Source | None = None
    tz: TimeZone = "UTC"


class ClusterRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size is given as counts, or as a `layout` of nodes, which adds up to it. A count that is given beside a
    layout must be what it adds up to."""

    parent: ParentId
    startdate: StartDate
    enddate: EndDate
    name: ClusterName | None = None
    kind: Kind = "cluster"
    layout: LayoutRequest | UnsetType | None = UNSET
    overcommit: ClusterOvercommit | None = None
    tz: TimeZone = "UTC"


class ResizeRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new size: counts, or the `layout`. Of a layout, what is left out stays as it is."""

    startdate: ResizeStartDate | None = None
    enddate: ResizeEndDate | None = None
    layout: LayoutRequest | UnsetType | None = UNSET
    tz: TimeZone = "UTC"


class TemplateRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    name: NewTemplateName


class BookingRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of: counts; a `template`, `count` times; a `share` of a cluster. A share of 100% with a project and counts
    makes a new cluster of these counts and books it whole."""

    template: TemplateToUse | None = None
    count: TemplateTimes = 1
    template_version: TemplateVersion | None = None
    share: Share | None = None
    account: AccountName
    startdate: StartDate
    enddate: EndDate
    project: BookedProjectId | None = None
    clusterid: ClusterId | None = None
    name: OwnClusterName | None = None
    tz: TimeZone = "UTC"
    rrule: RecurrenceRule | None = None
    skip: Skip = False


class ChangeRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of what is booked. A field that is left out stays as it is. At most one of: counts, a `template`, a
    `share`."""

    servers: Servers | None = None
    cores: Cores | None = None
    memory: Memory | None = None
    tempdisc: TempDisc | None = None
    userdisc: UserDisc | None = None
    datadisc: DataDisc | None = None
    template: TemplateToUse | None = None
    count: TemplateTimes = 1
    template_version: TemplateVersion | None = None
    share: Share | None = None


class AmendRequest(ChangeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    startdate: NewStartDate | None = None
    enddate: NewEndDate | None = None
    tz: TimeZone = "UTC"
    reason: Reason | None = None


class AmendSeriesRequest(ChangeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Since | None = msgspec.field(default=None, name="from")
    tz: TimeZone = "UTC"
    reason: Reason | None = None


class CancelSeriesRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Since | None = msgspec.field(default=None, name="from")
    tz: TimeZone = "UTC"
    reason: Reason | None = None


class AccountRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    account: NewAccountName
    name: DisplayName | None = None
    limits: AccountLimits = Limits()
    reason: Reason | None = None


class LimitsRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    limits: AccountLimits
    reason: Reason | None = None


class InProjectRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    reason: Reason | None = None


class RoleRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pool: RolePool
    role: RoleName
    member: MemberName
    reason: Reason | None = None


class AccountMemberRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: ProjectId
    member: MemberName
    reason: Reason | None = None


class TokenLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token may do at most: what the role may, on the pool."""

    role: RoleName
    pool: TokenPool | None = None


class TokenRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: TokenName
    limits: TokenLimits
    expires: Expires | None = None
    days: ExpiresInDays | None = None


class FeedRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: FeedPathText


class SignInRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: SecretToken


class ReasonRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason | None = None


class MagnumRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    parent: ParentId
    startdate: StartDate
    enddate: EndDate
    masterflavor: MasterFlavor
    mastercount: MasterCount
    workerflavor: WorkerFlavor
    workercount: WorkerCount
    workermin: NodeMin | UnsetType | None = UNSET
    workermax: NodeMax | UnsetType | None = UNSET
    groups: FlavorGroups | UnsetType | None = UNSET
    name: ClusterName | None = None
    overcommit: ClusterOvercommit | None = None
    tz: TimeZone = "UTC"
    reason: Reason | None = None


class MagnumResizeRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A flavor or a count that is left out stays as it is."""

    startdate: ResizeStartDate | None = None
    enddate: ResizeEndDate | None = None
    masterflavor: MasterFlavor | None = None
    mastercount: MasterCount | None = None
    workerflavor: WorkerFlavor | None = None
    workercount: WorkerCount | None = None
    workermin: NodeMin | UnsetType | None = UNSET
    workermax: NodeMax | UnsetType | None = UNSET
    groups: FlavorGroups | UnsetType | None = UNSET
    status: Status = "applied"
    tz: TimeZone = "UTC"
    reason: Reason | None = None


class FailedRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    error: ErrorText
    reason: Reason | None = None
