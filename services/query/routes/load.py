"""The read that says how much is booked, by account or by cluster."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from services.query.documents.load import Load
from services.query.questions.load import LoadQuery, parse_load
from services.query.routes.answering import answered, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_pool
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    GrainText,
    MinPosition,
    PoolCluster,
    PoolProject,
    RangeText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import read
from services.query.views.load import read_load
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

DimensionText = Annotated[
    str | None,
    QueryParameter(
        description="The dimension to add up: `servers`, `cores` (the default), `memory` (MiB), `tempdisc`, `userdisc` "
        "or `datadisc` (GiB)."
    ),
]
ByText = Annotated[str | None, QueryParameter(description="A row for each `account` (the default) or `cluster`.")]
AccountText = Annotated[str | None, QueryParameter(description="Only the bookings of this account.")]
RowsLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most this many rows, beside `others`.")]


def load_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimension: DimensionText = None,
    by: ByText = None,
    account: AccountText = None,
    limit: RowsLimit = 200,
    min_position: MinPosition = 0,
) -> LoadQuery:
    """The parameters of /bookings/load."""
    return LoadQuery(
        project=project,
        clusterid=clusterid,
        period=period,
        grain=grain,
        tz=tz,
        dimension=dimension,
        by=by,
        account=account,
        limit=limit,
        min_position=min_position,
    )


class Loads(Controller):
    parameters = TAKES_AS_OF_AND_BOM
    dependencies = {"asked": Provide(load_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @read(
        "/bookings/load",
        "How much is booked, by account or by cluster",
        in_json(Load, also=(CSV,)),
        on_pool(Right.NAMES),
    )
    async def load(self, request: AnyRequest, asked: NamedDependency[LoadQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, dimension, by, position, columns: {start, end, hours}, rows: [{name,
        bookings, min, max, used}], others}`.

        The bookings of the pool and of all pools inside it, added up in blocks of time. `min`, `max` and `used` have a
        number for each block. `min` and `max` are the least and the most that the bookings of the row hold together in
        an hour of the block. `used` is in resource-hours: the sum over the hours of the block. A share of a cluster
        counts as that part of the cluster's size. `bookings` is how many there are in the range.

        The first row has booked the most hours. Beyond `limit` rows, and beyond a million blocks in all, the rest is
        one row in `others`: `{names, bookings, min, max, used}`, where `names` is how many accounts or pools it adds
        up. `others` is null if there is no rest. As text/csv: one row for each name and block; the name of others is
        empty."""
        question = parse_load(asked, preferred(request, CSV))
        return await answered(request, question, read_load, asked.min_position)
