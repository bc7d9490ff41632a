"""From a question to a response: the form of the answer, the past on request, the headers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from litestar.datastructures.headers import Accept

from services.query.answers.answers import Question, Reply, View, pieces_of
from services.query.answers.long import Long
from services.query.as_of_database import AsOf
from services.query.database import Database
from services.query.questions.calendar import CalendarQuery
from services.query.questions.parameters import parse_bom, parse_position
from services.query.routes.forms import CSV
from services.query.routes.needs import fresh_of
from services.query.routes.parameters import AS_OF, BOM
from services.query.routes.parts import AnyRequest, given_in, parts_of
from services.query.views.pools import cluster_period
from shared.errors import InvalidField
from shared.hours import Period, parse_zone
from shared.http.responses import JSON, EncodedResponse, StreamedResponse

FRESH = {"Cache-Control": "private, no-cache"}
BY_ACCEPT = {**FRESH, "Vary": "Accept"}  # the form of the answer depends on the header Accept
LAST_EVENT_ID = "Last-Event-ID"
REFUSED = re.compile(r";\s*q=0(\.0*)?\s*(;|$)", re.IGNORECASE)  # a weight of 0 means: not this one


async def answered(request: AnyRequest, question: Question, view: View, min_position: int) -> EncodedResponse[bytes]:
    """The answer to a question: of now, through the cache, or of the past that `as_of` names."""
    parts = parts_of(request)
    etags = request.headers.get("If-None-Match")
    given = given_in(request)
    bom = parse_bom(given[BOM], question.csv) if BOM in given else b""
    if (as_of := await asked_as_of(request)) is not None:
        reply = await parts.past.answer(question, view, as_of, etags, request.receive)
    else:
        fresh = fresh_of(request, question.scope)
        reply = await parts.answers.answer(question, view, etags, min_position, fresh)
    return respond(reply, CSV if question.csv else JSON, bom)


async def asked_as_of(request: AnyRequest) -> AsOf | None:
    """The past position that `as_of` names, None without it. Raises InvalidField, NotYetVisible."""
    given = given_in(request)
    if (text := given.get(AS_OF)) is None:
        return None
    if "min_position" in given:
        raise InvalidField(AS_OF, "give either as_of or min_position, not both")
    return await parts_of(request).past.parse(text)


async def now_or_then(request: AnyRequest) -> datetime:
    """The current time, or with `as_of` the time at that position."""
    as_of = await asked_as_of(request)
    return datetime.now(UTC) if as_of is None else as_of.now


@contextlib.asynccontextmanager
async def asked_database(request: AnyRequest) -> AsyncIterator[Database]:
    """The database in its newest state, or with `as_of` in its state at that position."""
    parts, as_of = parts_of(request), await asked_as_of(request)
    if as_of is None:
        yield parts.database
        return
    async with parts.past.reading(as_of, request.receive) as reader:
        yield reader


async def own_period(request: AnyRequest, query: CalendarQuery) -> Period | None:
    """The cluster's own period, for a query about a cluster that has no range; else None."""
    field, pool = query.pool()
    parse_zone(query.tz)
    if query.period is not None or field == "project":
        return None
    async with asked_database(request) as database:
        return await cluster_period(database, pool, parts_of(request).positions, query.min_position)


def last_event_id(request: AnyRequest) -> int | None:
    """The number in the header Last-Event-ID, None without it. Raises InvalidField."""
    text = request.headers.get(LAST_EVENT_ID)
    return None if text is None else parse_position(text, LAST_EVENT_ID)


def preferred(request: AnyRequest, media_type: str) -> bool:
    """Whether the client prefers `media_type` to JSON. A client that accepts neither, or whose Accept header cannot be
    read, gets JSON."""
    accept = request.headers.get("Accept", "")
    if media_type not in accept:
        return False
    try:
        wanted = ",".join(one for one in accept.split(",") if not REFUSED.search(one))
        return Accept(wanted).best_match([JSON, media_type]) == media_type
    except (ValueError, OverflowError):  # a weight that is no number of RFC 9110, as 1e999
        return False


def respond(reply: Reply, media_type: str = JSON, bom: bytes = b"") -> EncodedResponse[bytes]:
    """200 with the body after `bom`, or 304 without one."""
    headers = {"Hourbook-Position": str(reply.position), **BY_ACCEPT}
    if reply.etag is not None:
        headers["ETag"] = reply.etag
    if reply.following is not None:
        headers["Hourbook-Next"] = reply.following
    if reply.body is None:
        return EncodedResponse(b"", status_code=304, headers=headers, media_type=media_type)
    if isinstance(reply.body, Long) and reply.body.windows:
        return StreamedResponse(
            pieces_of(reply.body, bom), headers=headers, media_type=media_type, held=reply.body.size
        )
    if isinstance(reply.body, Long):
        return EncodedResponse(bom + reply.body.head, reply.body.tail, headers=headers, media_type=media_type)
    return EncodedResponse(bom + reply.body if bom else reply.body, headers=headers, media_type=media_type)
