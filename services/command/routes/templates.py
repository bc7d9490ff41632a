"""Templates: capacities with a name, such as OpenStack's flavors."""

from __future__ import annotations

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import CreateTemplate
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.parsing import capacity_of
from services.command.routes.requests import TemplateRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change
from shared.http.responses import EncodedResponse


class Templates(Controller):
    @command_post("/templates/create", summary="Create a template, or its next version")
    async def create_template(self, request: AnyRequest, data: JSONBody[TemplateRequest]) -> EncodedResponse[Outcome]:
        """Gives a name to a capacity, so that bookings and Magnum clusters can ask for it by name. If the project has a
        template of this name, this makes its next version. What was booked before keeps the version that it was booked
        with.

        Refused if every count is 0. 200 if the newest version is the same.
        """
        command = CreateTemplate(template=data.name, capacity=capacity_of(data))
        return await change(request, data, data.project, command, data.name)
