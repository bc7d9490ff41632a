"""Projects."""

from __future__ import annotations

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import CreateProject
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.requests import ProjectRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change
from shared.http.responses import EncodedResponse
from shared.identity.auth_file import checked_member


class Projects(Controller):
    @command_post("/projects/create", summary="Create a project")
    async def create_project(self, request: AnyRequest, data: JSONBody[ProjectRequest]) -> EncodedResponse[Outcome]:
        """Creates a project. It has no capacity yet: grants give it some (`POST /resources/create`).

        Needs the role `admin` on the whole ledger. Refused if there is a project with this id.
        """
        admin = None if data.admin is None else checked_member(data.admin, "admin")
        command = CreateProject(project=data.id, name=data.name, overcommit=data.overcommit, admin=admin)
        return await change(request, data, data.id, command, data.id)
