"""The tree of pools, templates, accounts, and what an account uses."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.query.documents.layouts import LayoutOrNone
from services.query.documents.parts import (
    Actor,
    ActorOrNone,
    AllAmounts,
    Amounts,
    EventPosition,
    Instant,
    Next,
    PoolId,
    Position,
    Span,
)
from shared.events import Limits


class Pool(Struct):
    """A project, a cluster in it, or a deployment in that."""

    id: PoolId
    parent: Annotated[str | None, Meta(description="The pool around it; null for a project.")]
    project: Annotated[str, Meta(description="The id of its project.")]
    name: str
    kind: Annotated[str, Meta(description="`project`, or what kind of cluster it is.", examples=["project", "magnum"])]
    start: Annotated[Instant | None, Meta(description="Null for a project.")]
    end: Annotated[Instant | None, Meta(description="Null for a project.")]
    layout: LayoutOrNone | UnsetType = UNSET


class ProjectPage(Struct):
    """A page of the projects, ordered by id."""

    position: Position
    projects: list[Pool]
    next: Next


class PoolPage(Struct):
    """A page of the pools, ordered by id."""

    position: Position
    pools: list[Pool]
    next: Next


class TemplateVersion(Struct):
    """One version of a template."""

    id: Annotated[str, Meta(description="`<name>@<version>`.", examples=["small@2"])]
    name: str
    version: int
    actor: ActorOrNone
    created: EventPosition
    capacity: AllAmounts


class TemplateList(Struct):
    """A page of every version of every template, ordered by name, the newest version first."""

    project: str
    position: Position
    templates: list[TemplateVersion]
    next: Next


class Account(Struct):
    """An account that a project lists."""

    account: str
    name: str
    limits: Limits
    closed: bool
    created: EventPosition


class AccountList(Struct):
    """A page of the accounts that a project lists, ordered by account."""

    project: str
    position: Position
    accounts: list[Account]
    next: Next


class UsageBlock(Struct):
    """What the account uses in one block, in resource-hours."""

    start: Instant
    end: Instant
    hours: int
    used: Amounts


class Usage(Struct):
    """What an account uses, in blocks of time."""

    account: str
    project: str | None
    range: Span
    grain: str
    timezone: str
    position: Position
    blocks: list[UsageBlock]


class Member(Struct):
    """A member of an account. `added` is the position of the event."""

    account: str
    member: str
    added: EventPosition
    at: Instant
    actor: Actor


class MemberPage(Struct):
    """A page of the members, ordered by account and member."""

    project: str
    position: Position
    members: list[Member]
    next: Next


class RoleOnPool(Struct):
    """A role of a member. Those of the auth file have no pool, and no event granted them."""

    pool: str | None
    member: Annotated[str | None, Meta(description="Null for everyone.")]
    role: str
    granted: Annotated[int | None, Meta(description="The position of the event.")]
    at: Instant | None
    actor: ActorOrNone
    inherited: Annotated[bool, Meta(description="Whether it comes from a pool around the one that was asked for.")]


class RolePage(Struct):
    """A page of the roles, ordered by pool, member and role."""

    position: Position
    roles: list[RoleOnPool]
    next: Next


class RoleOfMine(Struct, rename={"origin": "from"}):
    """A role, and through which name you have it."""

    role: str
    origin: Literal["direct", "group", "everyone"]
    member: str | None


RightName = Literal["see", "names", "book", "manage", "administer", "audit"]


class OnLedger(Struct):
    """What you may do everywhere."""

    roles: list[RoleOfMine]
    rights: list[RightName]


class OnPool(Struct):
    """What you may do on a pool; `rights` count what you have around it."""

    pool: PoolId
    roles: list[RoleOfMine]
    rights: list[RightName]


class Limit(Struct):
    """A role to which a token is limited; without a pool, on the whole ledger."""

    role: str
    pool: str | None


class MyToken(Struct):
    """The token by which a program signs in."""

    name: str | None
    maker: str | None
    limits: list[Limit]
    expires: Instant | None


class MyAccount(Struct):
    """An account of which you are a member."""

    project: str
    account: str


class Me(Struct):
    """Who you are, and what you may do where."""

    signed_in: bool
    id: str | None
    auth: Literal["oidc", "keystone", "token"] | None
    name: str | None
    email: str | None
    groups: list[str]
    token: MyToken | None
    ledger: OnLedger
    pools: list[OnPool]
    accounts: list[MyAccount]
    complete: Annotated[bool, Meta(description="False: there are more groups, pools or accounts than are listed.")]
