"""The types of the fields of a body: what each may hold, and its text in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from litestar.params import PathParameter
from msgspec import Meta

from shared.capacity import COUNT_MAX, Count
from shared.events import Limits, Policy, Role
from shared.identity.auth_file import MEMBER_MAX
from shared.identity.tokens import DAYS, DAYS_MAX
from shared.names import NAME_MAX, POOL_ID, SLUG, TEMPLATE_NAME, TEXT_MAX, checked_name, checked_text

Slug = Annotated[str, Meta(pattern=SLUG)]
TemplateName = Annotated[str, Meta(pattern=TEMPLATE_NAME)]
PoolId = Annotated[str, Meta(pattern=POOL_ID)]
# What an id looks like, in words: the decoder names only the pattern.
SHAPES = {
    SLUG: "small letters, digits and dashes, 1 to 63 of them, such as gaia-dr4",
    POOL_ID: "the id of a project or cluster, such as gaia or gaia.spark-small",
    TEMPLATE_NAME: "letters, digits, dots, dashes and underscores, 1 to 100 of them, such as m1.small",
}

Rule = Callable[[str, str], str]


def _text(description: str, most: int, wrong: str) -> Meta:
    """The document says the longest length; the decoder does not check it. The rule of the text does, because it counts
    the characters after it has brought the text into its one spelling."""
    said = {"description": f"{description} 1 to {most} characters, {wrong}.", "extra": {"max_length": most}}
    return Meta(min_length=1, extra_json_schema=said)


def _name(description: str) -> Meta:
    return _text(description, NAME_MAX, "without control characters and without characters that cannot be seen")


def _lines(description: str, most: int = TEXT_MAX) -> Meta:
    return _text(description, most, "without control characters other than tabs and line ends")


ProjectId = Annotated[Slug, Meta(description="The id of the project.")]
NewProjectId = Annotated[
    Slug,
    Meta(
        description="The id of the new project: small letters, digits and dashes, 1 to 63 of them. It never changes,"
        " and is the first part of the ids of its clusters."
    ),
]
ParentId = Annotated[
    PoolId, Meta(description="The project or cluster from which the capacity is taken, such as gaia or gaia.spark.")
]
ClusterId = Annotated[
    PoolId, Meta(description="The cluster to book in, such as gaia.spark. Give it, or `project`, or both if they fit.")
]
BookedProjectId = Annotated[
    Slug, Meta(description="The project to book in. Not needed with a `clusterid`, whose id names the project.")
]
ClusterName = Annotated[
    Slug,
    Meta(
        description="The last part of the new cluster's id: small letters, digits and dashes, 1 to 63 of them. Left"
        " out: a name is made. The name of a cluster that has ended may be given again, for hours after its end."
    ),
]
OwnClusterName = Annotated[
    Slug,
    Meta(
        description="The name of the cluster that this booking makes for itself (`share` 100% with counts). Left out: a"
        " name is made. Refused for any other booking."
    ),
]

RolePool = Annotated[
    PoolId, Meta(description="The project or cluster on which the role holds, and on everything inside it.")
]
RoleName = Annotated[Role, Meta(description="The role.")]
MemberName = Annotated[
    str,
    Meta(
        min_length=1,
        extra_json_schema={
            "description": "A person (`<issuer>:<subject>`) or a group (`group:<issuer>:<group>`), at most 255"
            " characters. The auth file names the issuers.",
            "extra": {"max_length": MEMBER_MAX},
        },
    ),
]
FirstAdmin = Annotated[
    str,
    Meta(
        min_length=1,
        extra_json_schema={
            "description": "The first admin of the project: a person (`<issuer>:<subject>`) or a group"
            " (`group:<issuer>:<group>`), at most 255 characters. Left out: the person who creates it; nobody where"
            " nobody signs in, or if a token of the operator creates it.",
            "extra": {"max_length": MEMBER_MAX},
        },
    ),
]
AccountName = Annotated[
    str,
    _name("The account that books, such as a user or a team. If the project lists accounts, one of these."),
    checked_name,
]
NewAccountName = Annotated[str, _name("The account, as bookings name it."), checked_name]
DisplayName = Annotated[str, _name("The name to show to people. Left out: the account itself."), checked_name]
ProjectName = Annotated[str, _name("The name of the project, to show to people."), checked_name]
Source = Annotated[str, _name("Where the capacity comes from, such as a contract or an OpenStack quota."), checked_name]
Kind = Annotated[str, _name("What kind of cluster it is, in your own words, such as spark or k8s."), checked_name]
Reason = Annotated[str, _lines("The reason. It is kept in the history."), checked_text]
ErrorText = Annotated[
    str,
    _lines("Why the resize failed, such as OpenStack's own error. It is kept in the history.", 2000),
    partial(checked_text, most=2000),
]
RecurrenceRule = Annotated[
    str,
    _lines(
        "When the booking recurs: an RRULE of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO;COUNT=10, read in the local time of"
        " `tz`. It ends by COUNT or UNTIL, within ten years and 500 occurrences. The first occurrence is `startdate` to"
        " `enddate`.",
        1000,
    ),
    partial(checked_text, most=1000),
]


TokenName = Annotated[str, _name("What the token is for, to show to people."), checked_name]
SecretToken = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64 * 1024,
        description="The token: one of Hourbook's own (`hbk_…`), an access token of an issuer, or a token of Keystone.",
    ),
]
TokenPool = Annotated[
    PoolId, Meta(description="The project or cluster on which it may, and on everything inside. Null: anywhere.")
]
Expires = Annotated[
    datetime,
    Meta(
        tz=True,
        description=f"When the token expires: an instant with Z or an offset, within {DAYS_MAX} days. Or give `days`.",
    ),
]
ExpiresInDays = Annotated[
    int, Meta(ge=1, le=DAYS_MAX, description=f"In how many days the token expires. Left out: in {DAYS}.")
]
FeedPathText = Annotated[
    str,
    Meta(
        description="The path of the feed as it stands in its address: `/projects/{id}.ics`, `/clusters/{id}.ics` or"
        " `/accounts/{account}.ics`."
    ),
]

Servers = Annotated[Count, Meta(description="Number of servers.")]
Cores = Annotated[Count, Meta(description="Number of CPU cores.")]
Memory = Annotated[Count, Meta(description="Memory in MiB.")]
TempDisc = Annotated[Count, Meta(description="Temporary disc in GiB.")]
UserDisc = Annotated[Count, Meta(description="User disc in GiB.")]
DataDisc = Annotated[Count, Meta(description="Data disc in GiB.")]
TemplateToUse = Annotated[
    TemplateName,
    Meta(description="A template of the project, instead of counts: the booking takes its capacity, `count` times."),
]
NewTemplateName = Annotated[
    TemplateName,
    Meta(description="The name of the template: letters, digits, dots, dashes and underscores, 1 to 100 of them."),
]
TemplateTimes = Annotated[
    int,
    Meta(
        ge=1,
        le=COUNT_MAX,
        description="How many times the template's capacity is booked. Refused without a `template`.",
    ),
]
TemplateVersion = Annotated[
    int, Meta(ge=1, description="The version of the template. Left out: the newest. Refused without a `template`.")
]
Skip = Annotated[
    bool,
    Meta(
        description="Of a recurring booking: leave out the occurrences that are refused. Without it, one refused"
        " occurrence refuses the whole booking."
    ),
]
Status = Annotated[
    Literal["applied", "requested"],
    Meta(
        description='"applied": the new size holds. "requested": the resize is noted, and changes nothing until it is'
        " applied."
    ),
]
Share = Annotated[
    str | int,
    Meta(
        description='A share of a cluster\'s size: "0.01%" to "100%", or 1 to 10000 basis points (1250 is 12.5%). All'
        " shares of a cluster together are 100% at most, in every hour."
    ),
]

StartDate = Annotated[
    str,
    Meta(
        description="The start: an instant on a whole UTC hour, with Z or an offset (2030-06-01T09:00Z), or a date"
        " (2030-06-01), which is the first instant of that day in `tz`. From 2000 to 2100."
    ),
]
EndDate = Annotated[
    str,
    Meta(
        description="The end, written as the start. An instant is the first moment that is not included; a date is"
        " included whole. Ten years after the start at most."
    ),
]
NewStartDate = Annotated[
    str,
    Meta(
        description="The new start, written as in a new booking. Left out: it stays. The next whole hour is the"
        " earliest. The start of a booking that has begun cannot be changed."
    ),
]
NewEndDate = Annotated[
    str,
    Meta(
        description="The new end, written as in a new booking. Left out: it stays. The end of a booking that"
        " has begun is one hour after the next whole hour at the earliest; cancel it to end it before."
    ),
]
ResizeStartDate = Annotated[
    str,
    Meta(
        description="The first hour of the new size, written as in a new cluster. Left out: the next whole hour, or the"
        " cluster's start if that is later. Earlier is refused."
    ),
]
ResizeEndDate = Annotated[
    str,
    Meta(
        description="The end of the new size, written as in a new cluster. After it, the sizes that were planned before"
        " hold. Left out: the cluster's end. Later is refused."
    ),
]
Since = Annotated[
    str,
    Meta(
        description="Only the occurrences that begin then or later: an instant or a date, written as `startdate` of a"
        " booking. Left out: all occurrences."
    ),
]
TimeZone = Annotated[
    str,
    Meta(
        description="The time zone of dates, and in bookings of `rrule`: a name of the IANA database such as"
        " Europe/Madrid."
    ),
]


ProjectOvercommit = Annotated[
    Policy,
    Meta(
        description='"never", or `{"beyond_hours": n}`: hours that begin at least n hours after the next whole hour may'
        " be over-committed, which means that more is booked than there is. Claims on such hours are tentative. When an"
        " over-committed hour comes nearer than that, the youngest tentative claims lose it."
    ),
]
ClusterOvercommit = Annotated[
    Policy,
    Meta(
        description="The over-commit policy of the cluster, written as that of a project. Left out: that of its parent."
    ),
]
AccountLimits = Annotated[
    Limits,
    Meta(
        description="The limits of the account. `capacity`: how much it may hold in any hour, by dimension."
        " `monthly_hours`: resource-hours in a calendar month (UTC), by dimension. `ahead_hours`: how many hours"
        " ahead a booking may start. `duration_hours`: how many hours long it may be. A limit that is left out"
        " does not hold."
    ),
]

NODES_MAX = 1_000_000
GROUPS_MAX = 50  # of nodes, beside masters and workers

NodeCount = Annotated[int, Meta(ge=0, le=NODES_MAX, description="Number of nodes.")]
NodeMin = Annotated[int, Meta(ge=0, le=NODES_MAX, description="The smallest number of nodes to which a scaler may go.")]
NodeMax = Annotated[int, Meta(ge=0, le=NODES_MAX, description="The largest number of nodes to which a scaler may go.")]
NodeTemplate = Annotated[
    TemplateName, Meta(description="The size of one node: a template of the project, its newest version.")
]
NodeFlavor = Annotated[TemplateName, Meta(description="The flavor of the nodes: a template of the project.")]
GroupName = Annotated[TemplateName, Meta(description="The name of the group. No other group of the cluster has it.")]
NodeRole = Annotated[TemplateName, Meta(description="The role of the nodes, such as `master`, `worker` or `gpu`.")]
MasterFlavor = Annotated[TemplateName, Meta(description="The flavor of the masters: a template of the project.")]
WorkerFlavor = Annotated[TemplateName, Meta(description="The flavor of the workers: a template of the project.")]
MasterCount = Annotated[int, Meta(ge=0, le=1_000_000, description="Number of masters.")]
WorkerCount = Annotated[int, Meta(ge=0, le=1_000_000, description="Number of workers.")]

BookingInPath = Annotated[UUID, PathParameter(description="The id of the booking, or of one occurrence of a series.")]
SeriesInPath = Annotated[UUID, PathParameter(description="The id of the series.")]
GrantInPath = Annotated[UUID, PathParameter(description="The id of the grant.")]
ClusterInPath = Annotated[str, PathParameter(description="The id of the cluster, such as gaia.spark.")]
AccountInPath = Annotated[str, PathParameter(description="The account.")]
ResizeInPath = Annotated[UUID, PathParameter(description="The id of the requested resize.")]
WebhookInPath = Annotated[UUID, PathParameter(description="The id of the webhook.")]
TokenInPath = Annotated[UUID, PathParameter(description="The id of the token.")]
FeedInPath = Annotated[UUID, PathParameter(description="The id of the feed address.")]
MessageInPath = Annotated[str, PathParameter(description="The id of the message, as in the list of dead letters.")]


def rule_of(annotation: Any) -> Rule | None:
    """The rule of a field's type. Of an optional field: the rule that holds if it is not null."""
    for one in (annotation, *get_args(annotation)):
        for meta in getattr(one, "__metadata__", ()):
            if callable(meta):
                rule: Rule = meta
                return rule
    return None


RULES: dict[type[Body], list[tuple[str, str, Rule]]] = {}


def rules_of(body: type[Body]) -> list[tuple[str, str, Rule]]:
    """Of each field that has a rule: its name in Python, its name in the body, and the rule. Kept in RULES."""
    fields = ((field, rule_of(field.type)) for field in msgspec.structs.fields(body))
    RULES[body] = [(field.name, field.encode_name, rule) for field, rule in fields if rule is not None]
    return RULES[body]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a command. After decoding, its names and texts are in their one spelling (NFC)."""

    def __post_init__(self) -> None:
        rules = RULES.get(type(self)) or rules_of(type(self))
        for name, field, rule in rules:
            given = getattr(self, name)
            if given is not None and (checked := rule(given, field)) is not given:
                msgspec.structs.force_setattr(self, name, checked)
