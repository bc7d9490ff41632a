"""A recurring booking as one thing."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller
from litestar.params import PathParameter

from services.query.documents import series as documents
from services.query.questions.model import SeriesQuestion
from services.query.routes.answering import answered, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_found, require_found, visit_of
from services.query.routes.parameters import BomText, MinPosition
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.series import pool_of_series, read_series
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

SeriesId = Annotated[UUID, PathParameter(description="The id of the series: that of its first occurrence.")]


class Series(Controller):
    @read(
        "/bookings/series/{series:uuid}",
        "A recurring booking, and what has become of each occurrence",
        in_json(documents.SeriesNow, also=(CSV,)),
        on_found(Right.NAMES, "the pool of the series"),
    )
    async def series(
        self, request: AnyRequest, series: SeriesId, min_position: MinPosition = 0, bom: BomText = None
    ) -> EncodedResponse[bytes]:
        """`{id, project, pool, account, rrule, timezone, first, position, occurrences: [{booking, start, end, state,
        refused}], counts}`.

        `state` is confirmed or tentative while the occurrence holds something, or has held it; also for one that was
        cut while it ran, which ends earlier then. `cancelled` and `lapsed` ones hold nothing; their period is the one
        that ended. A `skipped` one was never booked, and `refused` says why. `counts` has the number of occurrences for
        each state. As text/csv: one row for each occurrence."""
        del bom
        question = SeriesQuestion(series=series, csv=preferred(request, CSV))
        if visit_of(request) is not None:
            pool = await pool_of_series(parts_of(request).database, series)
            await require_found(request, pool or "", question.unknown())
        return await answered(request, question, read_series, min_position)
