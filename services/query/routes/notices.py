"""What time has brought: the notices in pages, and live as server-sent events."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from services.query.database import Database
from services.query.live.sources import last_notice
from services.query.live.tail import LAST_EVENT_ID, Tail, Wanted
from services.query.questions.parameters import checked_project, parse_names, parse_position
from services.query.routes.calendars import AnyRequest, AsOfText, past_of, refuse_unknown
from services.query.views.history import check_after, check_project
from shared.event_store import POSITION_MAX
from shared.http.responses import Encoded, Streamed
from shared.notices import KINDS

After = Annotated[int | None, QueryParameter(ge=0, le=POSITION_MAX, description="Only notices after this one.")]
Kinds = Annotated[str | None, QueryParameter(name="type", description="Kinds of notices with commas between them.")]


class Notices(Controller):
    """What time has brought."""

    database: ClassVar[Database]
    tail: ClassVar[Tail]

    @get("/notices")
    async def notices(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        kinds: Kinds = None,
        after: After = None,
        as_of: AsOfText = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    ) -> Encoded[bytes]:
        """`{notices: [{seq, notice}], next}`: notices in the order in which they were made; `next` is the `after` of
        what follows, if anything. `as_of`: those that had been made then."""
        refuse_unknown(request, frozenset({"project", "type", "after", "as_of", "limit"}))
        then = None if as_of is None else (await past_of(request).moment(as_of)).now
        wanted = None if project is None else checked_project(project)
        types = None if kinds is None else parse_names(kinds, "type", tuple(KINDS), ())
        records = await self.database.fetch(NOTICES, after or 0, limit + 1, wanted, types, then)
        if not records:
            check_after(after or 0, await last_notice(self.database), "notice")
            await check_project(self.database, wanted)
        page = [{"seq": record["seq"], "notice": msgspec.Raw(record["data"].encode())} for record in records[:limit]]
        following = page[-1]["seq"] if len(records) > limit else None
        body = msgspec.json.encode({"notices": page, "next": following})
        return Encoded(body, headers={"Cache-Control": "private, no-cache"})

    @get("/notices/stream")
    async def stream(
        self, request: AnyRequest, project: FromQuery[str | None] = None, kinds: Kinds = None, after: After = None
    ) -> Streamed[bytes]:
        """Server-sent events: `id` is the notice's seq, `data` is `{seq, notice}`. It begins after `Last-Event-ID`, or
        `after`, or now."""
        refuse_unknown(request, frozenset({"project", "type", "after"}))
        types = None if kinds is None else frozenset(parse_names(kinds, "type", tuple(KINDS), ()))
        wanted = Wanted(None if project is None else checked_project(project), types)
        await check_project(self.database, wanted.project)
        field = "after"
        if (last := request.headers.get("Last-Event-ID")) is not None:
            field, after = LAST_EVENT_ID, parse_position(last, LAST_EVENT_ID)
        begin = await self.tail.begin(after, field)
        return self.tail.streamed(begin, wanted, {})


NOTICES = """
SELECT seq, data FROM notice
WHERE seq > $1 AND ($3::text IS NULL OR project = $3) AND ($4::text[] IS NULL OR kind = ANY ($4))
    AND ($5::timestamptz IS NULL OR greatest(due, made_at) <= $5)
ORDER BY seq LIMIT $2
"""
