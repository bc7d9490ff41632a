"""The log of refused commands: who tried what, when, and why it was refused. It is not part of the history."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from services.query.documents import events
from services.query.questions.events import RefusalFilter
from services.query.questions.parameters import optional_moment, optional_name, parse_bom
from services.query.render.tables import table
from services.query.routes.answering import BY_ACCEPT, preferred
from services.query.routes.forms import CSV, in_json
from services.query.routes.needs import on_some_project, seen
from services.query.routes.parameters import Actor, AsOfText, BomText, NumberedLimit, Project, Since, Until
from services.query.routes.parts import AnyRequest, parts_of
from services.query.routes.reads import read
from services.query.views.refusals import REFUSAL_NAMES, read_refusals
from shared.event_store import POSITION_MAX
from shared.http.responses import JSON, EncodedResponse
from shared.identity.roles import Right
from shared.names import asked_name, spellings

Order = Annotated[Literal["oldest", "newest"], QueryParameter(description="Which refusals come first.")]
Code = Annotated[str | None, QueryParameter(description="Only refusals with this code, as `capacity_exceeded`.")]
After = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=POSITION_MAX, description="Only refusals behind this id in the chosen order: the `next` of a page."
    ),
]


class Refusals(Controller):
    """The log of refused commands."""

    @read(
        "/refusals",
        "Commands that were refused",
        in_json(events.RefusalPage, also=(CSV,)),
        on_some_project(Right.AUDIT),
    )
    async def refusals(
        self,
        request: AnyRequest,
        project: Project = None,
        actor: Actor = None,
        code: Code = None,
        since: Since = None,
        until: Until = None,
        as_of: AsOfText = None,
        bom: BomText = None,
        order: Order = "oldest",
        after: After = None,
        limit: NumberedLimit = 100,
    ) -> EncodedResponse[bytes]:
        """`{refusals: [{id, at, project, actor, command, asked, reason, code, detail, facts, dropped}], next}`.

        `asked` is the body of the command, `reason` the one that it gave. `code`, `detail` and `facts` are those of the
        problem document that answered it. `dropped` is the number of refusals before this one that could not be logged.
        `next` is the `after` of the next page, null on the last page.

        Only refusals of projects in which you may audit are listed. A refusal is listed about a second after the
        command was answered. Old refusals are deleted (by default after 90 days, or when there are more than a
        million). As text/csv: one row for each refusal; the header `Hourbook-Next`
        is the `after` of the next page."""
        csv, newest = preferred(request, CSV), order == "newest"
        mark, parts = parse_bom(bom, csv), parts_of(request)
        at_most = None if as_of is None else (await parts.past.parse_for_events(as_of)).now
        if after is None:
            after = POSITION_MAX if newest else 0
        where = RefusalFilter(
            newest_first=newest,
            after=after,
            project=optional_name(project, "project"),
            actor=None if actor is None else spellings(asked_name(actor, "actor")),
            code=optional_name(code, "code"),
            since=optional_moment(since, "since"),
            until=optional_moment(until, "until"),
            at_most=at_most,
        )
        page, following = await read_refusals(parts.database, where, seen(request), limit)
        headers = BY_ACCEPT if following is None else {**BY_ACCEPT, "Hourbook-Next": str(following)}
        if csv:
            return EncodedResponse(mark + table(page, REFUSAL_NAMES), headers=headers, media_type=CSV)
        return EncodedResponse(
            msgspec.json.encode({"refusals": page, "next": following}), headers=headers, media_type=JSON
        )
