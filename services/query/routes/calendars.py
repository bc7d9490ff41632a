"""The calendar: one pool's hours in blocks."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency, Provide

from services.query.documents import calendar, trees
from services.query.questions.calendar import CalendarQuery, CalendarView, parse_calendar
from services.query.questions.parameters import parse_shape
from services.query.questions.trees import check_limit, parse_tree, parse_tree_bookings
from services.query.routes.answering import answered, own_period, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_cluster, on_pool, on_pool_or_tree, seen_in
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    AccountText,
    BookingsLimit,
    ClusterId,
    DimensionsText,
    GrainText,
    MinPosition,
    PageAfter,
    PageLimit,
    PoolCluster,
    PoolProject,
    RangeText,
    ShapeText,
    TemplateText,
    TreeText,
    ValuesText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest, given_in
from services.query.routes.reads import read
from services.query.views.calendar import read_calendar
from services.query.views.tree_bookings import read_tree_bookings
from shared.hours import Period
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right


def calendar_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimensions: DimensionsText = None,
    values: ValuesText = None,
    shape: ShapeText = None,
    template: TemplateText = None,
    min_position: MinPosition = 0,
) -> CalendarQuery:
    """The parameters of /available/select."""
    return CalendarQuery(
        project=project,
        clusterid=clusterid,
        period=period,
        grain=grain,
        tz=tz,
        dimensions=dimensions,
        values=values,
        shape=shape,
        template=template,
        min_position=min_position,
    )


def items_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimensions: DimensionsText = None,
    values: ValuesText = None,
    shape: ShapeText = None,
    limit: PageLimit = 1000,
    after: PageAfter = None,
    min_position: MinPosition = 0,
) -> CalendarQuery:
    """The parameters of /resources/select, whose items come in pages."""
    return CalendarQuery(
        project=project,
        clusterid=clusterid,
        period=period,
        grain=grain,
        tz=tz,
        dimensions=dimensions,
        values=values,
        shape=shape,
        limit=limit,
        after=after,
        min_position=min_position,
    )


def bookings_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    tree: TreeText = None,
    account: AccountText = None,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimensions: DimensionsText = None,
    values: ValuesText = None,
    shape: ShapeText = None,
    limit: BookingsLimit = 1000,
    after: PageAfter = None,
    min_position: MinPosition = 0,
) -> CalendarQuery:
    """The parameters of /bookings/select, whose items come in pages."""
    check_limit(limit, columns=parse_tree(tree) and parse_shape(shape))
    return CalendarQuery(
        project=project,
        clusterid=clusterid,
        account=account,
        period=period,
        grain=grain,
        tz=tz,
        dimensions=dimensions,
        values=values,
        shape=shape,
        limit=limit,
        after=after,
        min_position=min_position,
    )


def sizes_query(
    cluster: ClusterId,
    period: RangeText = None,
    grain: GrainText = None,
    tz: ZoneText = "UTC",
    dimensions: DimensionsText = None,
    shape: ShapeText = None,
    min_position: MinPosition = 0,
) -> CalendarQuery:
    """The parameters of /clusters/{cluster}/sizes."""
    return CalendarQuery(
        cluster=cluster,
        period=period,
        grain=grain,
        tz=tz,
        dimensions=dimensions,
        shape=shape,
        min_position=min_position,
    )


class Calendars(Controller):
    """A pool's hours in blocks. Every answer says its `position`, has an ETag, and is text/csv on request."""

    parameters = TAKES_AS_OF_AND_BOM
    dependencies = {  # noqa: RUF012  (as the framework names it)
        "asked": Provide(calendar_query, sync_to_thread=False),
        "asked_items": Provide(items_query, sync_to_thread=False),
        "asked_bookings": Provide(bookings_query, sync_to_thread=False),
        "asked_sizes": Provide(sizes_query, sync_to_thread=False),
    }

    @read(
        "/available/select",
        "Availability of a pool, in blocks of time",
        in_json(calendar.Availability, also=(CSV,)),
        on_pool(Right.SEE),
    )
    async def available(self, request: AnyRequest, asked: NamedDependency[CalendarQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, blocks: [{start, end, hours, granted, booked, shared,
        available}]}`.

        `granted` is the capacity of the pool. `booked` is the sum of the bookings of counts in the pool itself and of
        the sizes of the clusters directly inside it. `shared` is the part of a cluster that bookings of a share
        reserve, rounded up. `available` is `granted` less `booked` and `shared`; it is negative where more is promised
        than there is. Each is `{min: {<dimension>: n}, max: {…}}`: the smallest and the largest number in an hour of
        the block. Servers and cores are counts, `memory` is in MiB, the discs are in GiB.

        With `template` a block has also `fits: {min, max}`: how many of the template fit at the same time, counted for
        each hour first. An answer has at most 100,000 blocks. As text/csv: one row for each block."""
        return await answer_calendar(request, asked, "available")

    @read(
        "/resources/select",
        "Grants of a pool, and granted capacity in blocks of time",
        in_json(calendar.Grants, also=(CSV,)),
        on_pool(Right.NAMES),
    )
    async def resources(
        self, request: AnyRequest, asked_items: NamedDependency[CalendarQuery]
    ) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, blocks, items, next}`.

        `blocks` are those of /available/select, with `granted` alone unless `values` asks for more. `items` are the
        pool's grants that overlap the range, ordered by start and id: `{id, pool, start, end, servers, cores, memory,
        tempdisc, userdisc, datadisc, source, actor}`. `next` is the `after` of the next page, null on the last page.

        As text/csv: the items alone; the header `Hourbook-Next` is the `after` of the next page."""
        return await answer_calendar(request, asked_items, "resources")

    @read(
        "/bookings/select",
        "Bookings of a pool, and booked capacity in blocks of time",
        in_json(calendar.Bookings, trees.TreeBookings, also=(CSV,)),
        on_pool_or_tree(Right.NAMES),
    )
    async def bookings(
        self, request: AnyRequest, asked_bookings: NamedDependency[CalendarQuery]
    ) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, blocks, items, next}`.

        `blocks` are those of /available/select, with `booked` alone unless `values` asks for more. So `booked` has also
        the sizes of the clusters directly inside the pool. `items` are only the bookings of the pool itself that
        overlap the range, ordered by start and id: `{id, pool, start, end, servers, cores, memory, tempdisc, userdisc,
        datadisc, share, template, account, actor, state, created, series, segment}`. `share` is in basis points (2000
        is 20 %), `state` is confirmed or tentative, `created` is a position. `next` is the `after` of the next page,
        null on the last page.

        A booking that was amended while it ran is listed twice: `segment` 0 is the part before the change, 1 the part
        after it. With `account`, only the bookings of that account are items; the blocks stay those of the pool.

        With `tree=true`: `{pool, range, position, items, next}`, without blocks: the bookings of the pool and of all
        pools inside it whose names you may read. `shape=columns` gives `columns: {<name>: […]}` in place of `items`,
        one array for each field; there `pool`, `account`, `actor` and `template` are places in the lists
        `names: {pool, account, actor, template}`. Such a page has up to 50,000 bookings, every other page 10,000.

        As text/csv: the items alone; the header `Hourbook-Next` is the `after` of the next page."""
        if parse_tree(given_in(request).get("tree")):
            _, pool = asked_bookings.pool()
            tree = parse_tree_bookings(asked_bookings, preferred(request, CSV), seen_in(request, pool))
            return await answered(request, tree, read_tree_bookings, asked_bookings.min_position)
        return await answer_calendar(request, asked_bookings, "bookings")

    @read(
        "/clusters/{cluster:str}/sizes",
        "Sizes of a cluster, in blocks of time",
        in_json(calendar.ClusterSizes, also=(CSV,)),
        on_cluster(Right.SEE),
    )
    async def sizes(self, request: AnyRequest, asked_sizes: NamedDependency[CalendarQuery]) -> EncodedResponse[bytes]:
        """`{pool, range, grain, timezone, position, sizes: [{start, end, hours, size: {min, max}}]}`.

        `min` and `max` are the smallest and the largest size in an hour of the block, each by dimension.
        Without `range`: the cluster's own period, from its start to its end. As text/csv: one row for each block."""
        return await answer_calendar(request, asked_sizes, "sizes", await own_period(request, asked_sizes))


async def answer_calendar(
    request: AnyRequest, query: CalendarQuery, view: CalendarView, own: Period | None = None
) -> EncodedResponse[bytes]:
    question = parse_calendar(query, view, preferred(request, CSV), own)
    return await answered(request, question, read_calendar, query.min_position)
