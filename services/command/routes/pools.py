"""Projects, grants and clusters: what there is to book."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from litestar.params import FromPath, JSONBody

from services.command.domain import CreateCluster, CreateGrant, CreateProject, ResizeCluster, WithdrawGrant
from services.command.routes.requests import (
    ClusterRequest,
    GrantRequest,
    ProjectRequest,
    ReasonRequest,
    ResizeRequest,
    hours_of,
)
from services.command.routes.submit import (
    AnyRequest,
    Commands,
    Decided,
    command_post,
    new_id,
    new_name,
    project_in,
    project_of_cluster,
)
from shared.hours import parse_period, parse_zone
from shared.http.responses import Encoded


class Pools(Commands):
    @command_post("/projects/create")
    async def create_project(self, request: AnyRequest, data: JSONBody[ProjectRequest]) -> Encoded[Decided]:
        command = CreateProject(project=data.id, name=data.name, overcommit=data.overcommit)
        return await self.do(request, data, data.id, command, data.id)

    @command_post("/resources/create")
    async def create_grant(self, request: AnyRequest, data: JSONBody[GrantRequest]) -> Encoded[Decided]:
        grant, period = new_id(), parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateGrant(grant=grant, period=period, capacity=data.capacity(), source=data.source)
        return await self.do(request, data, data.project, command, str(grant), grant)

    @command_post("/resources/{grant:uuid}/withdraw")
    async def withdraw_grant(
        self, request: AnyRequest, grant: FromPath[UUID], data: JSONBody[ReasonRequest | None] = None
    ) -> Encoded[Decided]:
        project = partial(self.handler.project_of, grant, "id", "grant")
        return await self.do(request, data or ReasonRequest(), project, WithdrawGrant(grant=grant), str(grant))

    @command_post("/clusters/create")
    async def create_cluster(self, request: AnyRequest, data: JSONBody[ClusterRequest]) -> Encoded[Decided]:
        """A name that a cluster had may be given again, for hours after that one has ended."""
        command_id = new_id()
        cluster = f"{data.parent}.{data.name or new_name(command_id)}"
        period = parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateCluster(
            cluster=cluster,
            parent=data.parent,
            kind=data.kind,
            period=period,
            capacity=data.capacity(),
            overcommit=data.overcommit,
        )
        return await self.do(request, data, project_in(data.parent), command, cluster, command_id)

    @command_post("/clusters/{cluster:str}/resize")
    async def resize_cluster(
        self, request: AnyRequest, cluster: FromPath[str], data: JSONBody[ResizeRequest]
    ) -> Encoded[Decided]:
        start, end = hours_of(data)
        command = ResizeCluster(cluster=cluster, capacity=data.capacity(), start=start, end=end)
        return await self.do(request, data, partial(project_of_cluster, cluster), command, cluster)
