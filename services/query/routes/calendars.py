"""The reads of the HTTP interface: a query string becomes a question, a view's answer becomes a response."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, get_args

import msgspec
from litestar import Controller, Request, get
from litestar.datastructures.headers import Accept
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from services.query.answers.answers import Answer, Answers, Question, Reading, pieces_of, visible
from services.query.answers.freshness import Positions
from services.query.answers.long import Long
from services.query.as_of_database import AsOf, Past
from services.query.database import Database
from services.query.questions.parameters import (
    Selection,
    checked_cluster,
    checked_project,
    parse_bom,
    parse_cursor,
    parse_dimensions,
    parse_grain_or_day,
    parse_pool,
    parse_shape,
    parse_template,
    parse_values,
    required,
)
from services.query.views.calendar import read_calendar
from services.query.views.pools import cluster_period, read_pools, read_projects
from shared.errors import InvalidField
from shared.event_store import POSITION_MAX
from shared.hours import parse_range, parse_zone
from shared.http.problems import GIVEN_MAX, names_of, parameters_of
from shared.http.responses import JSON, Encoded, Streamed

AnyRequest = Request[Any, Any, Any]

CSV = "text/csv"
WHOLE_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
REFUSED = re.compile(r";\s*q=0(\.0*)?\s*(;|$)", re.IGNORECASE)  # a weight of nothing says: not this one

RangeText = Annotated[
    str | None,
    QueryParameter(name="range", description="A,B: two dates (the last one included) or instants on whole hours."),
]
GrainText = Annotated[
    str | None,
    QueryParameter(description="hour, day (the default), week, month, or a number of hours from the start, as 168h."),
]
ZoneText = Annotated[str, QueryParameter(description="The IANA zone of dates and blocks.")]
DimensionsText = Annotated[
    str | None, QueryParameter(description="Some of servers,cores,memory,tempdisc,userdisc,datadisc; default all.")
]
ValuesText = Annotated[
    str | None, QueryParameter(description="Some of granted,booked,shared,available; the default is the view's own.")
]
ShapeText = Annotated[
    str | None,
    QueryParameter(
        description="blocks (the default): an object a block. columns: an array a figure, under `columns`: start, end, "
        "hours, and <value>: {<dimension>: {min: […], max: […]}}. By the hour the first three are start (of the first "
        "block), step_hours (1) and count, and max, which would be min again, is left out."
    ),
]
MinPosition = Annotated[
    int, QueryParameter(ge=0, le=POSITION_MAX, description="Wait until the answer shows at least this position.")
]
TemplateText = Annotated[
    str | None, QueryParameter(description="A template of the project, as small, or small@2 for a version.")
]
PageLimit = Annotated[int, QueryParameter(ge=1, le=10_000, description="How many items a page holds at most.")]
PageAfter = Annotated[str | None, QueryParameter(description="What the page before named as `next`.")]

AS_OF = "as_of"
AS_OF_SAYS = "What would have been answered then: after the event at this position, or at this instant."
AsOfText = Annotated[str | None, QueryParameter(name=AS_OF, description=AS_OF_SAYS)]

# What a controller says whose reads all take as_of.
TAKES_AS_OF: dict[str, Any] = {AS_OF: True}
AS_OF_PARAMETERS: dict[str, Any] = {
    AS_OF: QueryParameter(name=AS_OF, annotation=str | None, default=None, required=False, description=AS_OF_SAYS)
}

BOM_NAME = "bom"
BOM_SAYS = (
    "true: text/csv begins with a byte order mark, by which some spreadsheets know UTF-8. Without CSV it is refused."
)
BomText = Annotated[str | None, QueryParameter(name=BOM_NAME, description=BOM_SAYS)]

# What a controller says whose reads are all text/csv on request, and take as_of.
TAKES_BOTH: dict[str, Any] = {**TAKES_AS_OF, BOM_NAME: True}
BOTH_PARAMETERS: dict[str, Any] = {
    **AS_OF_PARAMETERS,
    BOM_NAME: QueryParameter(name=BOM_NAME, annotation=str | None, default=None, required=False, description=BOM_SAYS),
}

POOL = frozenset({"project", "clusterid"})
BLOCKS = frozenset({"range", "grain", "tz", "dimensions", "shape", "min_position"})
PAGE = frozenset({"limit", "after"})


class BlocksQuery(msgspec.Struct, frozen=True):
    """The parameters that every view of a pool's hours takes, as they came."""

    period: str | None
    grain: str | None
    tz: str
    dimensions: str | None
    shape: str | None
    min_position: int


def blocks_query(
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimensions: DimensionsText = None,
    shape: ShapeText = None,
    min_position: MinPosition = 0,
) -> BlocksQuery:
    return BlocksQuery(period, grain, tz, dimensions, shape, min_position)


