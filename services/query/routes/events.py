"""The history: in pages, whole as NDJSON or CSV, one event, the history of one thing, and live."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import PathParameter, QueryParameter

from services.query.answers.answers import Reply
from services.query.database import Database, again
from services.query.documents import parts
from services.query.documents.events import EventPage, HistoryPage
from services.query.live.tail import Watch
from services.query.questions.events import EventFilter, SubscriptionFilter
from services.query.questions.parameters import (
    checked_cluster,
    optional_moment,
    optional_name,
    optional_project,
    parse_bom,
    parse_event_types,
    parse_moment,
)
from services.query.questions.sight import Sight
from services.query.routes.answering import BY_ACCEPT, LAST_EVENT_ID, last_event_id, preferred, respond
from services.query.routes.forms import CSV, NDJSON, in_json, live
from services.query.routes.needs import on_cluster, on_found, require_found, seen, somewhere, watch_of
from services.query.routes.parameters import Actor, AsOfText, BomText, ClusterId, EventTypes, Project, Since, Until
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import WHOLE_NUMBER, read
from services.query.views import lines
from services.query.views.history import HistoricEvent, History, check_project, position_before, read_event
from services.query.views.search import read_found
from shared.errors import InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.http.problems import GIVEN_MAX
from shared.http.responses import EncodedResponse, StreamedResponse
from shared.identity.roles import Right
from shared.names import asked_name

PAGE_LIMIT = 100
BATCH = 1000  # events read at a time for an answer of any length

After = Annotated[int, QueryParameter(ge=0, le=POSITION_MAX, description="Only events after this position.")]
Before = Annotated[int, QueryParameter(ge=0, le=POSITION_MAX, description="Only events before this position.")]
Limit = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=10_000, description="At most this many events. The default is 100; with NDJSON and CSV it is all."
    ),
]
PageSize = Annotated[int | None, QueryParameter(ge=1, le=10_000, description="At most this many; the default is 100.")]
Account = Annotated[str | None, QueryParameter(description="Only events of this account and of its bookings.")]
PoolName = Annotated[
    str | None, QueryParameter(name="pool", description="Only events that name this project, cluster or deployment.")
]
Entity = Annotated[
    str | None, QueryParameter(description="Only events about the booking, grant, cluster or project with this id.")
]
StreamAfter = Annotated[
    int | None,
    QueryParameter(ge=0, le=POSITION_MAX, description="Begin after this position; 0 begins with the first event."),
]
StreamSince = Annotated[
    str | None,
    QueryParameter(description="Begin with the first event of this instant or later, as `2020-06-08T09:00:00Z`."),
]
BookingId = Annotated[UUID, PathParameter(description="The id of a booking.")]
GrantId = Annotated[UUID, PathParameter(description="The id of a grant.")]
EventPosition = Annotated[int, PathParameter(description="The position of the event.")]


class HistoryQuery(NamedTuple):
    """The parameters of the history of one thing, but for its id."""

    after: int
    limit: int | None
    as_of: str | None
    bom: str | None


def event_filter(
    after: After = 0,
    before: Before = POSITION_MAX,
    project: Project = None,
    kinds: EventTypes = None,
    actor: Actor = None,
    account: Account = None,
    pool: PoolName = None,
    entity: Entity = None,
    since: Since = None,
    until: Until = None,
) -> EventFilter:
    """The parameters of /events that narrow it."""
    types = parse_event_types(kinds)
    return EventFilter(
        after=after,
        before=before,
        project=optional_project(project),
        types=None if types is None else tuple(sorted(types)),
        actor=optional_name(actor, "actor"),
        account=optional_name(account, "account"),
        pool=optional_name(pool, "pool"),
        entity=None if entity is None else asked_name(entity, "entity").lower(),
        since=optional_moment(since, "since"),
        until=optional_moment(until, "until"),
    )


def history_query(
    after: After = 0, limit: PageSize = None, as_of: AsOfText = None, bom: BomText = None
) -> HistoryQuery:
    """The parameters of the history of one thing."""
    return HistoryQuery(after, limit, as_of, bom)


class AnswerBroken(Exception):
    """A long answer ends before its end."""


class Form(NamedTuple):
    """A text form of a list of events: its media type, its first bytes, and the lines of some events."""

    media_type: str
    head: bytes
    lines: Callable[[Sequence[HistoricEvent]], bytes]


FORMS = (Form(NDJSON, b"", lines.ndjson), Form(CSV, lines.csv_head(), lines.csv_lines))


class Events(Controller):
    """The history, in order."""

    dependencies = {  # noqa: RUF012  (as the framework names it)
        "where": Provide(event_filter, sync_to_thread=False),
        "asked": Provide(history_query, sync_to_thread=False),
    }

    @read("/events", "Events of the history", in_json(EventPage, also=(NDJSON, CSV)), somewhere(Right.NAMES))
    async def events(
        self,
        request: AnyRequest,
        where: NamedDependency[EventFilter],
        limit: Limit = None,
        as_of: AsOfText = None,
        bom: BomText = None,
    ) -> EncodedResponse[bytes] | StreamedResponse[bytes]:
        """`{position, events: [{position, version, event}], next}`, ordered by position: the events that match all
        given parameters.

        The outer `position` is that of the last stored event. `event` is the stored JSON, byte for byte; `version`
        counts the events of its project. `next` is the `after` of the next page, null on the last page. Events about
        pools whose names you may not see are left out.

        As application/x-ndjson or text/csv: one line for each event, and all events in one answer. With `limit` it is a
        page, and the header `Hourbook-Next` is the `after` of the next page."""
        form, where = form_of(request, bom), msgspec.structs.replace(where, within=seen(request))
        if form is not None and limit is None:
            return await answer_whole(request, where, form, as_of)
        history = await find_history(request, where, limit or PAGE_LIMIT, as_of)
        if form is not None:
            return respond(reply_with(history, form.head + form.lines(history.events)), form.media_type)
        body = {"position": history.head, "events": history.events, "next": history.following}
        return respond(reply_with(history, msgspec.json.encode(body)))

    @read(
        "/events/{position:int}",
        "One event",
        in_json(parts.StoredEvent),
        on_found(Right.NAMES, "the pool of the event"),
    )
    async def event(self, request: AnyRequest, position: EventPosition) -> EncodedResponse[bytes]:
        """`{position, version, event}`. It never changes. `event` is the stored JSON, byte for byte."""
        given = request.scope["path"].rpartition("/")[2]
        if not WHOLE_NUMBER.fullmatch(given) or not 0 < position <= POSITION_MAX:
            raise UnknownId("position", "event", given[:GIVEN_MAX])
        parts = parts_of(request)
        try:
            history = await read_event(parts.database, position)
        except UnknownId:
            if parts.standby is None:
                raise
            await parts.standby.caught_up()
            history = await read_event(parts.database, position)
        pool = lines.head_of(history.events[0].event).where
        await require_found(request, pool, UnknownId("position", "event", str(position)))
        return respond(Reply(history.head, msgspec.json.encode(history.events[0])))

    @read("/events/stream", "Events, live", live(parts.StoredEvent), somewhere(Right.NAMES))
    async def stream(
        self,
        request: AnyRequest,
        after: StreamAfter = None,
        since: StreamSince = None,
        project: Project = None,
        kinds: EventTypes = None,
    ) -> StreamedResponse[bytes]:
        """Server-sent events, without an end. `id` is the position, `data` is `{position, version, event}`. An event is
        sent once the read models show it.

        The stream begins after the position in the header `Last-Event-ID` (browsers send it when they reconnect), else
        after `after`, else at `since`, else with the next event. Every 15 seconds without an event, a heartbeat carries
        the last position that was looked at."""
        if after is not None and since is not None:
            raise InvalidField("since", "give either after or since, not both")
        where = SubscriptionFilter(optional_project(project), parse_event_types(kinds))
        parts = parts_of(request)
        await check_project(parts.database, where.project)
        field = "after"
        if (last := last_event_id(request)) is not None:
            field, after = LAST_EVENT_ID, last
        elif since is not None:
            after = await position_before(parts.database, parse_moment(since, "since"))
        watch = watch_of(request, where.project)
        begin = await parts.event_tail.begin(after, field)
        return parts.event_tail.streamed(begin, where, {"Hourbook-Position": str(begin)}, watch)

    @read(
        "/bookings/{booking:uuid}/history",
        "History of a booking",
        in_json(HistoryPage, also=(NDJSON, CSV)),
        somewhere(Right.NAMES),
    )
    async def booking(
        self, request: AnyRequest, booking: BookingId, asked: NamedDependency[HistoryQuery]
    ) -> EncodedResponse[bytes]:
        """`{id, position, history: [{position, version, at, actor, type, reason, event}], next}`: who did what with
        the booking, when and why, the oldest first.

        `at` is the instant of the decision, `event` the stored JSON. `next` is the `after` of the next page, null on
        the last page. As application/x-ndjson or text/csv: one line for each event."""
        return await answer_history(request, "booking", str(booking), asked, seen(request))

    @read(
        "/resources/{grant:uuid}/history",
        "History of a grant",
        in_json(HistoryPage, also=(NDJSON, CSV)),
        somewhere(Right.NAMES),
    )
    async def grant(
        self, request: AnyRequest, grant: GrantId, asked: NamedDependency[HistoryQuery]
    ) -> EncodedResponse[bytes]:
        """`{id, position, history: [{position, version, at, actor, type, reason, event}], next}`: who did what with
        the grant, when and why, the oldest first.

        `at` is the instant of the decision, `event` the stored JSON. `next` is the `after` of the next page, null on
        the last page. As application/x-ndjson or text/csv: one line for each event."""
        return await answer_history(request, "grant", str(grant), asked, seen(request))

    @read(
        "/clusters/{cluster:str}/history",
        "History of a cluster",
        in_json(HistoryPage, also=(NDJSON, CSV)),
        on_cluster(Right.NAMES),
    )
    async def cluster(
        self, request: AnyRequest, cluster: ClusterId, asked: NamedDependency[HistoryQuery]
    ) -> EncodedResponse[bytes]:
        """`{id, position, history: [{position, version, at, actor, type, reason, event}], next}`: who did what with
        the cluster, when and why, the oldest first.

        `at` is the instant of the decision, `event` the stored JSON. `next` is the `after` of the next page, null on
        the last page. As application/x-ndjson or text/csv: one line for each event."""
        name = checked_cluster(cluster, "id")
        return await answer_history(request, "cluster", name, asked, Sight(roots=(name,)))


async def find_history(request: AnyRequest, where: EventFilter, limit: int, as_of: str | None) -> History:
    """At most `limit` matching events, of the history as it is now, or as it was with `as_of`."""
    parts = parts_of(request)
    last = POSITION_MAX if as_of is None else (await parts.past.parse_for_events(as_of)).position
    return await read_found(parts.database, where, limit, last)


async def answer_whole(
    request: AnyRequest, where: EventFilter, form: Form, as_of: str | None
) -> StreamedResponse[bytes]:
    """All matching events, as text of any length. An error is raised before the first byte is sent."""
    first = await find_history(request, where, BATCH, as_of)
    where = msgspec.structs.replace(where, before=min(where.before, first.head + 1))
    headers = {"Hourbook-Position": str(first.head), **BY_ACCEPT}
    pieces = batches(parts_of(request).database, where, form, first, watch_of(request, where.project))
    return StreamedResponse(pieces, media_type=form.media_type, headers=headers)


async def answer_history(
    request: AnyRequest, kind: str, entity: str, query: HistoryQuery, within: Sight
) -> EncodedResponse[bytes]:
    form = form_of(request, query.bom)
    where = EventFilter(entity=entity, after=query.after, within=within)
    try:
        history = await find_history(request, where, query.limit or PAGE_LIMIT, query.as_of)
    except UnknownId:
        raise UnknownId("id", kind, entity) from None
    if form is not None:
        return respond(reply_with(history, form.head + form.lines(history.events)), form.media_type)
    entries = [lines.history_entry(event) for event in history.events]
    body = {"id": entity, "position": history.head, "history": entries, "next": history.following}
    return respond(reply_with(history, msgspec.json.encode(body)))


async def batches(
    database: Database, where: EventFilter, form: Form, history: History, watch: Watch | None = None
) -> AsyncGenerator[bytes]:
    """The lines of all matching events, from `history`, the first batch, on. It holds one batch at a time. Raises
    AnswerBroken if the reader loses the right meanwhile; so the answer is not taken for a whole one."""
    yield form.head + form.lines(history.events)
    while history.following is not None:
        if watch is not None and ((sight := await watch()) is None or not sight.covers(where.within)):
            raise AnswerBroken("the reader may not see all of it any more")
        where = msgspec.structs.replace(where, after=history.following)
        history = await again(partial(read_found, database, where, BATCH))
        yield form.lines(history.events)


def form_of(request: AnyRequest, bom: str | None) -> Form | None:
    """The form that the client prefers to JSON, None for JSON. Raises InvalidField for `bom` without a table."""
    form = next((form for form in FORMS if preferred(request, form.media_type)), None)
    mark = parse_bom(bom, form is not None and form.media_type == CSV)
    return form and form._replace(head=mark + form.head)


def reply_with(history: History, body: bytes) -> Reply:
    """A page of the history, as the text `body`."""
    return Reply(history.head, body, following=None if history.following is None else str(history.following))
