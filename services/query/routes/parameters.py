"""The query parameters of the routes, with their descriptions in OpenAPI. Each is described once, here."""

from __future__ import annotations

from typing import Annotated, Any

from litestar.params import PathParameter, QueryParameter

from shared.event_store import POSITION_MAX

Project = Annotated[str | None, QueryParameter(description="The id of a project, as `gaia`.")]
PoolProject = Annotated[
    str | None, QueryParameter(description="The id of a project, as `gaia`. Give either `project` or `clusterid`.")
]
PoolCluster = Annotated[
    str | None,
    QueryParameter(
        name="clusterid",
        description="The id of a cluster or deployment, as `gaia.spark`. Give either `project` or `clusterid`.",
    ),
]
ClusterId = Annotated[str, PathParameter(description="The id of a cluster or deployment, as `gaia.spark`.")]

RANGE_SAYS = (
    "The period `A,B`: two dates in the zone `tz`, the second day included, as `2020-06-08,2020-06-14`; or two "
    "instants on whole hours with Z or an offset, the second excluded. At most ten years."
)
RangeText = Annotated[str | None, QueryParameter(name="range", description=RANGE_SAYS)]
GrainText = Annotated[
    str | None,
    QueryParameter(
        description="The length of a block: `hour`, `day` (the default), `week` (from Monday) or `month` of the zone "
        "`tz`; or a number of hours counted from the start of the range, as `168h`."
    ),
]
ZoneText = Annotated[str, QueryParameter(description="The IANA time zone of dates and of blocks, as `Europe/London`.")]
DimensionsText = Annotated[
    str | None,
    QueryParameter(
        description="The dimensions to show, with commas: some of `servers`, `cores`, `memory` (MiB), `tempdisc`, "
        "`userdisc`, `datadisc` (GiB). The default is all six."
    ),
]
ValuesText = Annotated[
    str | None,
    QueryParameter(
        description="The values to show, with commas: some of `granted`, `booked`, `shared`, `available`. The default "
        "is all four on /available/select, `granted` on /resources/select and `booked` on /bookings/select."
    ),
]
ShapeText = Annotated[
    str | None,
    QueryParameter(
        description="`blocks` (the default): one object for each block. `columns`: one array for each figure, under "
        "`columns`: `start`, `end`, `hours`, and `<value>: {<dimension>: {min: […], max: […]}}`. With `grain=hour` "
        "the first three are instead `start` (of the first block), `step_hours` (1) and `count`; `max` is left out, "
        "because it is equal to `min`."
    ),
]
MinPosition = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=POSITION_MAX,
        description="Wait until the answer shows at least the event at this position, so that you can read your own "
        "write. After five seconds (a setting of the server) the answer is 503 `not_yet_visible`. Not with `as_of`.",
    ),
]
TemplateText = Annotated[
    str | None,
    QueryParameter(description="A template of the pool's project: `small` is its newest version, `small@2` version 2."),
]
PageLimit = Annotated[int, QueryParameter(ge=1, le=10_000, description="At most this many items in a page.")]
BookingsLimit = Annotated[
    int,
    QueryParameter(
        ge=1,
        le=50_000,
        description="At most this many items in a page: 10,000 at most, and 50,000 with `tree=true&shape=columns`.",
    ),
]
TreeText = Annotated[
    str | None,
    QueryParameter(name="tree", description="`true`: the pool and all pools inside it. `false` is the default."),
]
AccountText = Annotated[str | None, QueryParameter(name="account", description="Only the bookings of this account.")]
FindText = Annotated[
    str | None,
    QueryParameter(
        name="find", description="Only those whose id or name contains this text. Capital letters do not matter."
    ),
]
PageAfter = Annotated[
    str | None, QueryParameter(description="The `next` of the page before, unchanged. Without it: the first page.")
]
NumberedLimit = Annotated[int, QueryParameter(ge=1, le=10_000, description="At most this many in a page.")]

Actor = Annotated[str | None, QueryParameter(description="Only those of this actor, who sent the command.")]
EventTypes = Annotated[
    str | None, QueryParameter(name="type", description="Only these event types, with commas, as `BookingCreated`.")
]
NoticeKinds = Annotated[
    str | None,
    QueryParameter(name="type", description="Only these kinds of notices, with commas, as `booking.started`."),
]
Since = Annotated[
    str | None, QueryParameter(description="Only those of this instant or later, as `2020-06-08T09:00:00Z`.")
]
Until = Annotated[str | None, QueryParameter(description="Only those before this instant, as `2020-06-09T09:00:00Z`.")]

AS_OF, BOM = "as_of", "bom"
AS_OF_SAYS = (
    "Answer as it was in the past: after the event at this position, or at this instant (with Z or an offset, as "
    "`2020-06-08T09:00:00Z`)."
)
BOM_SAYS = (
    "`true`: a text/csv answer begins with a byte order mark, by which some spreadsheets recognise UTF-8. `false` is "
    "the default. An answer that is not text/csv refuses `true`."
)
AsOfText = Annotated[str | None, QueryParameter(name=AS_OF, description=AS_OF_SAYS)]
BomText = Annotated[str | None, QueryParameter(name=BOM, description=BOM_SAYS)]

# The `parameters` of a controller whose reads all take `as_of`, and of one whose reads are also tables on request.
TAKES_AS_OF: dict[str, Any] = {
    AS_OF: QueryParameter(name=AS_OF, annotation=str | None, default=None, required=False, description=AS_OF_SAYS)
}
TAKES_AS_OF_AND_BOM: dict[str, Any] = {
    **TAKES_AS_OF,
    BOM: QueryParameter(name=BOM, annotation=str | None, default=None, required=False, description=BOM_SAYS),
}
