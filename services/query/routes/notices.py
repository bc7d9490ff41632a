"""Notices: what happened because time went on, as a booking that began. In pages, and live as server-sent events."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from services.query.documents import events
from services.query.questions.events import SubscriptionFilter
from services.query.questions.parameters import optional_project, parse_names
from services.query.routes.answering import FRESH, LAST_EVENT_ID, last_event_id
from services.query.routes.forms import in_json, live
from services.query.routes.needs import seen, somewhere, watch_of
from services.query.routes.parameters import AsOfText, NoticeKinds, NumberedLimit, Project
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.history import check_project
from services.query.views.notices import read_notices
from shared.event_store import POSITION_MAX
from shared.http.responses import EncodedResponse, StreamedResponse
from shared.identity.roles import Right
from shared.notices import KINDS

After = Annotated[
    int | None, QueryParameter(ge=0, le=POSITION_MAX, description="Only notices after the one with this `seq`.")
]


class Notices(Controller):
    """Notices are numbered 1, 2, 3 … by their `seq`."""

    @read("/notices", "Notices, in pages", in_json(events.NoticePage), somewhere(Right.NAMES))
    async def notices(
        self,
        request: AnyRequest,
        project: Project = None,
        kinds: NoticeKinds = None,
        after: After = None,
        as_of: AsOfText = None,
        limit: NumberedLimit = 100,
    ) -> EncodedResponse[bytes]:
        """`{notices: [{seq, notice}], next}`, ordered by `seq`. A notice says that a booking began, ends soon or ended,
        or that the ledger will soon settle an over-commitment.

        `next` is the `after` of the next page, null on the last page. With `as_of`: the notices that had been made
        by then. Only notices of pools whose names you may see are listed."""
        parts = parts_of(request)
        made_until = None if as_of is None else (await parts.past.parse_for_events(as_of)).now
        wanted = optional_project(project)
        types = None if kinds is None else parse_names(kinds, "type", tuple(KINDS), ())
        within = seen(request)
        page, following = await read_notices(parts.database, after or 0, limit, wanted, types, made_until, within)
        return EncodedResponse(msgspec.json.encode({"notices": page, "next": following}), headers=FRESH)

    @read("/notices/stream", "Notices, live", live(events.NumberedNotice), somewhere(Right.NAMES))
    async def stream(
        self, request: AnyRequest, project: Project = None, kinds: NoticeKinds = None, after: After = None
    ) -> StreamedResponse[bytes]:
        """Server-sent events, without an end. `id` is the notice's `seq`, `data` is `{seq, notice}`.

        The stream begins after the `seq` in the header `Last-Event-ID` (browsers send it when they reconnect), else
        after `after`, else with the next notice. Every 15 seconds without one, a heartbeat carries the last `seq` that
        was looked at."""
        types = None if kinds is None else frozenset(parse_names(kinds, "type", tuple(KINDS), ()))
        where = SubscriptionFilter(optional_project(project), types)
        parts = parts_of(request)
        await check_project(parts.database, where.project)
        field = "after"
        if (last := last_event_id(request)) is not None:
            field, after = LAST_EVENT_ID, last
        watch = watch_of(request, where.project)
        begin = await parts.notice_tail.begin(after, field)
        return parts.notice_tail.streamed(begin, where, {}, watch)
