"""Roles: who may do what on a project, on a cluster, and on what is inside it."""

from __future__ import annotations

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import GrantRole, RevokeRole
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.requests import RoleRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change, project_in
from shared.http.responses import EncodedResponse
from shared.identity.auth_file import checked_member


class Roles(Controller):
    @command_post("/roles/grant", summary="Give a role to a member")
    async def grant(self, request: AnyRequest, data: JSONBody[RoleRequest]) -> EncodedResponse[Outcome]:
        """Gives a member a role on a pool and on everything inside it. Nobody gives more than what they have
        themselves.

        Needs the role `admin` on the pool. 200 if the member has the role already.
        """
        member = checked_member(data.member, "member")
        command = GrantRole(pool=data.pool, role=data.role, member=member)
        return await change(request, data, project_in(data.pool), command, data.pool)

    @command_post("/roles/revoke", summary="Take a role from a member")
    async def revoke(self, request: AnyRequest, data: JSONBody[RoleRequest]) -> EncodedResponse[Outcome]:
        """Takes a role on a pool from a member. A role that the member has on a pool around it stays.

        Needs the role `admin` on the pool. Refused if it is the last admin of the project. 200 if the member does not
        have the role.
        """
        member = checked_member(data.member, "member")
        command = RevokeRole(pool=data.pool, role=data.role, member=member)
        return await change(request, data, project_in(data.pool), command, data.pool)
