"""OpenStack's compatibility endpoints: a Nova quota is a grant, a Magnum cluster is a cluster of two flavors."""

from __future__ import annotations

from functools import partial

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import (
    ApplyResize,
    CreateCluster,
    CreateGrant,
    FailResize,
    RequestResize,
    ResizeCluster,
    WithdrawGrant,
)
from services.command.routes.fields import ClusterInPath, GrantInPath, ResizeInPath
from services.command.routes.headers import AnyRequest
from services.command.routes.operations import command_delete, command_post
from services.command.routes.parsing import capacity_of, hours_of, magnum_layout, period_of
from services.command.routes.requests import (
    FailedRequest,
    GrantRequest,
    MagnumRequest,
    MagnumResizeRequest,
    ReasonRequest,
)
from services.command.routes.responses import Outcome
from services.command.routes.submit import change, cluster_id, make, project_in, project_of, project_of_cluster
from shared.http.responses import EncodedResponse
from shared.ids import new_id


class OpenStack(Controller):
    @command_post("/novaquota/create", summary="Grant a Nova quota to a project")
    async def create_quota(self, request: AnyRequest, data: JSONBody[GrantRequest]) -> EncodedResponse[Outcome]:
        """Grants capacity to a project, as `POST /resources/create` does. The `source` is `nova` if none is given."""
        grant, period = new_id(), period_of(data)
        command = CreateGrant(grant=grant, period=period, capacity=capacity_of(data), source=data.source or "nova")
        return await make(request, data, data.project, command, grant)

    @command_delete("/novaquota/{grant:uuid}", summary="Withdraw a Nova quota")
    async def delete_quota(self, request: AnyRequest, grant: GrantInPath) -> EncodedResponse[Outcome]:
        """Withdraws the hours of a grant that have not begun, as `POST /resources/{grant}/withdraw` does."""
        command, project = WithdrawGrant(grant=grant), project_of(request, grant, "grant")
        answer = await change(request, ReasonRequest(), project, command, str(grant))
        if answer.status_code == 201:  # nothing was created
            answer.status_code = 200
        return answer

    @command_post("/magcluster/create", summary="Create a Magnum cluster")
    async def create_magnum(self, request: AnyRequest, data: JSONBody[MagnumRequest]) -> EncodedResponse[Outcome]:
        """Creates a cluster of kind `magnum`: of masters, workers, and further node `groups` if there are any. Its size
        is what their flavors add up to. Flavors are templates of the project; a flavor without servers counts as one
        server.

        Refused like any new cluster, and for a flavor that is not a template.
        """
        command_id = new_id()
        entity = partial(cluster_id, data.parent, data.name)
        command = CreateCluster(
            cluster=entity(command_id),
            parent=data.parent,
            kind="magnum",
            layout=magnum_layout(data),
            overcommit=data.overcommit,
            period=period_of(data),
        )
        return await make(request, data, project_in(data.parent), command, command_id, entity)

    @command_post("/magcluster/{cluster:str}/resize", summary="Resize a Magnum cluster, or request it")
    async def resize_magnum(
        self, request: AnyRequest, cluster: ClusterInPath, data: JSONBody[MagnumResizeRequest]
    ) -> EncodedResponse[Outcome]:
        """Changes flavors or numbers of a Magnum cluster for a part of its period. What is left out stays; `groups` are
        all further node groups.

        With `status` "requested" nothing changes yet, and no capacity is checked. The `id` in the answer is then that
        of the request. Apply it with `…/resizes/{id}/apply`, or record that it failed with `…/resizes/{id}/fail`.

        Refused like the resize of any cluster.
        """
        start, end = hours_of(data)
        resize = ResizeCluster(cluster=cluster, layout=magnum_layout(data), start=start, end=end)
        if data.status == "applied":
            return await change(request, data, project_of_cluster(cluster), resize, cluster)
        requested = new_id()
        command = RequestResize(request=requested, resize=resize)
        return await make(request, data, project_of_cluster(cluster), command, requested)

    @command_post("/magcluster/{cluster:str}/resizes/{wish:uuid}/apply", summary="Apply a requested resize")
    async def apply_resize(
        self,
        request: AnyRequest,
        cluster: ClusterInPath,
        wish: ResizeInPath,
        data: JSONBody[ReasonRequest | None] = None,
    ) -> EncodedResponse[Outcome]:
        """Gives the cluster the size that was requested, for the hours that were requested; hours that have begun
        meanwhile keep their size.

        Refused if there is too little capacity, if the requested hours are over, and if the resize has failed. 200 if
        it was applied before.
        """
        command = ApplyResize(cluster=cluster, request=wish)
        return await change(request, data or ReasonRequest(), project_of_cluster(cluster), command, cluster)

    @command_post("/magcluster/{cluster:str}/resizes/{wish:uuid}/fail", summary="Record that a requested resize failed")
    async def fail_resize(
        self, request: AnyRequest, cluster: ClusterInPath, wish: ResizeInPath, data: JSONBody[FailedRequest]
    ) -> EncodedResponse[Outcome]:
        """Records that a requested resize failed, and why. The cluster keeps its size.

        Refused if the resize was applied. 200 if it was recorded before.
        """
        command = FailResize(cluster=cluster, request=wish, error=data.error)
        return await change(request, data, project_of_cluster(cluster), command, str(wish))
