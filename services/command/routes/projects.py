"""Projects."""

from __future__ import annotations

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import CreateProject
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_post
from services.command.routes.requests import ProjectRequest
from services.command.routes.responses import Decided
from services.command.routes.submit import change
from shared.http.responses import EncodedResponse


class Projects(Controller):
    @command_post("/projects/create", summary="Create a project")
    async def create_project(self, request: AnyRequest, data: JSONBody[ProjectRequest]) -> EncodedResponse[Decided]:
        """Creates a project. It has no capacity yet: grants give it some (`POST /resources/create`).

        Refused if there is a project with this id.
        """
        command = CreateProject(project=data.id, name=data.name, overcommit=data.overcommit)
        return await change(request, data, data.id, command, data.id)
