"""The bodies of the commands. A field that is not named here is refused, with its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, get_args

import msgspec

from services.command.domain import LayoutChange, TemplateCount
from shared.capacity import COUNT_MAX, DIMENSIONS, Capacity, Count, checked_share, percentage
from shared.errors import InvalidField
from shared.events import Limits, Policy
from shared.hours import parse_instant, parse_zone
from shared.names import NAME_MAX, POOL_ID, SLUG, TEMPLATE_NAME, TEXT_MAX, checked_name, checked_text

Slug = Annotated[str, msgspec.Meta(pattern=SLUG)]

Rule = Callable[[str, str], str]


def says(most: int, what: str) -> dict[str, Any]:
    """For the OpenAPI document: the rule counts the characters of the one spelling, which the decoder does not know."""
    return {"description": f"1 to {most} characters; {what}", "extra": {"max_length": most}}


NAMED, WRITTEN = "none that control anything, and none that cannot be seen", "no control characters but ends of lines"
Name = Annotated[str, msgspec.Meta(min_length=1, extra_json_schema=says(NAME_MAX, NAMED)), checked_name]
Text = Annotated[str, msgspec.Meta(min_length=1, extra_json_schema=says(TEXT_MAX, WRITTEN)), checked_text]
RuleText = Annotated[
    str, msgspec.Meta(min_length=1, extra_json_schema=says(1000, WRITTEN)), partial(checked_text, most=1000)
]
ErrorText = Annotated[
    str, msgspec.Meta(min_length=1, extra_json_schema=says(2000, WRITTEN)), partial(checked_text, most=2000)
]
TemplateName = Annotated[str, msgspec.Meta(pattern=TEMPLATE_NAME)]
PoolId = Annotated[str, msgspec.Meta(pattern=POOL_ID)]
# What an id looks like, in words: the decoder names only the pattern.
SHAPES = {
    SLUG: "small letters, digits and dashes, 1 to 63 of them, such as gaia-dr4",
    POOL_ID: "the id of a project or cluster, such as gaia or gaia.spark-small",
    TEMPLATE_NAME: "letters, digits, dots, dashes and underscores, 1 to 100 of them, such as m1.small",
}
Nodes = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


def rule_of(annotation: Any) -> Rule | None:
    """The rule of a field's type, or of what it is if it is not None."""
    for one in (annotation, *get_args(annotation)):
        for said in getattr(one, "__metadata__", ()):
            if callable(said):
                rule: Rule = said
                return rule
    return None


RULES: dict[type[Body], list[tuple[str, str, Rule]]] = {}


def rules_of(body: type[Body]) -> list[tuple[str, str, Rule]]:
    """Of each field that has a rule: what it is called here, and in the body. They are looked for once."""
    fields = ((field, rule_of(field.type)) for field in msgspec.structs.fields(body))
    RULES[body] = [(field.name, field.encode_name, rule) for field, rule in fields if rule is not None]
    return RULES[body]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a command is made of. Its names come in any spelling, and are in the one spelling when it is there."""

    def __post_init__(self) -> None:
        rules = RULES.get(type(self)) or rules_of(type(self))
        for name, field, rule in rules:
            given = getattr(self, name)
            if given is not None and (checked := rule(given, field)) is not given:
                msgspec.structs.force_setattr(self, name, checked)


class ProjectRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overcommit`: "never", or how many hours off an hour must be to be promised more than it has."""

    id: Slug
    name: Name
    overcommit: Policy = "never"
    reason: Text | None = None


class CapacityRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
            servers=self.servers,
            cores=self.cores,
            memory=self.memory,
            tempdisc=self.tempdisc,
            userdisc=self.userdisc,
            datadisc=self.datadisc,
        )


class GrantRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    startdate: str
    enddate: str
    source: Name | None = None
    tz: str = "UTC"


