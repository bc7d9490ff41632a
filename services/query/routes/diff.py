"""What changed in a pool between two positions."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller
from litestar.params import QueryParameter

from services.query.documents import fits
from services.query.questions.parameters import parse_pool, required
from services.query.routes.answering import respond
from services.query.routes.forms import in_json
from services.query.routes.needs import on_pool
from services.query.routes.parameters import RANGE_SAYS, PoolCluster, PoolProject, ZoneText
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.diff import Comparison, read_diff
from shared.errors import InvalidField
from shared.hours import parse_range, parse_zone
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

FromText = Annotated[
    str | None,
    QueryParameter(
        name="from", description="The earlier state: a position, or an instant with Z or an offset. It must be given."
    ),
]
ToText = Annotated[
    str | None,
    QueryParameter(
        name="to", description="The later state: a position, or an instant with Z or an offset. It must be given."
    ),
]
OnlyRange = Annotated[
    str | None, QueryParameter(name="range", description=f"Only changes of hours in this period. {RANGE_SAYS}")
]


class Diffs(Controller):
    @read("/available/diff", "Changes of a pool between two positions", in_json(fits.Diff), on_pool(Right.NAMES))
    async def diff(
        self,
        request: AnyRequest,
        project: PoolProject = None,
        clusterid: PoolCluster = None,
        first: FromText = None,
        second: ToText = None,
        period: OnlyRange = None,
        tz: ZoneText = "UTC",
    ) -> EncodedResponse[bytes]:
        """`{pool, from, to, position, hours: [{start, end, before, after}], events: [{position, type, periods}]}`.

        `hours` are the hours whose figures differ between the state after the event `from` and the state after the
        event `to`. Hours in a row with the same figures are one entry. `before` and `after` are `{granted, booked,
        shared, available}`, each by dimension. `events` are the events after `from`, up to `to`, that changed hours of
        the pool; `periods` are the hours that each one changed. More than 10,000 changes are refused: choose positions
        that are closer."""
        field, pool = parse_pool(project, clusterid)
        within = None if period is None else parse_range(period, parse_zone(tz))
        parts = parts_of(request)
        begin = (await parts.past.parse(required(first, "from", "a position or an instant"), "from")).position
        end = (await parts.past.parse(required(second, "to", "a position or an instant"), "to")).position
        if end < begin:
            raise InvalidField("to", f"it is position {end}, which is before from, {begin}")
        compared = Comparison(field, pool, begin, end, within)
        return respond(await read_diff(parts.database, compared, parts.wide, request.receive))
