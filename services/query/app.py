"""The query service's composition root: it alone knows the concrete parts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Response
from litestar.datastructures import State

from services.query.answers.answers import Answers, wide_reads
from services.query.answers.cache import Bodies
from services.query.answers.freshness import Freshness, Positions
from services.query.as_of_database import Past
from services.query.database import UNREACHABLE, Database
from services.query.live.sources import EVENTS, NOTICES
from services.query.live.tail import Tail
from services.query.routes.audit import Audit
from services.query.routes.calendars import Calendars, Health, Pools
from services.query.routes.catalogue import Catalogue
from services.query.routes.diff import Diffs
from services.query.routes.documents import Documents
from services.query.routes.events import Events
from services.query.routes.feeds import Feeds
from services.query.routes.fits import Fits
from services.query.routes.notices import Notices
from services.query.routes.openstack import OpenStack
from services.query.routes.page import Pages, load_page
from services.query.routes.refusals import Refusals
from services.query.routes.webhooks import Webhooks
from services.query.settings import Settings
from shared.http.application import Application
from shared.http.problems import problem
from shared.telemetry import Telemetry


def create_app(settings: Settings) -> Litestar:
    """The ASGI application. It starts without the database too, and then answers 503 until it is there.

    `app.state.end_streams()` ends the answers that would go on for ever.
    """
    database = Database(settings.database_url, settings.query_connections)
    positions = Positions(database, settings.visible_timeout_s)
    wide = wide_reads()
    answers = Answers(database, Freshness(database), positions, Bodies(settings.query_cache_bytes), wide)
    past = Past(settings.database_url, database, settings.visible_timeout_s)
    tail = Tail(database, EVENTS, settings.subscribers_max)
    notices_tail = Tail(database, NOTICES, settings.subscribers_max)

    def end_streams() -> None:
        tail.close()
        notices_tail.close()

    telemetry = Telemetry(settings.database_url)
    telemetry.gauge(
        "subscribers",
        "Those who follow the events or the notices live",
        lambda: tail.subscribers + notices_tail.subscribers,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with database.opened(), past.opened():
            yield

    return Application(
        [
            type("BoundCalendars", (Calendars,), {"answers": answers, "database": database}),
            type("BoundFits", (Fits,), {"answers": answers}),
            type("BoundDiffs", (Diffs,), {"database": database, "wide": wide}),
            type("BoundCatalogue", (Catalogue,), {"answers": answers}),
            type("BoundOpenStack", (OpenStack,), {"answers": answers, "database": database}),
            type("BoundPools", (Pools,), {"database": database, "positions": positions}),
            type("BoundEvents", (Events,), {"database": database, "tail": tail, "past": past}),
            type("BoundFeeds", (Feeds,), {"database": database, "positions": positions}),
            type("BoundRefusals", (Refusals,), {"database": database}),
            type("BoundWebhooks", (Webhooks,), {"database": database}),
            type("BoundNotices", (Notices,), {"database": database, "tail": notices_tail}),
            type("BoundAudit", (Audit,), {"database": database}),
            type("BoundHealth", (Health,), {"positions": positions}),
            type("BoundPages", (Pages,), {"page": load_page()}),
            Documents,
        ],
        telemetry,
        "What can be read. What writes is [the command service](/schema/command).",
        exception_handlers=dict.fromkeys(UNREACHABLE, unreachable),
        lifespan=[lifespan],
        state=State({"end_streams": end_streams, "tail": tail, "past": past}),
    )


def unreachable(_: Any, error: Exception) -> Response[bytes]:
    """The database could not be reached in time. A read changes nothing: ask again."""
    detail = f"the database did not answer: {error or type(error).__name__}"
    return problem(503, "store_unavailable", "The database cannot be reached", detail)
