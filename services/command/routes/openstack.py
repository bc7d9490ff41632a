"""OpenStack's faces of a grant (a Nova quota) and of a cluster (Magnum's, of masters and workers)."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from litestar.params import FromPath, JSONBody

from services.command.domain import (
    ApplyResize,
    CreateCluster,
    CreateGrant,
    FailResize,
    RequestResize,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.routes.requests import (
    FailedRequest,
    GrantRequest,
    MagnumRequest,
    MagnumResizeRequest,
    ReasonRequest,
    hours_of,
    layout_of,
)
from services.command.routes.submit import (
    AnyRequest,
    Commands,
    Decided,
    command_delete,
    command_post,
    new_id,
    new_name,
    project_in,
    project_of_cluster,
)
from shared.hours import parse_period, parse_zone
from shared.http.responses import Encoded


class OpenStack(Commands):
    @command_post("/novaquota/create")
    async def create_quota(self, request: AnyRequest, data: JSONBody[GrantRequest]) -> Encoded[Decided]:
        """A grant; its source is `nova` unless another is given."""
        grant, period = new_id(), parse_period(data.startdate, data.enddate, parse_zone(data.tz))
        command = CreateGrant(grant=grant, period=period, capacity=data.capacity(), source=data.source or "nova")
        return await self.do(request, data, data.project, command, str(grant), grant)

    @command_delete("/novaquota/{grant:uuid}")
    async def delete_quota(self, request: AnyRequest, grant: FromPath[UUID]) -> Encoded[Decided]:
        """Withdraws what has not begun of it."""
        project = partial(self.handler.project_of, grant, "id", "grant")
        answer = await self.do(request, ReasonRequest(), project, WithdrawGrant(grant=grant), str(grant))
        if answer.status_code == 201:  # of a DELETE
            answer.status_code = 200
        return answer

    @command_post("/magcluster/create")
    async def create_magnum(self, request: AnyRequest, data: JSONBody[MagnumRequest]) -> Encoded[Decided]:
        """A cluster of masters and workers, of kind `magnum`."""
        command_id = new_id()
        cluster = f"{data.parent}.{data.name or new_name(command_id)}"
        command = CreateCluster(
            cluster=cluster,
            parent=data.parent,
            kind="magnum",
            layout=layout_of(data),
            overcommit=data.overcommit,
            period=parse_period(data.startdate, data.enddate, parse_zone(data.tz)),
        )
        return await self.do(request, data, project_in(data.parent), command, cluster, command_id)

    @command_post("/magcluster/{cluster:str}/resize")
    async def resize_magnum(
        self, request: AnyRequest, cluster: FromPath[str], data: JSONBody[MagnumResizeRequest]
    ) -> Encoded[Decided]:
        """A resize, or with `status` "requested" the wish for one: `id` is then what to apply or to fail."""
        start, end = hours_of(data)
        resize = ResizeCluster(cluster=cluster, layout=layout_of(data), start=start, end=end)
        if data.status == "applied":
            return await self.do(request, data, partial(project_of_cluster, cluster), resize, cluster)
        wish = new_id()
        command = RequestResize(request=wish, resize=resize)
        return await self.do(request, data, partial(project_of_cluster, cluster), command, str(wish), wish)

    @command_post("/magcluster/{cluster:str}/resizes/{wish:uuid}/apply")
    async def apply_resize(
        self,
        request: AnyRequest,
        cluster: FromPath[str],
        wish: FromPath[UUID],
        data: JSONBody[ReasonRequest | None] = None,
    ) -> Encoded[Decided]:
        """The size that was requested is the cluster's, from the next whole hour on at the earliest."""
        command = ApplyResize(cluster=cluster, request=wish)
        return await self.do(request, data or ReasonRequest(), partial(project_of_cluster, cluster), command, cluster)

    @command_post("/magcluster/{cluster:str}/resizes/{wish:uuid}/fail")
    async def fail_resize(
        self, request: AnyRequest, cluster: FromPath[str], wish: FromPath[UUID], data: JSONBody[FailedRequest]
    ) -> Encoded[Decided]:
        """The resize came to nothing."""
        command = FailResize(cluster=cluster, request=wish, error=data.error)
        return await self.do(request, data, partial(project_of_cluster, cluster), command, str(wish))
