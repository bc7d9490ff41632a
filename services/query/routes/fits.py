"""The reads that say what fits, and what has been promised without fitting."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from services.query.answers.answers import Answers
from services.query.questions.amounts import parse_count, parse_duration, parse_share
from services.query.questions.model import ConflictsQuestion, Counts, MostQuestion, NowQuestion, SlotsQuestion
from services.query.questions.parameters import parse_pool, parse_template, required
from services.query.routes.calendars import (
    BOTH_PARAMETERS,
    CSV,
    POOL,
    TAKES_BOTH,
    AnyRequest,
    MinPosition,
    RangeText,
    TemplateText,
    ZoneText,
    answered,
    now_or_then,
    preferred,
    refuse_unknown,
)
from services.query.views.conflicts import read_conflicts
from services.query.views.fits import read_most, read_now, read_slots
from shared.capacity import DIMENSIONS
from shared.errors import InvalidField
from shared.hours import Period, hour_of, next_hour, parse_range, parse_zone
from shared.http.responses import Encoded

AHEAD_HOURS = 366 * 24  # how far a search goes that names no range

CountText = Annotated[str | None, QueryParameter(description="A count of this dimension.")]


class Fits(Controller):
    answers: ClassVar[Answers]
    opt = TAKES_BOTH
    parameters = BOTH_PARAMETERS

    @get("/available/now")
    async def now(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """What is available in the hour that is running, and how many of the newest version of each template fit. As
        text/csv: a row without a name that is what is available, and a row a template."""
        refuse_unknown(request, POOL | {"min_position"})
        field, pool = parse_pool(project, clusterid)
        hour = hour_of(await now_or_then(request))
        question = NowQuestion(field=field, pool=pool, csv=preferred(request, CSV), hour=hour)
        return await answered(self.answers, request, question, read_now, min_position)

    @get("/available/slots")
    async def slots(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        duration: Annotated[str | None, QueryParameter(description="A number of hours, as 72h.")] = None,
        period: RangeText = None,
        tz: ZoneText = "UTC",
        template: TemplateText = None,
        count: Annotated[int, QueryParameter(ge=1, le=10**9, description="How many of the template.")] = 1,
        share: Annotated[str | None, QueryParameter(description="A share of the cluster, as 20% or 2000.")] = None,
        servers: CountText = None,
        cores: CountText = None,
        memory: CountText = None,
        tempdisc: CountText = None,
        userdisc: CountText = None,
        datadisc: CountText = None,
        most: TemplateText = None,
        limit: Annotated[int, QueryParameter(ge=1, le=1000, description="How many slots at most.")] = 10,
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """The earliest whole hours of the range from which counts, a template (times `count`), or a share of a cluster
        fit for `duration` without over-committing anything: `slots: [{start, end}]`. Every such hour is one; they
        overlap. A slot lies in the range from start to end, which is a year from the next hour on if none is given, and
        does not begin before the next whole hour (of the moment that `as_of` names): what has begun is no offer.

        With `most=TEMPLATE` and a range instead: `most: {template, version, count}`, how many fit in all of it."""
        asked = {
            "servers": servers,
            "cores": cores,
            "memory": memory,
            "tempdisc": tempdisc,
            "userdisc": userdisc,
            "datadisc": datadisc,
        }
        known = POOL | {"duration", "range", "tz", "template", "count", "share", "most", "limit", "min_position"}
        refuse_unknown(request, known | set(DIMENSIONS))
        field, pool = parse_pool(project, clusterid)
        csv, zone = preferred(request, CSV), parse_zone(tz)
        amounts = [template is not None, share is not None, any(value is not None for value in asked.values())]
        if most is not None:
            if any(amounts) or duration is not None:
                raise InvalidField("most", "it takes a range, and neither a duration nor an amount")
            within = parse_range(required(period, "range", "two dates, as 2020-06-08,2020-06-14"), zone)
            wanted = MostQuestion(field=field, pool=pool, csv=csv, period=within, template=parse_template(most, "most"))
            return await answered(self.answers, request, wanted, read_most, min_position)
        if sum(amounts) != 1:
            raise InvalidField("template", "give one of counts, a template and a share")
        if share is not None and field == "project":
            raise InvalidField("share", "a share is of a cluster; give a clusterid")
        now = await now_or_then(request)
        within = parse_range(period, zone) if period is not None else year_ahead(now)
        question = SlotsQuestion(
            field=field,
            pool=pool,
            csv=csv,
            period=within,
            earliest=earliest_of(within, now),
            duration=parse_duration(required(duration, "duration", "a number of hours, as 72h")),
            counts=counts_of(asked) if amounts[2] else None,
            template=None if template is None else parse_template(template),
            count=count,
            share=0 if share is None else parse_share(share),
            limit=limit,
        )
        return await answered(self.answers, request, question, read_slots, min_position)

    @get("/conflicts/select")
    async def conflicts(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        period: RangeText = None,
        tz: ZoneText = "UTC",
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """The hours of the pool, and of what is in it, that are promised more than they have: runs that lack the same
        of one dimension, with the `deadline` (by which the ledger settles it, the youngest claims first) and the
        claims on it, oldest first, at most a hundred. As text/csv: a row a conflict."""
        refuse_unknown(request, POOL | {"range", "tz", "min_position"})
        field, pool = parse_pool(project, clusterid)
        within = parse_range(required(period, "range", "two dates, as 2020-06-08,2020-06-14"), parse_zone(tz))
        question = ConflictsQuestion(field=field, pool=pool, csv=preferred(request, CSV), period=within)
        return await answered(self.answers, request, question, read_conflicts, min_position)


def year_ahead(now: datetime) -> Period:
    start = next_hour(now)
    return Period(start, start + AHEAD_HOURS)


def earliest_of(period: Period, now: datetime) -> int:
    """The first hour of the period that has not begun; its end when all have."""
    return min(max(period.start, next_hour(now)), period.end)


def counts_of(asked: dict[str, str | None]) -> Counts:
    """Raises InvalidField for what is no count, and for nothing at all."""
    a, b, c, d, e, f = (parse_count(asked[name] or "0", name) for name in DIMENSIONS)
    if not any((a, b, c, d, e, f)):
        raise InvalidField("capacity", f"every dimension is 0; give at least one of {', '.join(DIMENSIONS)}")
    return a, b, c, d, e, f
