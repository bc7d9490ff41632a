"""iCalendar feeds: the bookings of a project, a cluster or an account, for calendar programs."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter, QueryParameter

from services.query.answers.answers import visible
from services.query.questions.feed import FeedQuery, parse_feed
from services.query.questions.sight import EVERYWHERE, Sight
from services.query.routes.answering import asked_database, now_or_then, respond
from services.query.routes.forms import CALENDAR, only
from services.query.routes.needs import on_feed, seen, somewhere
from services.query.routes.parameters import RANGE_SAYS, TAKES_AS_OF, MinPosition, ZoneText
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.feeds import read_feed
from shared.http.responses import EncodedResponse
from shared.identity.credentials import FEED_KEY
from shared.identity.roles import Right

FeedFile = Annotated[str, PathParameter(description="The id (or the account's name), followed by `.ics`.")]
FeedRange = Annotated[
    str | None,
    QueryParameter(
        name="range", description=f"{RANGE_SAYS} The default is from 90 days before today to 366 days after it."
    ),
]

# Sign-in reads it (shared/identity/credentials.py), before the route. No route, no log and no ETag has it.
TAKES_KEY: dict[str, Any] = {
    FEED_KEY: QueryParameter(
        name=FEED_KEY,
        annotation=str | None,
        default=None,
        required=False,
        description="The key of a secret address (POST /feeds/create), for programs that cannot sign in.",
    )
}


def feed_query(
    feed: FeedFile, period: FeedRange = None, tz: ZoneText = "UTC", min_position: MinPosition = 0
) -> FeedQuery:
    """The parameters of a feed."""
    return FeedQuery(feed, period, tz, min_position)


class Feeds(Controller):
    """`text/calendar`, with an ETag that holds while the bookings in the feed do not change."""

    parameters = TAKES_AS_OF | TAKES_KEY
    dependencies = {"asked": Provide(feed_query, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @read("/projects/{feed:str}", "iCalendar feed of a project", only(CALENDAR), on_feed(Right.NAMES, "project"))
    async def project(self, request: AnyRequest, asked: NamedDependency[FeedQuery]) -> EncodedResponse[bytes]:
        """`/projects/{id}.ics`: the bookings in the project and in all its clusters, as text/calendar.

        Each booking is one event, whose UID never changes. A feed holds at most 5,000 bookings, those nearest to today;
        an all-day event says where bookings are missing."""
        return await answer_feed(request, "project", asked)

    @read("/clusters/{feed:str}", "iCalendar feed of a cluster", only(CALENDAR), on_feed(Right.NAMES, "cluster"))
    async def cluster(self, request: AnyRequest, asked: NamedDependency[FeedQuery]) -> EncodedResponse[bytes]:
        """`/clusters/{id}.ics`: the bookings in the cluster and in the deployments inside it, as text/calendar.

        Each booking is one event, whose UID never changes. A feed holds at most 5,000 bookings, those nearest to today;
        an all-day event says where bookings are missing."""
        return await answer_feed(request, "cluster", asked)

    @read("/accounts/{feed:str}", "iCalendar feed of an account", only(CALENDAR), somewhere(Right.NAMES))
    async def account(self, request: AnyRequest, asked: NamedDependency[FeedQuery]) -> EncodedResponse[bytes]:
        """`/accounts/{account}.ics`: the bookings of the account in all projects, as text/calendar: those in pools
        whose names you may see. An account without bookings has an empty calendar.

        Each booking is one event, whose UID never changes. A feed holds at most 5,000 bookings, those nearest to today;
        an all-day event says where bookings are missing."""
        return await answer_feed(request, "account", asked, seen(request))


async def answer_feed(
    request: AnyRequest, kind: str, query: FeedQuery, within: Sight = EVERYWHERE
) -> EncodedResponse[bytes]:
    """The feed. `within` is what the feed of an account may show; those of a pool show the pool."""
    feed = parse_feed(kind, query, await now_or_then(request))._replace(within=within)
    etags, positions = request.headers.get("If-None-Match"), parts_of(request).positions
    async with asked_database(request) as database:
        reply = await visible(positions, query.min_position, lambda: read_feed(database, feed, etags))
    return respond(reply, CALENDAR)
