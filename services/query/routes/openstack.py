"""OpenStack's faces of grants and clusters, as the science platforms that Hourbook began with name them."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from services.query.answers.answers import Answers
from services.query.database import Database
from services.query.questions.model import ClusterQuestion, ProjectSizesQuestion, QuotaQuestion, ResizesQuestion
from services.query.questions.parameters import Selection, checked_cluster, parse_grain_or_day, parse_pool, required
from services.query.render.blocks import ROW
from services.query.routes.calendars import (
    BOTH_PARAMETERS,
    CSV,
    POOL,
    TAKES_BOTH,
    AnyRequest,
    GrainText,
    MinPosition,
    RangeText,
    ZoneText,
    answered,
    as_asked,
    now_or_then,
    preferred,
    refuse_unknown,
)
from services.query.views.calendar import read_calendar
from services.query.views.openstack import read_cluster, read_project_sizes, read_quota, read_resizes
from services.query.views.pools import cluster_period
from shared.errors import UnknownId
from shared.hours import hour_of, parse_range, parse_zone
from shared.http.responses import Encoded

ROWS = POOL | {"range", "grain", "tz", "min_position"}


def rows_query(
    project: FromQuery[str | None] = None,
    clusterid: FromQuery[str | None] = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    min_position: MinPosition = 0,
) -> dict[str, Any]:
    return {
        "project": project,
        "clusterid": clusterid,
        "period": period,
        "grain": grain,
        "tz": tz,
        "min_position": min_position,
    }


class OpenStack(Controller):
    """Rows are `{date, servers, memory, cores}`, a block each: what holds in every hour of it. `date` is a date for
    days, weeks and months, an instant for hours."""

    answers: ClassVar[Answers]
    database: ClassVar[Database]
    opt = TAKES_BOTH
    parameters = BOTH_PARAMETERS
    dependencies = {"asked": Provide(rows_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @get("/novaquota/allocated")
    async def allocated(self, request: AnyRequest, asked: NamedDependency[dict[str, Any]]) -> Encoded[bytes]:
        """What is granted: `rows: [{date, servers, memory, cores}]`."""
        return await self._rows(request, asked, "granted")

    @get("/novaquota/available")
    async def available(self, request: AnyRequest, asked: NamedDependency[dict[str, Any]]) -> Encoded[bytes]:
        """What is granted less what is used: `rows: [{date, servers, memory, cores}]`."""
        return await self._rows(request, asked, "available")

    @get("/novaquota/{quota:str}")
    async def quota(self, request: AnyRequest, quota: FromPath[str], min_position: MinPosition = 0) -> Encoded[bytes]:
        """The grant: `{position, id, project, startdate, enddate, servers, cores, memory, …, source, actor}`."""
        refuse_unknown(request, frozenset({"min_position"}))
        question = QuotaQuestion(grant=grant_id(quota), csv=preferred(request, CSV))
        return await answered(self.answers, request, question, read_quota, min_position)

    @get("/magcluster/sizes")
    async def sizes(self, request: AnyRequest, asked: NamedDependency[dict[str, Any]]) -> Encoded[bytes]:
        """The size of a cluster, over its own period unless a range is given; or of all Magnum clusters of a project
        together (those inside one another count once): `rows: [{date, servers, memory, cores}]`."""
        selection = await self._selection(request, asked, "granted")
        if selection.field == "clusterid":
            return await answered(self.answers, request, selection, read_calendar, asked["min_position"])
        question = ProjectSizesQuestion(selection=selection)
        return await answered(self.answers, request, question, read_project_sizes, asked["min_position"])

    @get("/magcluster/{cluster:str}")
    async def cluster(
        self, request: AnyRequest, cluster: FromPath[str], min_position: MinPosition = 0
    ) -> Encoded[bytes]:
        """The cluster: its period, its masters and workers as they were decided last, its size in the hour that is
        running, and whether all that it takes of its parent is there (`state`)."""
        refuse_unknown(request, frozenset({"min_position"}))
        question = ClusterQuestion(
            field="id",
            pool=checked_cluster(cluster, "id"),
            csv=preferred(request, CSV),
            hour=hour_of(await now_or_then(request)),
        )
        return await answered(self.answers, request, question, read_cluster, min_position)

    @get("/magcluster/{cluster:str}/resizes")
    async def resizes(
        self, request: AnyRequest, cluster: FromPath[str], min_position: MinPosition = 0
    ) -> Encoded[bytes]:
        """The cluster's resizes, in the order in which they were asked for: requested, applied or failed."""
        refuse_unknown(request, frozenset({"min_position"}))
        question = ResizesQuestion(field="id", pool=checked_cluster(cluster, "id"), csv=preferred(request, CSV))
        return await answered(self.answers, request, question, read_resizes, min_position)

    async def _rows(self, request: AnyRequest, asked: dict[str, Any], value: str) -> Encoded[bytes]:
        selection = await self._selection(request, asked, value)
        return await answered(self.answers, request, selection, read_calendar, asked["min_position"])

    async def _selection(self, request: AnyRequest, asked: dict[str, Any], value: str) -> Selection:
        refuse_unknown(request, ROWS)
        field, pool = parse_pool(asked["project"], asked["clusterid"])
        zone = parse_zone(asked["tz"])
        if asked["period"] is None and field == "clusterid" and value == "granted":
            async with as_asked(request, self.database) as database:
                period = await cluster_period(database, pool, self.answers.positions, asked["min_position"])
        else:
            period = parse_range(required(asked["period"], "range", "two dates, as 2020-06-08,2020-06-14"), zone)
        return Selection(
            view="rows",
            field=field,
            pool=pool,
            period=period,
            grain=parse_grain_or_day(asked["grain"]),
            zone=zone.key,
            dimensions=ROW,
            values=(value,),
            csv=preferred(request, CSV),
        )


def grant_id(text: str) -> UUID:
    """Raises UnknownId for what is no id of a grant."""
    try:
        return UUID(text)
    except ValueError:
        raise UnknownId("id", "grant", text[:100]) from None
