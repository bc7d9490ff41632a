"""The history over HTTP: in pages, whole as NDJSON or CSV, one by one, of one thing, and live as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated, ClassVar, NamedTuple
from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from services.query.answers.answers import Answer
from services.query.database import Database
from services.query.live.tail import LAST_EVENT_ID, Tail, Wanted
from services.query.questions.parameters import (
    asked,
    checked_cluster,
    checked_project,
    parse_bom,
    parse_event_types,
    parse_moment,
    parse_position,
)
from services.query.routes.calendars import (
    CSV,
    WHOLE_NUMBER,
    AnyRequest,
    AsOfText,
    BomText,
    past_of,
    preferred,
    refuse_unknown,
    respond,
)
from services.query.views import lines
from services.query.views.history import HistoricEvent, History, check_project, position_before, read_event
from services.query.views.search import Sought, read_found
from shared.errors import InvalidField, UnknownId
from shared.event_store import POSITION_MAX
from shared.http.problems import GIVEN_MAX
from shared.http.responses import Encoded, Streamed
from shared.names import asked_name

NDJSON = "application/x-ndjson"
PAGE_LIMIT = 100
BATCH = 1000  # events read at a time for an answer of any length

After = Annotated[int, QueryParameter(ge=0, le=POSITION_MAX, description="Only events after this position.")]
Before = Annotated[int, QueryParameter(ge=0, le=POSITION_MAX, description="Only events before this position.")]
Limit = Annotated[
    int | None, QueryParameter(ge=1, le=10_000, description="How many a page holds; NDJSON and CSV without it: all.")
]
Kinds = Annotated[str | None, QueryParameter(name="type", description="Event types with commas between them.")]
Since = Annotated[str | None, QueryParameter(description="Only events decided at this instant or later.")]
Until = Annotated[str | None, QueryParameter(description="Only events decided before this instant.")]
Account = Annotated[str | None, QueryParameter(description="Only events of this account and of its bookings.")]
PoolName = Annotated[
    str | None, QueryParameter(name="pool", description="Only events that name this project or cluster.")
]
Entity = Annotated[str | None, QueryParameter(description="Only events about this booking, grant, cluster or project.")]

SOUGHT = frozenset(
    {"as_of", "after", "before", "project", "type", "actor", "account", "pool", "entity", "since", "until"}
)


def sought_of(
    after: After = 0,
    before: Before = POSITION_MAX,
    project: FromQuery[str | None] = None,
    kinds: Kinds = None,
    actor: FromQuery[str | None] = None,
    account: Account = None,
    pool: PoolName = None,
    entity: Entity = None,
    since: Since = None,
    until: Until = None,
) -> Sought:
    types = parse_event_types(kinds)
    return Sought(
        after=after,
        before=before,
        project=None if project is None else checked_project(project),
        types=None if types is None else tuple(sorted(types)),
        actor=asked(actor, "actor"),
        account=asked(account, "account"),
        pool=asked(pool, "pool"),
        entity=None if entity is None else asked_name(entity, "entity").lower(),
        since=None if since is None else parse_moment(since, "since"),
        until=None if until is None else parse_moment(until, "until"),
    )


class Form(NamedTuple):
    """A table of events as text: its media type, what stands above it, and some of its lines."""

    media_type: str
    head: bytes
    lines: Callable[[Sequence[HistoricEvent]], bytes]


FORMS = (Form(NDJSON, b"", lines.ndjson), Form(CSV, lines.csv_head(), lines.csv_lines))


class Events(Controller):
    """History, in order."""

    database: ClassVar[Database]
    tail: ClassVar[Tail]
    dependencies = {"sought": Provide(sought_of, sync_to_thread=False)}  # noqa: RUF012  (as the framework names it)

    @get("/events")
    async def events(
        self,
        request: AnyRequest,
        sought: NamedDependency[Sought],
        limit: Limit = None,
        as_of: AsOfText = None,
        bom: BomText = None,
    ) -> Encoded[bytes] | Streamed[bytes]:
        """`{position, events: [{position, version, event}], next}`: the events that are as all parameters say.
        `position` is the store's last one, `event` what is stored, byte for byte; `next` is the `after` of what
        follows, if anything. As application/x-ndjson or text/csv: an event a line, all of them unless there is a
        `limit`, and then `Hourbook-Next`."""
        refuse_unknown(request, SOUGHT | {"limit", "bom"})
        form = form_of(request, bom)
        if form is not None and limit is None:
            return await self._whole(request, sought, form, as_of)
        history = await self._found(request, sought, limit or PAGE_LIMIT, as_of)
        if form is not None:
            return respond(lines_answer(history, form), form.media_type)
        body = {"position": history.head, "events": history.events, "next": history.following}
        return respond(answer_of(history, body))

    async def _found(self, request: AnyRequest, sought: Sought, limit: int, as_of: str | None) -> History:
        """What is sought of the history, or of the history as it was."""
        last = POSITION_MAX if as_of is None else (await past_of(request).moment(as_of)).position
        return await read_found(self.database, sought, limit, last)

    async def _whole(self, request: AnyRequest, sought: Sought, form: Form, as_of: str | None) -> Streamed[bytes]:
        """All that is there now, or was then. What is wrong is said before the first byte."""
        first = await self._found(request, sought, BATCH, as_of)
        sought = msgspec.structs.replace(sought, before=min(sought.before, first.head + 1))
        headers = {"Hourbook-Position": str(first.head), "Cache-Control": "private, no-cache", "Vary": "Accept"}
        return Streamed(batches(self.database, sought, form, first), media_type=form.media_type, headers=headers)

    @get("/events/{position:int}")
    async def event(self, request: AnyRequest, position: FromPath[int]) -> Encoded[bytes]:
        """`{position, version, event}`, which never changes."""
        refuse_unknown(request, frozenset())
        given = request.scope["path"].rpartition("/")[2]
        if not WHOLE_NUMBER.fullmatch(given) or not 0 < position <= POSITION_MAX:
            raise UnknownId("position", "event", given[:GIVEN_MAX])
        history = await read_event(self.database, position)
        return respond(Answer(history.head, msgspec.json.encode(history.events[0])))

    @get("/events/stream")
    async def stream(
        self,
        request: AnyRequest,
        after: Annotated[
            int | None,
            QueryParameter(ge=0, le=POSITION_MAX, description="Begin after this position; 0 is from the first."),
        ] = None,
        since: Annotated[
            str | None, QueryParameter(description="Begin with the first event decided at this instant or later.")
        ] = None,
        project: FromQuery[str | None] = None,
        kinds: Kinds = None,
    ) -> Streamed[bytes]:
        """Server-sent events: `id` is the position, `data` is `{position, version, event}`. Each is sent when the read
        models show it. It begins after `Last-Event-ID` (a browser sends it by itself when it connects again), or
        `after`, or at `since`, or now; a heartbeat carries the last position looked at."""
        refuse_unknown(request, frozenset({"after", "since", "project", "type"}))
        if after is not None and since is not None:
            raise InvalidField("since", "give either after or since, not both")
        wanted = Wanted(None if project is None else checked_project(project), parse_event_types(kinds))
        await check_project(self.database, wanted.project)
        field = "after"
        if (last := request.headers.get("Last-Event-ID")) is not None:
            field, after = LAST_EVENT_ID, parse_position(last, LAST_EVENT_ID)
        elif since is not None:
            after = await position_before(self.database, parse_moment(since, "since"))
        begin = await self.tail.begin(after, field)
        return self.tail.streamed(begin, wanted, {"Hourbook-Position": str(begin)})

    @get("/bookings/{booking:uuid}/history")
    async def booking(
        self,
        request: AnyRequest,
        booking: FromPath[UUID],
        after: After = 0,
        limit: Limit = None,
        as_of: AsOfText = None,
        bom: BomText = None,
    ) -> Encoded[bytes]:
        """`{id, position, history: [{position, version, at, actor, type, reason, event}], next}`: who did what, when
        and why."""
        return await self._history(request, "booking", str(booking), after, limit, as_of, bom)

    @get("/resources/{grant:uuid}/history")
    async def grant(
        self,
        request: AnyRequest,
        grant: FromPath[UUID],
        after: After = 0,
        limit: Limit = None,
        as_of: AsOfText = None,
        bom: BomText = None,
    ) -> Encoded[bytes]:
        """As of a booking."""
        return await self._history(request, "grant", str(grant), after, limit, as_of, bom)

    @get("/clusters/{cluster:str}/history")
    async def cluster(
        self,
        request: AnyRequest,
        cluster: FromPath[str],
        after: After = 0,
        limit: Limit = None,
        as_of: AsOfText = None,
        bom: BomText = None,
    ) -> Encoded[bytes]:
        """As of a booking."""
        return await self._history(request, "cluster", checked_cluster(cluster, "id"), after, limit, as_of, bom)

    async def _history(
        self,
        request: AnyRequest,
        kind: str,
        entity: str,
        after: int,
        limit: int | None,
        as_of: str | None,
        bom: str | None,
    ) -> Encoded[bytes]:
        refuse_unknown(request, frozenset({"after", "limit", "as_of", "bom"}))
        form = form_of(request, bom)
        try:
            history = await self._found(request, Sought(entity=entity, after=after), limit or PAGE_LIMIT, as_of)
        except UnknownId:
            raise UnknownId("id", kind, entity) from None
        if form is not None:
            return respond(lines_answer(history, form), form.media_type)
        deeds = [lines.deed(event) for event in history.events]
        body = {"id": entity, "position": history.head, "history": deeds, "next": history.following}
        return respond(answer_of(history, body))


async def batches(database: Database, sought: Sought, form: Form, history: History) -> AsyncGenerator[bytes]:
    """The lines of all that is sought, from its first batch on; one batch is held at a time."""
    yield form.head + form.lines(history.events)
    while history.following is not None:
        history = await read_found(database, msgspec.structs.replace(sought, after=history.following), BATCH)
        yield form.lines(history.events)


def form_of(request: AnyRequest, bom: str | None) -> Form | None:
    """The form that the reader would rather have than JSON, if any. Raises InvalidField for `bom` without a table."""
    form = next((form for form in FORMS if preferred(request, form.media_type)), None)
    mark = parse_bom(bom, form is not None and form.media_type == CSV)
    return form and form._replace(head=mark + form.head)


def answer_of(history: History, body: object) -> Answer:
    following = None if history.following is None else str(history.following)
    return Answer(history.head, msgspec.json.encode(body), following=following)


def lines_answer(history: History, form: Form) -> Answer:
    following = None if history.following is None else str(history.following)
    return Answer(history.head, form.head + form.lines(history.events), following=following)
