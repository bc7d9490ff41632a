"""The compatibility endpoints: grants and clusters under the names that OpenStack has for them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter

from services.query.documents import calendar
from services.query.questions.calendar import CalendarQuery, CalendarQuestion, parse_openstack
from services.query.questions.model import ClusterQuestion, ProjectSizesQuestion, QuotaQuestion, ResizesQuestion
from services.query.questions.parameters import checked_cluster
from services.query.routes.answering import answered, asked_database, now_or_then, own_period, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_cluster, on_found, on_pool, require_found, visit_of
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    ClusterId,
    GrainText,
    MinPosition,
    PoolCluster,
    PoolProject,
    RangeText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import read
from services.query.views.calendar import read_calendar
from services.query.views.openstack import project_of_grant, read_cluster, read_project_sizes, read_quota, read_resizes
from shared.hours import hour_of
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

QuotaId = Annotated[UUID, PathParameter(description="The id of a grant.")]


def openstack_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    min_position: MinPosition = 0,
) -> CalendarQuery:
    """The parameters of the endpoints that answer rows."""
    return CalendarQuery(
        project=project, clusterid=clusterid, period=period, grain=grain, tz=tz, min_position=min_position
    )


class OpenStack(Controller):
    """A row is `{date, servers, memory, cores}` for one block: the amounts that hold in every hour of it."""

    parameters = TAKES_AS_OF_AND_BOM
    dependencies = {"asked": Provide(openstack_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @read(
        "/novaquota/allocated",
        "Granted capacity, in rows of a Nova quota",
        in_json(calendar.OpenStackRows, also=(CSV,)),
        on_pool(Right.SEE),
    )
    async def allocated(self, request: AnyRequest, asked: NamedDependency[CalendarQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, rows: [{date, servers, memory, cores}]}`: the capacity of the pool
        that holds in every hour of the block.

        `memory` is in MiB. `date` is a date for blocks of a day, week or month, and an instant for blocks of hours.
        Without `range`: a cluster's own period; for a project it must be given. As text/csv: the rows."""
        question = parse_openstack(asked, "granted", preferred(request, CSV), await own_period(request, asked))
        return await answered(request, question, read_calendar, asked.min_position)

    @read(
        "/novaquota/available",
        "Available capacity, in rows of a Nova quota",
        in_json(calendar.OpenStackRows, also=(CSV,)),
        on_pool(Right.SEE),
    )
    async def available(self, request: AnyRequest, asked: NamedDependency[CalendarQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, rows: [{date, servers, memory, cores}]}`: the capacity that is
        granted and not booked in every hour of the block.

        `memory` is in MiB. `date` is a date for blocks of a day, week or month, and an instant for blocks of hours.
        `range` must be given. As text/csv: the rows."""
        question = parse_openstack(asked, "available", preferred(request, CSV))
        return await answered(request, question, read_calendar, asked.min_position)

    @read(
        "/novaquota/{grant:uuid}",
        "One grant, as a Nova quota",
        in_json(calendar.NovaQuota, also=(CSV,)),
        on_found(Right.NAMES, "the project of the grant"),
    )
    async def quota(self, request: AnyRequest, grant: QuotaId, min_position: MinPosition = 0) -> EncodedResponse[bytes]:
        """`{position, id, project, startdate, enddate, servers, cores, memory, tempdisc, userdisc, datadisc, source,
        actor}`. `memory` is in MiB, the discs are in GiB.

        A grant that was withdrawn while it ran ends at the next whole hour after the withdrawal."""
        question = QuotaQuestion(grant=grant, csv=preferred(request, CSV))
        if visit_of(request) is not None:
            async with asked_database(request) as database:
                project = await project_of_grant(database, question.grant)
            await require_found(request, project or "", question.unknown())
        return await answered(request, question, read_quota, min_position)

    @read(
        "/magcluster/sizes",
        "Sizes of Magnum clusters, in rows",
        in_json(calendar.OpenStackRows, also=(CSV,)),
        on_pool(Right.SEE),
    )
    async def sizes(self, request: AnyRequest, asked: NamedDependency[CalendarQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, rows: [{date, servers, memory, cores}]}`: the size that holds in
        every hour of the block, of one cluster (`clusterid`) or of all Magnum clusters of a project together
        (`project`). A Magnum cluster inside another one is not counted again.

        `memory` is in MiB. `date` is a date for blocks of a day, week or month, and an instant for blocks of hours.
        Without `range`: the cluster's own period; for a project it must be given. As text/csv: the rows."""
        calendar: CalendarQuestion = parse_openstack(
            asked, "granted", preferred(request, CSV), await own_period(request, asked)
        )
        if calendar.field == "clusterid":
            return await answered(request, calendar, read_calendar, asked.min_position)
        return await answered(request, ProjectSizesQuestion(calendar=calendar), read_project_sizes, asked.min_position)

    @read(
        "/magcluster/{cluster:str}",
        "One Magnum cluster",
        in_json(calendar.MagnumCluster, also=(CSV,)),
        on_cluster(Right.SEE),
    )
    async def cluster(
        self, request: AnyRequest, cluster: ClusterId, min_position: MinPosition = 0
    ) -> EncodedResponse[bytes]:
        """`{position, id, parent, project, name, kind, startdate, enddate, masterflavor, mastercount, workerflavor,
        workercount, servers, cores, memory, tempdisc, userdisc, datadisc, state, layout}`.

        It may be a cluster of any kind. The masters and workers are those of the latest decision; `layout` has them and
        further groups, with the size of one node of each. The six amounts are the size in the current hour;
        before the cluster begins that of its first hour, after its end that of its last hour. `state` is `tentative`
        while its parent lacks something that the cluster takes, else `confirmed`."""
        question = ClusterQuestion(
            field="id",
            pool=checked_cluster(cluster, "id"),
            csv=preferred(request, CSV),
            hour=hour_of(await now_or_then(request)),
        )
        return await answered(request, question, read_cluster, min_position)

    @read(
        "/magcluster/{cluster:str}/resizes",
        "Resizes of a Magnum cluster",
        in_json(calendar.ResizeList, also=(CSV,)),
        on_cluster(Right.NAMES),
    )
    async def resizes(
        self, request: AnyRequest, cluster: ClusterId, min_position: MinPosition = 0
    ) -> EncodedResponse[bytes]:
        """`{pool, position, resizes: [{request, position, decided, state, startdate, enddate, masterflavor,
        mastercount, workerflavor, workercount, servers, cores, memory, tempdisc, userdisc, datadisc, lapsed, error,
        actor, layout}]}`, in the order in which they were requested.

        `state` is `requested`, `applied` or `failed`. Of each resize `position` is the event that requested it, and
        `decided` the event that gave it this state."""
        question = ResizesQuestion(field="id", pool=checked_cluster(cluster, "id"), csv=preferred(request, CSV))
        return await answered(request, question, read_resizes, min_position)