class ClusterRequest(CapacityRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overcommit` left out: as its parent's."""

    parent: PoolId
    startdate: str
    enddate: str
    name: Slug | None = None
    kind: Name = "cluster"
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
        return template_count(self)


class BookingRequest(AmountRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In `project` or in `clusterid`. `share` "100%" with a project and counts makes a new cluster (`name`) of them.

    `rrule` (RFC 5545) repeats it in the local time of `tz`; `skip` leaves out the occurrences that do not fit.
    """

    account: Name
    startdate: str
    enddate: str
    project: Slug | None = None
    clusterid: PoolId | None = None
    name: Slug | None = None
    tz: str = "UTC"
    rrule: RuleText | None = None
    skip: bool = False


class ChangeRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. At most one of counts, a `template` and a `share`."""

    servers: Count | None = None
    cores: Count | None = None
    memory: Count | None = None
    tempdisc: Count | None = None
    userdisc: Count | None = None
    datadisc: Count | None = None
    template: TemplateName | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)] = 1
    template_version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    share: str | int | None = None

    def counts(self) -> dict[str, int]:
        """The counts that are given, zeros among them."""
        given = {dimension: getattr(self, dimension) for dimension in DIMENSIONS}
        return {dimension: count for dimension, count in given.items() if count is not None}

    def wanted(self) -> TemplateCount | None:
        """The template asked for. Raises InvalidField when something else is asked for too, or only half of it."""
        if sum((self.template is not None, self.share is not None, bool(self.counts()))) > 1:
            field = "template" if self.template is not None else "share"
            raise InvalidField(field, "give one of counts, a template and a share, not two of them")
        return template_count(self)


class AmendRequest(ChangeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. At most one of counts, a `template` and a `share`."""

    startdate: str | None = None
    enddate: str | None = None
    tz: str = "UTC"
    reason: Text | None = None


class AmendSeriesRequest(ChangeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the occurrences that begin at `from` or later: all, where it is left out. Their times stay."""

    since: str | None = msgspec.field(default=None, name="from")
    tz: str = "UTC"
    reason: Text | None = None


class CancelSeriesRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The occurrences that begin at `from` or later: all, where it is left out."""

    since: str | None = msgspec.field(default=None, name="from")
    tz: str = "UTC"
    reason: Text | None = None


class AccountRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    account: Name
    name: Name | None = None
    limits: Limits = Limits()
    reason: Text | None = None


class LimitsRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    limits: Limits
    reason: Text | None = None


class InProjectRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Slug
    reason: Text | None = None


class ReasonRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Text | None = None


class MagnumRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class MagnumResizeRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class FailedRequest(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    error: ErrorText
    reason: Text | None = None


def layout_of(data: MagnumRequest | MagnumResizeRequest) -> LayoutChange:
    return LayoutChange(
        masterflavor=data.masterflavor,
        mastercount=data.mastercount,
        workerflavor=data.workerflavor,
        workercount=data.workercount,
    )


def template_count(data: AmountRequest | ChangeRequest) -> TemplateCount | None:
    """The template of a request, if there is one. Raises InvalidField for a count of none."""
    if data.template is None:
        if data.count != 1 or data.template_version is not None:
            field = "count" if data.count != 1 else "template_version"
            raise InvalidField(field, "it belongs to a template; name one")
        return None
    return TemplateCount(name=data.template, count=data.count, version=data.template_version)


def since_of(data: AmendSeriesRequest | CancelSeriesRequest) -> int | None:
    """The hour of `from`; None where it is left out. Raises InvalidField."""
    zone = parse_zone(data.tz)
    return None if data.since is None else parse_instant(data.since, "from", zone)


def hours_of(data: ResizeRequest | MagnumResizeRequest | AmendRequest) -> tuple[int | None, int | None]:
    """The hours of `startdate` and `enddate`, each None where it is left out. Raises InvalidField."""
    zone = parse_zone(data.tz)
    start = None if data.startdate is None else parse_instant(data.startdate, "startdate", zone)
    return start, None if data.enddate is None else parse_instant(data.enddate, "enddate", zone, is_end=True)


def basis_points(share: str | int) -> int:
    """Basis points of a share: `"12.5%"` is 1250, and so is 1250. Raises InvalidField."""
    return checked_share(percentage(share.strip()) if isinstance(share, str) else share, share)
