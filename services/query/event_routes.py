"""The history over HTTP: in pages, one by one, and live as server-sent events."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from services.query.database import Database
from services.query.history import History, position_before, read_event, read_events, read_project_events
from services.query.params import checked_project, parse_event_types, parse_moment, parse_position
from services.query.routes import POSITION_MAX, AnyRequest, preferred, refuse_unknown, respond
from services.query.tail import Tail, Wanted
from services.query.views import Answer
from shared.answer import Encoded, Streamed
from shared.errors import InvalidField, UnknownId

NDJSON, SERVER_SENT = "application/x-ndjson", "text/event-stream"


class Events(Controller):
    """History, in order."""

    database: ClassVar[Database]
    tail: ClassVar[Tail]

    @get("/events")
    async def events(
        self,
        request: AnyRequest,
        after: Annotated[int, QueryParameter(ge=0, le=POSITION_MAX)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
        project: FromQuery[str | None] = None,
    ) -> Encoded[bytes]:
        """`{position, events: [{position, version, event}], next}`: the events after a position. `position` is the
        store's last one, `event` what is stored, byte for byte; `next` is the `after` of what follows, if anything. As
        application/x-ndjson: one event a line, and `Hourbook-Next`."""
        refuse_unknown(request, frozenset({"after", "limit", "project"}))
        if project is None:
            history = await read_events(self.database, after, limit)
        else:
            history = await read_project_events(self.database, checked_project(project), after, limit)
        return respond_with(history, preferred(request, NDJSON))

    @get("/events/{position:int}")
    async def event(self, request: AnyRequest, position: FromPath[int]) -> Encoded[bytes]:
        """`{position, version, event}`, which never changes."""
        refuse_unknown(request, frozenset())
        if not 0 < position <= POSITION_MAX:
            raise UnknownId("position", "event", str(position))
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
        kinds: Annotated[
            str | None, QueryParameter(name="type", description="Event types with commas between them.")
        ] = None,
    ) -> Streamed[bytes]:
        """Server-sent events: `id` is the position, `data` is `{position, version, event}`. Each is sent when the read
        models show it. It begins after `Last-Event-ID` (a browser sends it by itself when it connects again), or
        `after`, or at `since`, or now; a heartbeat carries the last position looked at."""
        refuse_unknown(request, frozenset({"after", "since", "project", "type"}))
        if after is not None and since is not None:
            raise InvalidField("since", "give either after or since, not both")
        wanted = Wanted(None if project is None else checked_project(project), parse_event_types(kinds))
        if (last := request.headers.get("Last-Event-ID")) is not None:
            after = parse_position(last, "Last-Event-ID")
        elif since is not None:
            after = await position_before(self.database, parse_moment(since, "since"))
        begin = await self.tail.begin(after)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Hourbook-Position": str(begin)}
        return Streamed(self.tail.follow(begin, wanted), media_type=SERVER_SENT, headers=headers)


def respond_with(history: History, lines: bool) -> Encoded[bytes]:
    following = None if history.following is None else str(history.following)
    if lines:
        body = msgspec.json.Encoder().encode_lines(history.events)
        return respond(Answer(history.head, body, following=following), NDJSON)
    answer = {"position": history.head, "events": history.events, "next": history.following}
    return respond(Answer(history.head, msgspec.json.encode(answer), following=following))
