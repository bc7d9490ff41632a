"""Grants, which the interface calls resources: they give capacity to a project."""

from __future__ import annotations

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import CreateGrant, WithdrawGrant
from services.command.routes.fields import GrantInPath
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.parsing import capacity_of, period_of
from services.command.routes.requests import GrantRequest, ReasonRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change, make, project_of
from shared.http.responses import EncodedResponse
from shared.ids import new_id


class Grants(Controller):
    @command_post("/resources/create", summary="Grant capacity to a project")
    async def create_grant(self, request: AnyRequest, data: JSONBody[GrantRequest]) -> EncodedResponse[Outcome]:
        """Grants capacity to a project, in every hour of a period. The grants of a project add up.

        Refused if every count is 0, and for a project that does not exist.
        """
        grant, period = new_id(), period_of(data)
        command = CreateGrant(grant=grant, period=period, capacity=capacity_of(data), source=data.source)
        return await make(request, data, data.project, command, grant)

    @command_post("/resources/{grant:uuid}/withdraw", summary="Withdraw a grant")
    async def withdraw_grant(
        self, request: AnyRequest, grant: GrantInPath, data: JSONBody[ReasonRequest | None] = None
    ) -> EncodedResponse[Outcome]:
        """Withdraws the hours of a grant that have not begun, from the next whole hour on.

        Refused if bookings or clusters need the capacity in hours that may not be over-committed, and if the grant is
        over. 200 if it was withdrawn before.
        """
        command = WithdrawGrant(grant=grant)
        project = project_of(request, grant, "grant")
        return await change(request, data or ReasonRequest(), project, command, str(grant))
