"""The reads of a pool and all pools inside it."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from services.query.documents import trees
from services.query.questions.matrix import MatrixQuery, parse_matrix
from services.query.questions.parameters import parse_pool
from services.query.routes.answering import answered, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import in_tree, seen_in
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    GrainText,
    MinPosition,
    PoolCluster,
    PoolProject,
    RangeText,
    TemplateText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import read
from services.query.views.matrix import read_matrix
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

DimensionText = Annotated[
    str | None,
    QueryParameter(
        description="The dimension to show: `servers`, `cores` (the default), `memory` (MiB), `tempdisc`, `userdisc` "
        "or `datadisc` (GiB). Give either `dimension` or `template`."
    ),
]


def matrix_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimension: DimensionText = None,
    template: TemplateText = None,
    min_position: MinPosition = 0,
) -> MatrixQuery:
    """The parameters of /available/matrix."""
    return MatrixQuery(
        project=project,
        clusterid=clusterid,
        period=period,
        grain=grain,
        tz=tz,
        dimension=dimension,
        template=template,
        min_position=min_position,
    )


class Trees(Controller):
    """A pool and all pools inside it."""

    parameters = TAKES_AS_OF_AND_BOM
    dependencies = {"asked": Provide(matrix_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @read(
        "/available/matrix",
        "Availability of a pool and of all pools inside it, in blocks of time",
        in_json(trees.Matrix, also=(CSV,)),
        in_tree(Right.SEE),
    )
    async def matrix(self, request: AnyRequest, asked: NamedDependency[MatrixQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, dimension, columns: {start, end, hours}, rows: [{pool, name, kind,
        min, max}]}`.

        A row is a pool: the pool itself, and each pool inside it that lives in the range and that you may see. A pool
        stands before the pools inside it, and pools beside each other stand in the order of their ids. A column is a
        block of time, the same as those of /available/select. `min` and `max` have a number for each block: the
        smallest and the largest available amount of the dimension in an hour of the block.

        With `template` the numbers say how many of it fit, counted for each hour first, and `template: {name, version}`
        stands in place of `dimension`. Pools times blocks are at most 1,000,000, and pools times hours 1,500,000. As
        text/csv: one row for each pool and block."""
        _, pool = parse_pool(asked.project, asked.clusterid)
        question = parse_matrix(asked, preferred(request, CSV), seen_in(request, pool))
        return await answered(request, question, read_matrix, asked.min_position)
