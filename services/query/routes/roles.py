"""Who am I and what may I do; who has which role; who belongs to which account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from services.query.answers.answers import Reply
from services.query.documents import catalogue
from services.query.questions.parameters import checked_project, optional_name, required
from services.query.questions.rights import Rights
from services.query.questions.roles import MembersAsked, RolesAsked, Shown, asked_roles, parse_row
from services.query.routes.answering import asked_as_of, asked_database, respond
from services.query.routes.forms import in_json
from services.query.routes.needs import ANYBODY, Needs, on_project
from services.query.routes.parameters import AS_OF, TAKES_AS_OF, MinPosition, PageAfter, PageLimit, Project
from services.query.routes.parts import AnyRequest, given_in, parts_of
from services.query.routes.reads import read
from services.query.views.me import nobody, read_me
from services.query.views.roles import read_members, read_roles
from shared.http.responses import EncodedResponse
from shared.http.sign_in import principal_in
from shared.identity.auth_file import AuthFile
from shared.identity.roles import Right
from shared.names import asked_name, spellings

OWN_OR_ADMIN = Needs(None, "your own roles; the roles on a pool where you are admin or auditor, and inside it")
NO_STORE = {"Cache-Control": "private, no-store"}
ALL_ROLES = Right.ADMINISTER | Right.AUDIT

PoolText = Annotated[
    str | None,
    QueryParameter(description="The id of a project or a cluster, as `gaia.spark`: its roles, and those around it."),
]
MemberText = Annotated[
    str | None,
    QueryParameter(description="Only roles of this member: `<issuer>:<subject>` or `group:<issuer>:<group>`."),
]
AccountText = Annotated[str | None, QueryParameter(description="Only the members of this account.")]


class Me(Controller):
    @read("/me", "Who you are, and what you may do where", in_json(catalogue.Me), ANYBODY)
    async def me(self, request: AnyRequest) -> EncodedResponse[bytes]:
        """`{signed_in, id, auth, name, email, groups, token, ledger: {roles, rights}, pools: [{pool, roles, rights}],
        accounts: [{project, account}], complete}`.

        `auth` says how you proved it: `oidc`, `keystone` or `token`. `token` is null for a person, and
        `{name, maker, limits: [{role, pool}], expires}` for a program; a limit without a pool is for the whole ledger.
        `ledger` is what you may do everywhere: its roles come from the auth file. `pools` are the projects and clusters
        on which you have a role; each role is `{role, from, member}`, where `from` is `direct`, `group` or `everyone`,
        and `member` is the name that has it. `rights` are the words `see`, `names`, `book`, `manage`, `administer` and
        `audit`; those of a pool count what you have around it. On a pool that is not listed you have the rights of the
        next one around it, or those of the ledger. `accounts` are those of which you are a member, beside the one that
        has your own id as its name.

        At most 1,000 groups, pools and accounts are listed; `complete` is false if there are more. Where nobody signs
        in, `signed_in` is false, and everybody may do everything."""
        parts = parts_of(request)
        if parts.rights is None:
            return EncodedResponse(msgspec.json.encode(nobody()), headers=NO_STORE)
        rights = await parts.rights.of(principal_in(request))
        found = await read_me(parts.database, parts.rights.authenticator.file, rights, parts.access.known)
        return EncodedResponse(msgspec.json.encode(found), headers=NO_STORE)


class Roles(Controller):
    parameters = TAKES_AS_OF

    @read("/roles", "Who has which role where", in_json(catalogue.RolePage), OWN_OR_ADMIN)
    async def roles(
        self,
        request: AnyRequest,
        project: Project = None,
        pool: PoolText = None,
        member: MemberText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{position, roles: [{pool, member, role, granted, at, actor, inherited}], next}`, ordered by pool, member and
        role.

        With `project`: the roles on the project and on every cluster in it. With `pool`: those on the pool, and those
        that it inherits from the pools around it (`inherited`). Without both: all of them. `granted` is the position of
        the event, `at` its time, `actor` who granted it; null for those who may not see names there.

        Whoever has the role `admin` or `auditor` on a pool sees the roles on it and inside it; those that it inherits
        are for the admins and auditors of the pool around it. Everybody else sees their own roles, and those of their
        groups. Those with the role on the whole ledger also see the roles of the auth file, on the first page: their
        `pool`, `granted`, `at` and `actor` are null, and `member` is null for everyone.
        They have no history, so `as_of` leaves them out.

        `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the same."""
        asked = asked_roles(project, pool, optional_name(member, "member"), after, limit)

        async def page(rights: Rights | None) -> Reply:
            file = None if rights is None or AS_OF in given_in(request) else file_of(request, rights)
            async with asked_database(request) as database:
                return await read_roles(database, asked, shown(rights, asked), file)

        return await guarded(request, min_position, page)

    @read(
        "/accounts/members",
        "Who belongs to which account of a project",
        in_json(catalogue.MemberPage),
        on_project(Right.NAMES),
    )
    async def members(
        self,
        request: AnyRequest,
        project: Project = None,
        account: AccountText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{project, position, members: [{account, member, added, at, actor}], next}`, ordered by account and member.

        `added` is the position of the event, `at` its time, `actor` who added the member. `project` must be given.
        Needs the role `reader` on the project.

        `next` is the `after` of the next page, null on the last page; the header `Hourbook-Next` says the same."""
        names = None if account is None else spellings(asked_name(account, "account"))
        wanted = checked_project(required(project, "project", "a project"))
        asked = MembersAsked(project=wanted, account=names, after=parse_row(after, 2), limit=limit)

        async def page(rights: Rights | None) -> Reply:
            if rights is not None:
                rights.require(Right.NAMES, wanted, asked.unknown())
            async with asked_database(request) as database:
                return await read_members(database, asked)

        return await guarded(request, min_position, page)


async def guarded(
    request: AnyRequest, min_position: int, page: Callable[[Rights | None], Awaitable[Reply]]
) -> EncodedResponse[bytes]:
    """The page for the principal with the rights of now; for None where nobody signs in. It is made again if a role has
    changed while it was made."""
    parts = parts_of(request)
    await parts.positions.reached(min_position)
    if parts.rights is None:
        return respond(await page(None))
    while True:
        rights = await parts.rights.of(principal_in(request))
        reply = await page(rights)
        past = await asked_as_of(request) is not None
        if past or await parts.access.since(reply.position) is rights.bindings:
            return respond(reply)


def shown(rights: Rights | None, asked: RolesAsked) -> Shown:
    """The roles that the principal may see. Raises UnknownId for a pool or project of which it sees nothing."""
    if rights is None:
        return Shown()
    if asked.pool is not None:
        if not rights.has(Right.SEE, asked.pool):
            raise asked.unknown()
    elif asked.project is not None and not rights.sight(Right.SEE).inside(asked.project):
        raise asked.unknown()
    return Shown(rights.sight(ALL_ROLES), sorted(rights.principal.members), rights.sight(Right.NAMES))


def file_of(request: AnyRequest, rights: Rights) -> AuthFile | None:
    """The auth file, for those who may see its roles."""
    authenticator: Any = parts_of(request).authenticator
    file: AuthFile = authenticator.file
    return file if rights.has(ALL_ROLES, None) else None
