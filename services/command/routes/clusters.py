"""Clusters: parts of a project, or of another cluster."""

from __future__ import annotations

from functools import partial

from litestar import Controller
from litestar.params import JSONBody

from services.command.domain import CreateCluster, ResizeCluster
from services.command.routes.fields import ClusterInPath
from services.command.routes.headers import AnyRequest
from services.command.routes.layouts import layout_of
from services.command.routes.operations import command_post
from services.command.routes.parsing import capacity_of, hours_of, period_of
from services.command.routes.requests import ClusterRequest, ResizeRequest
from services.command.routes.responses import Outcome
from services.command.routes.submit import change, cluster_id, make, project_in, project_of_cluster
from shared.http.responses import EncodedResponse
from shared.ids import new_id


class Clusters(Controller):
    @command_post("/clusters/create", summary="Create a cluster")
    async def create_cluster(self, request: AnyRequest, data: JSONBody[ClusterRequest]) -> EncodedResponse[Outcome]:
        """Takes capacity of a project or a cluster, for a period, and makes a new cluster of it. Its id is the parent's
        id, a dot, and its name.

        The size is six counts, or a `layout`: masters, workers, and further groups of nodes, for a cluster of any
        `kind`. The cluster has the sum of all its nodes. A count that contradicts the layout is refused.

        Refused if the parent has too little capacity in an hour that may not be over-committed, if every count is 0, if
        the parent lies 8 levels deep, and if another cluster has the name: it may be given again when that cluster has
        ended, for hours after its end.
        """
        command_id = new_id()
        entity = partial(cluster_id, data.parent, data.name)
        command = CreateCluster(
            cluster=entity(command_id),
            parent=data.parent,
            kind=data.kind,
            period=period_of(data),
            capacity=capacity_of(data),
            layout=layout_of(data.layout),
            overcommit=data.overcommit,
        )
        return await make(request, data, project_in(data.parent), command, command_id, entity)

    @command_post("/clusters/{cluster:str}/resize", summary="Resize a cluster")
    async def resize_cluster(
        self, request: AnyRequest, cluster: ClusterInPath, data: JSONBody[ResizeRequest]
    ) -> EncodedResponse[Outcome]:
        """Sets the size of a cluster for a part of its period. All six counts are the new size: one that is left out
        becomes 0. With a `layout`, the size is the sum of its nodes, and what is left out of it stays. After `enddate`,
        the sizes that were planned before hold.

        Refused if the parent has too little capacity, if the cluster's bookings need what it would lose, and for hours
        that have begun or lie outside the cluster's period. 200 if it has that size already.
        """
        start, end = hours_of(data)
        command = ResizeCluster(
            cluster=cluster, capacity=capacity_of(data), layout=layout_of(data.layout), start=start, end=end
        )
        return await change(request, data, project_of_cluster(cluster), command, cluster)
