"""What was refused: who tried what, when, and why not. A log apart from the history, in the order it was written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from services.query.database import Database
from services.query.questions.parameters import asked, parse_bom, parse_moment
from services.query.render.tables import table
from services.query.routes.calendars import CSV, AnyRequest, AsOfText, BomText, past_of, preferred, refuse_unknown
from services.query.views.history import check_after
from shared.event_store import POSITION_MAX
from shared.http.responses import JSON, Encoded
from shared.names import asked_name, spellings

if TYPE_CHECKING:
    from asyncpg import Record

Order = Annotated[Literal["oldest", "newest"], QueryParameter(description="Which come first.")]
NAMES = ("id", "at", "project", "actor", "command", "asked", "reason", "code", "detail", "facts", "dropped")


class Refusals(Controller):
    """The log of refusals."""

    database: ClassVar[Database]

    @get("/refusals")
    async def refusals(
        self,
        request: AnyRequest,
        project: FromQuery[str | None] = None,
        actor: FromQuery[str | None] = None,
        code: FromQuery[str | None] = None,
        since: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        as_of: AsOfText = None,
        bom: BomText = None,
        order: Order = "oldest",
        after: Annotated[int | None, QueryParameter(ge=0, le=POSITION_MAX)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    ) -> Encoded[bytes]:
        """`{refusals: [{id, at, project, actor, command, asked, reason, code, detail, facts, dropped}], next}`: what
        was refused, the `oldest` or the `newest` first; `next` is the `after` of what follows, if anything. `code` is
        the problem's, and `dropped` how many before this one could not be kept. As text/csv: the same, and
        `Hourbook-Next`. It shows about a second after the answer, and is deleted after a time."""
        refuse_unknown(
            request,
            frozenset({"project", "actor", "code", "since", "until", "as_of", "bom", "order", "after", "limit"}),
        )
        csv = preferred(request, CSV)
        mark = parse_bom(bom, csv)
        newest = order == "newest"
        then = None if as_of is None else (await past_of(request).moment(as_of)).now
        if after is None:
            after = POSITION_MAX if newest else 0
        records = await read_refusals(
            self.database,
            newest,
            after,
            limit + 1,
            asked(project, "project"),
            None if actor is None else spellings(asked_name(actor, "actor")),
            asked(code, "code"),
            None if since is None else parse_moment(since, "since"),
            None if until is None else parse_moment(until, "until"),
            then,
        )
        if not records and not newest:
            check_after(after, await last_refusal(self.database), "refusal")
        page = [refusal_of(record) for record in records[:limit]]
        following = page[-1]["id"] if len(records) > limit else None
        headers = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
        if following is not None:
            headers["Hourbook-Next"] = str(following)
        if csv:
            return Encoded(mark + table(page, NAMES), headers=headers, media_type=CSV)
        return Encoded(msgspec.json.encode({"refusals": page, "next": following}), headers=headers, media_type=JSON)


# {0} is > or <, {1} ASC or DESC.
REFUSALS = """
SELECT id, at, project, actor, command, asked, reason, code, detail, facts, dropped FROM refusal
WHERE id {0} $1 AND ($3::text IS NULL OR project = $3) AND ($4::text[] IS NULL OR actor = ANY ($4))
    AND ($5::text IS NULL OR code = $5) AND ($6::timestamptz IS NULL OR at >= $6)
    AND ($7::timestamptz IS NULL OR at < $7) AND ($8::timestamptz IS NULL OR at <= $8)
ORDER BY id {1} LIMIT $2
"""


async def read_refusals(
    database: Database,
    newest: bool,
    after: int,
    limit: int,
    project: str | None,
    actor: Sequence[str] | None,
    code: str | None,
    since: datetime | None,
    until: datetime | None,
    then: datetime | None,
) -> Sequence[Record]:
    """A walk over the log, which is bounded; no index is kept for it, so that it costs little to write."""
    found = REFUSALS.format(*(("<", "DESC") if newest else (">", "ASC")))
    return await database.fetch(found, after, limit, project, actor, code, since, until, then)


LAST = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('refusal', 'id')::regclass), 0) AS id"


async def last_refusal(database: Database) -> int:
    """The id of the last one that was logged, whether it is still there or not."""
    record = await database.fetchrow(LAST)
    assert record is not None
    last: int = record["id"]
    return last


def refusal_of(record: Record) -> dict[str, object]:
    asked, facts = msgspec.Raw(record["asked"].encode()), msgspec.Raw(record["facts"].encode())
    return {**record, "asked": asked, "facts": facts}
