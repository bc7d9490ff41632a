"""The bodies of the commands. A field that is not named here is refused, with its name."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from services.command.domain import LayoutChange, TemplateCount
from shared.capacity import COUNT_MAX, WHOLE, Capacity, Count
from shared.errors import InvalidField
from shared.events import Limits, Policy

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
Slug = Annotated[str, msgspec.Meta(pattern=SLUG)]
# PostgreSQL's text has no NUL: an event that holds one could not be projected. Nor is any other control character text.
PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f]+$"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=PLAIN)]
RuleText = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=PLAIN)]
TemplateName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
PoolId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62}){0,7}$")]
Nodes = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%", re.ASCII)


class ProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overcommit`: "never", or how many hours off an hour must be to be promised more than it has."""

    id: Slug
    name: Text
    overcommit: Policy = "never"
    reason: Text | None = None


class CapacityRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`servers` and `cores` are counts, `memory` is MiB, the discs are GiB; left out is 0."""

    servers: Count = 0
    cores: Count = 0
    memory: Count = 0
    tempdisc: Count = 0
    userdisc: Count = 0
    datadisc: Count = 0
    reason: Text | None = None

    def capacity(self) -> Capacity:
        return Capacity(
            servers=self.servers, cores=self.cores, memory=self.memory,
            tempdisc=self.tempdisc, userdisc=self.userdisc, datadisc=self.datadisc,
        )  # fmt: skip


class GrantRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    startdate: str
    enddate: str
    source: Text | None = None
    tz: str = "UTC"


class ClusterRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overcommit` left out: as its parent's."""

    parent: PoolId
    startdate: str
    enddate: str
    name: Slug | None = None
    kind: Text = "cluster"
    overcommit: Policy | None = None
    tz: str = "UTC"


class ResizeRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    startdate: str | None = None
    enddate: str | None = None
    tz: str = "UTC"


class TemplateRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    name: TemplateName


class AmountRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of: counts; a `template`, `count` times; a `share` of a cluster, as "12.5%" or in basis points."""

    template: TemplateName | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)] = 1
    template_version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    share: str | int | None = None

    def wanted(self) -> TemplateCount | None:
        """The template asked for. Raises InvalidField when something else is asked for too, or only half of it."""
        ways = [self.template is not None, self.share is not None, bool(self.capacity())]
        if sum(ways) > 1 and not (self.share is not None and self.template is None):
            raise InvalidField("template", "give one of counts, a template and a share, not two of them")
        if self.template is None:
            if self.count != 1 or self.template_version is not None:
                field = "count" if self.count != 1 else "template_version"
                raise InvalidField(field, "it belongs to a template; name one")
            return None
        return TemplateCount(name=self.template, count=self.count, version=self.template_version)


class BookingRequest(AmountRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In `project` or in `clusterid`. `share` "100%" with a project and counts makes a new cluster (`name`) of them.

    `rrule` (RFC 5545) repeats it in the local time of `tz`; `skip` leaves out the occurrences that do not fit.
    """

    account: Text
    startdate: str
    enddate: str
    project: Slug | None = None
    clusterid: PoolId | None = None
    name: Slug | None = None
    tz: str = "UTC"
    rrule: RuleText | None = None
    skip: bool = False


class AmendRequest(AmountRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    startdate: str | None = None
    enddate: str | None = None
    tz: str = "UTC"


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    account: Text
    name: Text | None = None
    limits: Limits = Limits()
    reason: Text | None = None


class LimitsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    limits: Limits
    reason: Text | None = None


class InProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    reason: Text | None = None


class ReasonRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Text | None = None


class MagnumRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flavors are templates of the project."""

    parent: PoolId
    startdate: str
    enddate: str
    masterflavor: TemplateName
    mastercount: Nodes
    workerflavor: TemplateName
    workercount: Nodes
    name: Slug | None = None
    overcommit: Policy | None = None
    tz: str = "UTC"
    reason: Text | None = None

    def layout(self) -> LayoutChange:
        return LayoutChange(
            masterflavor=self.masterflavor, mastercount=self.mastercount,
            workerflavor=self.workerflavor, workercount=self.workercount,
        )  # fmt: skip


class MagnumResizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out of the layout stays. `status` "requested" notes the wish, and changes nothing yet."""

    startdate: str | None = None
    enddate: str | None = None
    masterflavor: TemplateName | None = None
    mastercount: Nodes | None = None
    workerflavor: TemplateName | None = None
    workercount: Nodes | None = None
    status: Literal["applied", "requested"] = "applied"
    tz: str = "UTC"
    reason: Text | None = None

    def layout(self) -> LayoutChange:
        return LayoutChange(
            masterflavor=self.masterflavor, mastercount=self.mastercount,
            workerflavor=self.workerflavor, workercount=self.workercount,
        )  # fmt: skip


class FailedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    error: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=PLAIN)]
    reason: Text | None = None


def basis_points(share: str | int) -> int:
    """`"12.5%"` is 1250, as is 1250. Raises InvalidField."""
    if isinstance(share, str):
        match = PERCENT.fullmatch(share.strip())
        points = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0")) if match else 0
    else:
        points = share
    if not 1 <= points <= WHOLE:
        raise InvalidField("share", f'{share!r} is not a share; give "0.01%" to "100%", or 1 to {WHOLE} basis points')
    return points
