"""The reads that say how much fits, and where more is promised than there is."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from services.query.documents import fits, trees
from services.query.questions.model import ConflictsQuestion, NowQuestion
from services.query.questions.parameters import RANGE_EXAMPLE, parse_pool, required
from services.query.questions.slots import SlotsQuery, amount_of, parse_most, parse_slots, parse_tree_slots
from services.query.questions.trees import parse_tree
from services.query.routes.answering import answered, now_or_then, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_pool, on_pool_or_tree, seen_in
from services.query.routes.parameters import (
    TAKES_AS_OF_AND_BOM,
    MinPosition,
    PoolCluster,
    PoolProject,
    RangeText,
    TemplateText,
    TreeText,
    ZoneText,
)
from services.query.routes.parts import AnyRequest
from services.query.routes.reads import read
from services.query.views.conflicts import read_conflicts
from services.query.views.fits import read_most, read_now, read_slots
from services.query.views.tree_slots import read_tree_slots
from shared.hours import hour_of, parse_range, parse_zone
from shared.http.responses import EncodedResponse
from shared.identity.roles import Right

CountText = Annotated[str | None, QueryParameter(description="How many are needed in every hour.")]
MemoryText = Annotated[str | None, QueryParameter(description="How much memory is needed in every hour, in MiB.")]
DiscText = Annotated[str | None, QueryParameter(description="How much disc space is needed in every hour, in GiB.")]
DurationText = Annotated[
    str | None, QueryParameter(description="How long it must fit: a number of hours, as `72h`. At most ten years.")
]
TimesTemplate = Annotated[int, QueryParameter(ge=1, le=10**9, description="How many times the template must fit.")]
ShareText = Annotated[
    str | None, QueryParameter(description="A share of the cluster: `20%`, or 2000 basis points. It needs `clusterid`.")
]
MostText = Annotated[
    str | None,
    QueryParameter(description="Answer how many of this template fit in every hour of `range`: `small` or `small@2`."),
]
SlotsLimit = Annotated[
    int | None,
    QueryParameter(ge=1, le=1000, description="At most this many slots: 10 by default. With `tree`, of each pool: 1."),
]


def slots_query(
    project: PoolProject = None,
    clusterid: PoolCluster = None,
    duration: DurationText = None,
    period: RangeText = None,
    tz: ZoneText = "UTC",
    template: TemplateText = None,
    count: TimesTemplate = 1,
    share: ShareText = None,
    servers: CountText = None,
    cores: CountText = None,
    memory: MemoryText = None,
    tempdisc: DiscText = None,
    userdisc: DiscText = None,
    datadisc: DiscText = None,
    most: MostText = None,
    tree: TreeText = None,
    limit: SlotsLimit = None,
    min_position: MinPosition = 0,
) -> SlotsQuery:
    """The parameters of /available/slots."""
    counts = {
        "servers": servers,
        "cores": cores,
        "memory": memory,
        "tempdisc": tempdisc,
        "userdisc": userdisc,
        "datadisc": datadisc,
    }
    return SlotsQuery(
        project=project,
        clusterid=clusterid,
        duration=duration,
        period=period,
        tz=tz,
        template=template,
        count=count,
        share=share,
        counts=counts,
        most=most,
        tree=tree,
        limit=limit,
        min_position=min_position,
    )


class Fits(Controller):
    parameters = TAKES_AS_OF_AND_BOM
    dependencies = {"asked": Provide(slots_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @read(
        "/available/now",
        "Availability of a pool in the current hour",
        in_json(fits.Now, also=(CSV,)),
        on_pool(Right.SEE),
    )
    async def now(
        self,
        request: AnyRequest,
        project: PoolProject = None,
        clusterid: PoolCluster = None,
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{pool, position, hour, available: {<dimension>: n}, templates: [{name, version, capacity, fits}]}`.

        `hour` is the start of the current hour. `fits` says how many of the newest version of each template fit in it.
        As text/csv: the first row, without a name, is `available`; then one row for each template."""
        field, pool = parse_pool(project, clusterid)
        hour = hour_of(await now_or_then(request))
        question = NowQuestion(field=field, pool=pool, csv=preferred(request, CSV), hour=hour)
        return await answered(request, question, read_now, min_position)

    @read(
        "/available/slots",
        "Earliest times at which an amount fits",
        in_json(fits.SlotList, fits.MostThatFits, trees.TreeSlots, also=(CSV,)),
        on_pool_or_tree(Right.SEE),
    )
    async def slots(self, request: AnyRequest, asked: NamedDependency[SlotsQuery]) -> EncodedResponse[bytes]:
        """`{pool, position, duration_hours, slots: [{start, end}]}`: the earliest slots of `duration` in which the
        amount fits in every hour, without over-commitment.

        The amount is one of three: counts (`servers`, `cores`, …), `count` times a `template`, or a `share` of a
        cluster. Every whole hour at which it fits begins a slot of its own, so slots overlap. A slot begins no earlier
        than the next whole hour, and ends no later than `range`. With `as_of`, the next whole hour is that after the
        time of `as_of`. Without `range`: the 366 days from the next whole hour.

        With `most=TEMPLATE` and `range`, and without amount and duration: `{pool, range, position, most: {template,
        version, count}}`, the number that fit in every hour of the range.

        With `tree=true`: `{pool, position, duration_hours, pools: [{pool, slots: [{start, end}]}]}`: the earliest slot
        in the pool, and in each pool inside it that lives in the range and that you may see; with `limit`, that many.
        The pool with the earliest slot comes first. Pools in which it never fits are left out. A share is asked of each
        cluster. Pools times hours are at most 1,500,000. As text/csv: one row for each pool and slot."""
        csv = preferred(request, CSV)
        amount = amount_of(asked)
        if amount == "most":
            return await answered(request, parse_most(asked, csv), read_most, asked.min_position)
        if parse_tree(asked.tree):
            within = seen_in(request, parse_pool(asked.project, asked.clusterid)[1])
            tree = parse_tree_slots(asked, amount, csv, await now_or_then(request), within)
            return await answered(request, tree, read_tree_slots, asked.min_position)
        question = parse_slots(asked, amount, csv, await now_or_then(request))
        return await answered(request, question, read_slots, asked.min_position)

    @read(
        "/conflicts/select",
        "Hours that are promised more than they have",
        in_json(fits.ConflictList, also=(CSV,)),
        on_pool(Right.NAMES),
    )
    async def conflicts(
        self,
        request: AnyRequest,
        project: PoolProject = None,
        clusterid: PoolCluster = None,
        period: RangeText = None,
        tz: ZoneText = "UTC",
        min_position: MinPosition = 0,
    ) -> EncodedResponse[bytes]:
        """`{pool, range, position, conflicts: [{pool, start, end, dimension, deficit, deadline, claims,
        claims_total}], conflicts_total}`, ordered by `deadline`.

        A conflict is a run of hours in which a pool, or a pool inside it, lacks the same amount (`deficit`) of one
        dimension. At `deadline` the ledger settles it: the youngest claims give way first. `claims` are the bookings
        and clusters that take of it, the oldest first, at most 100; `claims_total` counts all of them. At most 500
        conflicts are listed; `conflicts_total` counts all of them. As text/csv: one row for each conflict, without the
        claims."""
        field, pool = parse_pool(project, clusterid)
        within = parse_range(required(period, "range", RANGE_EXAMPLE), parse_zone(tz))
        question = ConflictsQuestion(field=field, pool=pool, csv=preferred(request, CSV), period=within)
        return await answered(request, question, read_conflicts, min_position)