class Calendars(Controller):
    """A pool's hours in blocks. Every answer says its `position`, has an ETag, and is `text/csv` on request."""

    answers: ClassVar[Answers]
    database: ClassVar[Database]
    opt = TAKES_BOTH
    parameters = BOTH_PARAMETERS
    dependencies = {"asked": Provide(blocks_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @get("/available/select")
    async def available(
        self,
        request: AnyRequest,
        asked: NamedDependency[BlocksQuery],
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        values: ValuesText = None,
        template: TemplateText = None,
    ) -> Encoded[bytes]:
        """Per block of the range what is granted, booked, shared (what shares of a cluster reserve, rounded up) and
        available: of each dimension `min`, which holds in every hour of the block, and `max`, which holds in one at
        least. With `template` also `fits`, `{min, max}`: how many of it fit, taken per hour first."""
        refuse_unknown(request, POOL | BLOCKS | {"values", "template"})
        field, pool = parse_pool(project, clusterid)
        return await self._answer(
            request, asked, view="available", field=field, pool=pool, values=values, template=template
        )

    @get("/resources/select")
    async def resources(
        self,
        request: AnyRequest,
        asked: NamedDependency[BlocksQuery],
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        values: ValuesText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
    ) -> Encoded[bytes]:
        """What is granted per block, and as `items` the grants that touch the range, in the order of start and id. As
        text/csv: the items, and `Hourbook-Next` for the next page."""
        refuse_unknown(request, POOL | BLOCKS | PAGE | {"values"})
        field, pool = parse_pool(project, clusterid)
        return await self._answer(
            request, asked, view="resources", field=field, pool=pool, values=values, limit=limit, after=after
        )

    @get("/bookings/select")
    async def bookings(
        self,
        request: AnyRequest,
        asked: NamedDependency[BlocksQuery],
        project: FromQuery[str | None] = None,
        clusterid: FromQuery[str | None] = None,
        values: ValuesText = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
    ) -> Encoded[bytes]:
        """What is booked per block, and as `items` the pool's own bookings that touch the range, in the order of start
        and id. As text/csv: the items, and `Hourbook-Next` for the next page.

        A booking that was amended after it had begun is there twice: `segment` 0 is what it held before, 1 the rest."""
        refuse_unknown(request, POOL | BLOCKS | PAGE | {"values"})
        field, pool = parse_pool(project, clusterid)
        return await self._answer(
            request, asked, view="bookings", field=field, pool=pool, values=values, limit=limit, after=after
        )

    @get("/clusters/{cluster:str}/sizes")
    async def sizes(
        self, request: AnyRequest, cluster: FromPath[str], asked: NamedDependency[BlocksQuery]
    ) -> Encoded[bytes]:
        """The cluster's size per block, over its own period unless a range is given."""
        refuse_unknown(request, BLOCKS)
        return await self._answer(request, asked, view="sizes", field="id", pool=checked_cluster(cluster, "id"))

    async def _answer(
        self,
        request: AnyRequest,
        asked: BlocksQuery,
        *,
        view: Any,
        field: str,
        pool: str,
        values: str | None = None,
        limit: int = 1000,
        after: str | None = None,
        template: str | None = None,
    ) -> Encoded[bytes]:
        zone = parse_zone(asked.tz)
        if view == "sizes" and asked.period is None:
            async with as_asked(request, self.database) as database:
                period = await cluster_period(database, pool, self.answers.positions, asked.min_position)
        else:
            period = parse_range(required(asked.period, "range", "two dates, as 2020-06-08,2020-06-14"), zone)
        selection = Selection(
            view=view,
            field=field,
            pool=pool,
            period=period,
            grain=parse_grain_or_day(asked.grain),
            zone=zone.key,
            dimensions=parse_dimensions(asked.dimensions),
            values=parse_values(values, view),
            columns=parse_shape(asked.shape),
            csv=preferred(request, CSV),
            after=parse_cursor(after),
            limit=limit,
            template=None if template is None else parse_template(template),
        )
        return await answered(self.answers, request, selection, read_calendar, asked.min_position)


class Pools(Controller):
    """The tree of pools."""

    database: ClassVar[Database]
    positions: ClassVar[Positions]
    opt = TAKES_AS_OF
    parameters = AS_OF_PARAMETERS

    @get("/projects")
    async def projects(
        self, request: AnyRequest, limit: PageLimit = 1000, after: PageAfter = None, min_position: MinPosition = 0
    ) -> Encoded[bytes]:
        """`{position, projects: [{id, parent, project, name, kind, start, end}], next}`, in the order of the ids."""
        refuse_unknown(request, PAGE | {"min_position"})
        last = checked_after(after)
        async with as_asked(request, self.database) as database:
            return respond(await visible(self.positions, min_position, lambda: read_projects(database, last, limit)))

    @get("/pools")
    async def pools(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        limit: PageLimit = 1000,
        after: PageAfter = None,
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """`{position, pools: [{id, parent, project, name, kind, start, end}], next}`: a project and what is in it, or
        all pools, in the order of the ids."""
        refuse_unknown(request, PAGE | {"project", "min_position"})
        last = checked_after(after)
        wanted = None if project is None else checked_project(project)
        async with as_asked(request, self.database) as database:
            return respond(
                await visible(self.positions, min_position, lambda: read_pools(database, wanted, last, limit))
            )


class Health(Controller):
    positions: ClassVar[Positions]

    @get("/health")
    async def health(self) -> dict[str, str | int]:
        """`{status: "ok", position, head}` while the database answers: what is shown, and what is stored."""
        position, head = await self.positions.read()
        return {"status": "ok", "position": position, "head": head}


async def answered(
    answers: Answers, request: AnyRequest, question: Question, read: Reading, min_position: int
) -> Encoded[bytes]:
    """The answer to a question, in the form that it asks for."""
    etags = request.headers.get("If-None-Match")
    given = request.query_params
    bom = parse_bom(given[BOM_NAME], question.csv) if BOM_NAME in given else b""
    if (as_of := await asked_as_of(request)) is not None:
        answer = await past_of(request).answer(question, read, as_of, etags, request.receive)
    else:
        answer = await answers.answer(question, read, etags, min_position)
    return respond(answer, CSV if question.csv else JSON, bom)


def past_of(request: AnyRequest) -> Past:
    past: Past = request.app.state.past
    return past


async def asked_as_of(request: AnyRequest) -> AsOf | None:
    """The position that the answer is asked for, if any. Raises InvalidField, NotYetVisible."""
    if not len(request.query_params) or (text := request.query_params.get(AS_OF)) is None:
        return None
    if "min_position" in request.query_params:
        raise InvalidField(AS_OF, "give either as_of or min_position, not both")
    return await past_of(request).parse(text)


async def now_or_then(request: AnyRequest) -> datetime:
    """What time it is for the one who asks."""
    as_of = await asked_as_of(request)
    return datetime.now(UTC) if as_of is None else as_of.now


@contextlib.asynccontextmanager
async def as_asked(request: AnyRequest, database: Database) -> AsyncIterator[Database]:
    """The database as it is, or as it was."""
    as_of = await asked_as_of(request)
    if as_of is None:
        yield database
        return
    async with past_of(request).reading(as_of, request.receive) as reader:
        yield reader


def refuse_unknown(request: AnyRequest, known: frozenset[str]) -> None:
    """Raises InvalidField for a parameter that this path does not take, and for one that is given twice."""
    given = request.query_params
    if not len(given):
        return
    names = set(given)
    beside, numbers = taken_by(request.route_handler)
    if wrong := names - known - beside:
        there = ", ".join(sorted(known | beside)) or "none"
        raise InvalidField(min(wrong), f"there is no such parameter here; there are {there}")
    if len(names) < len(given):
        raise InvalidField(next(name for name in given if len(given.getall(name)) > 1), "give it once")
    for name in names & numbers:
        if not WHOLE_NUMBER.fullmatch(given[name]):  # 1e3 and 1.0 are numbers to the framework
            raise InvalidField(name, f"{given[name][:GIVEN_MAX]!r} is not a whole number in digits")


@lru_cache(maxsize=256)  # there are not so many routes
def taken_by(handler: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The parameters that a route takes beside its own, and those that are whole numbers, as the address calls them."""
    called = names_of(handler)
    numbers = (
        called.get(name, name)
        for name, parameter in parameters_of(handler).items()
        if int in (parameter.annotation, *get_args(parameter.annotation))
    )
    return frozenset(name for name in (AS_OF, BOM_NAME) if name in handler.opt), frozenset(numbers)


def checked_after(after: str | None) -> str:
    """The id after which a list goes on. Raises InvalidField for one that is none."""
    if after is not None and (not after.isascii() or not after.isprintable()):
        raise InvalidField("after", "give what an earlier answer named as next, unchanged")
    return after or ""


def preferred(request: AnyRequest, media_type: str) -> bool:
    """Whether the client would rather have `media_type` than JSON; JSON is what it gets when it wants neither, and when
    nobody can tell what it wants."""
    accept = request.headers.get("Accept", "")
    if media_type not in accept:
        return False
    try:
        wanted = ",".join(one for one in accept.split(",") if not REFUSED.search(one))
        return Accept(wanted).best_match([JSON, media_type]) == media_type
    except (ValueError, OverflowError):  # of a weight such as 1e999, which is no number of RFC 9110's
        return False


def respond(answer: Answer, media_type: str = JSON, bom: bytes = b"") -> Encoded[bytes]:
    """200, or 304 without a body. `bom` goes before the body."""
    headers = {"Hourbook-Position": str(answer.position), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if answer.etag is not None:
        headers["ETag"] = answer.etag
    if answer.following is not None:
        headers["Hourbook-Next"] = answer.following
    if answer.body is None:
        return Encoded(b"", status_code=304, headers=headers, media_type=media_type)
    if isinstance(answer.body, Long) and answer.body.windows:
        return Streamed(pieces_of(answer.body, bom), headers=headers, media_type=media_type, held=answer.body.size)
    if isinstance(answer.body, Long):
        return Encoded(bom + answer.body.head, answer.body.tail, headers=headers, media_type=media_type)
    return Encoded(bom + answer.body if bom else answer.body, headers=headers, media_type=media_type)
