"""Makes the query service: its parts, and the ASGI application whose routes use them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Response
from litestar.datastructures import State

from services.query.answers.access import Access
from services.query.answers.answers import Answers, wide_reads
from services.query.answers.cache import AnswerCache
from services.query.answers.freshness import Freshness, Positions
from services.query.as_of_database import Past
from services.query.database import UNREACHABLE, Database
from services.query.held_hours import HeldHours
from services.query.live.sources import EVENTS, NOTICES
from services.query.live.tail import Tail
from services.query.routes.audit import Audit
from services.query.routes.calendars import Calendars
from services.query.routes.catalogue import Catalogue
from services.query.routes.credentials import Credentials, People
from services.query.routes.diff import Diffs
from services.query.routes.documents import Documents
from services.query.routes.entitlements import Entitlements
from services.query.routes.events import Events
from services.query.routes.feeds import Feeds
from services.query.routes.fits import Fits
from services.query.routes.load import Loads
from services.query.routes.notices import Notices
from services.query.routes.openstack import OpenStack
from services.query.routes.page import Pages
from services.query.routes.page_files import own_page
from services.query.routes.parts import Parts
from services.query.routes.pools import Health, Pools
from services.query.routes.reads import check_declared, learn_parameters
from services.query.routes.refusals import Refusals
from services.query.routes.rights import RightsNow
from services.query.routes.roles import Me, Roles
from services.query.routes.series import Series
from services.query.routes.trees import Trees
from services.query.routes.webhooks import Webhooks
from services.query.settings import Settings
from services.query.standby import Standby
from shared.http.application import Application
from shared.http.problems import problem
from shared.identity.authenticator import Authenticator
from shared.identity.configured import authenticator_from
from shared.postgres import told
from shared.postgres_hosts import hosts_of
from shared.telemetry import Telemetry, measure_certificates

# The page itself needs no principal: it shows that one must sign in.
PUBLIC = ("/", "/assets/")
# /health is for anybody and tells positions, /live tells nothing. shared/http/application.py checks /metrics.
CHECKED_ELSEWHERE = ("/health", "/live", "/metrics", "/schema", "/schema/")


def create_app(settings: Settings, *, describes: bool = False) -> Litestar:
    """The ASGI application. It starts without the database too, and answers 503 until it can reach it.

    `app.state.end_streams()` ends the live streams, which do not end by themselves.
    """
    authenticator = authenticator_from(settings.auth_file, settings.database_url, read_url=settings.reads_from)
    parts = make_parts(settings, authenticator)

    def end_streams() -> None:
        parts.event_tail.close()
        parts.notice_tail.close()

    telemetry = Telemetry(settings.reads_from)
    measure_certificates(telemetry, settings)
    if parts.standby is not None:
        add_gauges(telemetry, parts.standby)
    telemetry.gauge(
        "subscribers",
        "Live subscribers to events, entitlements or notices",
        lambda: parts.event_tail.subscribers + parts.notice_tail.subscribers,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if authenticator is not None:
                await stack.enter_async_context(authenticator.opened())
            if parts.standby is not None:
                await stack.enter_async_context(parts.standby.opened())
            await stack.enter_async_context(parts.database.opened())
            await stack.enter_async_context(parts.past.opened())
            yield

    app = Application(
        [
            Calendars,
            Fits,
            Trees,
            Loads,
            Diffs,
            Catalogue,
            Entitlements,
            Series,
            OpenStack,
            Pools,
            Events,
            Feeds,
            Refusals,
            Me,
            Roles,
            Webhooks,
            Credentials,
            People,
            Notices,
            Audit,
            Health,
            Pages,
            Documents,
        ],
        telemetry,
        authenticator=authenticator,
        public=PUBLIC,
        describes=describes,
        exception_handlers=dict.fromkeys(UNREACHABLE, unreachable),
        lifespan=[lifespan],
        state=State({"parts": parts, "end_streams": end_streams}),
    )
    learn_parameters(app)
    check_declared(app, (*PUBLIC, *CHECKED_ELSEWHERE))
    return app


def make_parts(settings: Settings, authenticator: Authenticator | None) -> Parts:
    """The parts that the routes use. A route gets them by `parts_of(request)`."""
    standby = standby_of(settings)
    admit = None if standby is None else standby.admit
    held = HeldHours(settings.query_cache_bytes // 4)
    database = Database(settings.reads_from, settings.query_connections, admit, held)
    several = len(hosts_of(settings.reads_from)) > 1
    positions = Positions(database, settings.visible_timeout_s, standby, several_hosts=several)
    freshness = Freshness(database, standby)
    wide, access, cache = wide_reads(), Access(database, freshness), AnswerCache(settings.query_cache_bytes)
    event_tail, notice_tail = (Tail(database, source, settings.subscribers_max) for source in (EVENTS, NOTICES))
    forgetting = (cache, held, access, positions, event_tail, notice_tail)
    freshness.on_new_term(*(part.forget for part in forgetting))
    return Parts(
        database=database,
        positions=positions,
        authenticator=authenticator,
        access=access,
        rights=None if authenticator is None else RightsNow(authenticator, access),
        answers=Answers(database, freshness, positions, cache, wide),
        wide=wide,
        past=Past(settings.reads_from, database, settings.visible_timeout_s, admit),
        event_tail=event_tail,
        notice_tail=notice_tail,
        page=own_page(),
        standby=standby,
    )


def standby_of(settings: Settings) -> Standby | None:
    """None where the reads ask the primary."""
    if not settings.read_database_url:
        return None
    return Standby(
        settings.database_url, settings.read_database_url, settings.read_lag_max_s, settings.visible_timeout_s
    )


def add_gauges(telemetry: Telemetry, standby: Standby) -> None:
    telemetry.gauge(
        "standby_behind_seconds",
        "Time for which the standby has not had all that the primary had; 0: it has all",
        lambda: standby.lag.behind_s,
    )
    telemetry.gauge(
        "primary_unasked_seconds",
        "Time since the query service last learned from the primary what it has",
        lambda: standby.unasked_s,
    )
    telemetry.gauge(
        "primary_head_position",
        "Position of the newest event on the primary, when it was asked last",
        lambda: 0 if standby.lag.newest is None else standby.lag.newest.marks.head,
    )


def unreachable(_: Any, error: Exception) -> Response[bytes]:
    """503 for a database that could not be reached in time. A read changes nothing, so the client may repeat it."""
    detail = f"the database did not answer: {told(error)}"
    return problem(503, "store_unavailable", "The database cannot be reached", detail)
