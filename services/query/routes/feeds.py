"""iCalendar feeds: what is booked in a project, in a cluster, or by an account, for programs that show calendars."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import msgspec
from litestar import Controller, get
from litestar.params import FromPath

from services.query.answers.answers import Answer, matches, visible
from services.query.answers.freshness import Positions
from services.query.database import Database, live
from services.query.render.ics import Booked, Note, render
from services.query.routes.calendars import (
    AS_OF_PARAMETERS,
    TAKES_AS_OF,
    AnyRequest,
    MinPosition,
    RangeText,
    ZoneText,
    as_asked,
    now_or_then,
    refuse_unknown,
    respond,
)
from shared.errors import UnknownId
from shared.events import decode_envelope
from shared.hours import Period, hour_of, instant_of, parse_range, parse_zone
from shared.http.responses import Encoded
from shared.names import asked_name, composed, is_pool_id, spellings
from shared.postgres import Reader

if TYPE_CHECKING:
    from asyncpg import Record

CALENDAR = "text/calendar"  # in UTF-8, which is said where it is sent
SUFFIX = ".ics"
BEFORE, AFTER = timedelta(days=90), timedelta(days=366)
EVENTS_MAX = 5_000
INLINE_MAX = 100  # more are rendered beside the event loop


class Feed(NamedTuple):
    """What a feed is of: `kind` is project, cluster or account; `name` as it was asked for. What is nearest to `today`
    stays when it is cut."""

    kind: str
    name: str
    period: Period
    today: datetime


class Feeds(Controller):
    """`text/calendar`, with an ETag that holds as long as the bookings in it do."""

    database: ClassVar[Database]
    positions: ClassVar[Positions]
    opt = TAKES_AS_OF
    parameters = AS_OF_PARAMETERS

    @get("/projects/{feed:str}")
    async def project(
        self,
        request: AnyRequest,
        feed: FromPath[str],
        period: RangeText = None,
        tz: ZoneText = "UTC",
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """`/projects/{id}.ics`: the bookings in the project and in all its clusters, as an iCalendar; without a range
        from 90 days ago to a year ahead. An event a booking, with the same UID for ever. It has room for 5,000, those
        nearest to today, and says where some are missing."""
        return await self._answer(request, "project", feed, period, tz, min_position)

    @get("/clusters/{feed:str}")
    async def cluster(
        self,
        request: AnyRequest,
        feed: FromPath[str],
        period: RangeText = None,
        tz: ZoneText = "UTC",
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """`/clusters/{id}.ics`: the bookings in the cluster and in those within it, as for a project."""
        return await self._answer(request, "cluster", feed, period, tz, min_position)

    @get("/accounts/{feed:str}")
    async def account(
        self,
        request: AnyRequest,
        feed: FromPath[str],
        period: RangeText = None,
        tz: ZoneText = "UTC",
        min_position: MinPosition = 0,
    ) -> Encoded[bytes]:
        """`/accounts/{account}.ics`: what the account has booked, in all projects, as for a project. One that has
        booked nothing has an empty calendar."""
        return await self._answer(request, "account", feed, period, tz, min_position)

    async def _answer(
        self, request: AnyRequest, kind: str, file: str, period: str | None, tz: str, min_position: int
    ) -> Encoded[bytes]:
        refuse_unknown(request, frozenset({"range", "tz", "min_position"}))
        feed = parse_feed(kind, file, period, tz, await now_or_then(request))
        etags = request.headers.get("If-None-Match")
        async with as_asked(request, self.database) as database:
            answer = await visible(self.positions, min_position, lambda: read_feed(database, feed, etags))
        return respond(answer, CALENDAR)


def parse_feed(kind: str, file: str, period: str | None, tz: str, now: datetime) -> Feed:
    """Raises UnknownId, InvalidField."""
    if not file.endswith(SUFFIX):
        raise UnknownId("id", "calendar", file)
    name = asked_name(file.removesuffix(SUFFIX), "id")
    if kind != "account" and (not is_pool_id(name) or ("." in name) != (kind == "cluster")):
        raise UnknownId("id", kind, name)
    zone = parse_zone(tz)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)  # so that it is the same all day
    if period is not None:
        return Feed(kind, name, parse_range(period, zone), today)
    return Feed(kind, name, Period(hour_of(today - BEFORE), hour_of(today + AFTER)), today)


STATE = """
SELECT g.generation, g.position, p.pool FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live
"""
# The bookings are chosen first, and no more than that many of the events are looked at.
SELECT = """
SELECT b.id, b.segment, b.pool_id, b.starts, b.ends, b.servers, b.cores, b.memory, b.tempdisc, b.userdisc, b.datadisc,
    b.share, b.template, b.template_version, b.template_count, b.account, b.actor, b.tentative, b.series, b.created,
    b.last, created.data AS created_data, changed.data AS changed_data
FROM (
    SELECT b.*, p.id AS pool_id, coalesce(b.changed, b.claimed) AS last
    FROM live_booking b JOIN pool p ON p.generation = b.generation AND p.pool = b.pool
    WHERE {whose} AND b.starts < $4 AND {when} ORDER BY {order} LIMIT {limit}
) b
JOIN event created ON created.position = b.created
JOIN event changed ON changed.position = b.last
ORDER BY {order}
"""
WHOSE = {
    "project": "p.generation = $1 AND p.project = $2",
    "cluster": "p.generation = $1 AND (p.id = $2 OR starts_with(p.id, $2 || '.'))",
    "account": "b.generation = $1 AND b.account = ANY ($2::text[])",
}
# What runs or comes, the earliest first, and what is over, the latest first.
COMING = {"when": "b.ends > greatest($3, $5::timestamptz)", "order": "b.starts, b.id, b.segment"}
OVER = {"when": "b.ends > $3 AND b.ends <= $5::timestamptz", "order": "b.ends DESC, b.id DESC, b.segment DESC"}


async def read_feed(database: Database, feed: Feed, etags: str | None, events_max: int = EVENTS_MAX) -> Answer:
    """The calendar, or no body where `etags` names it. Raises UnknownId."""
    async with database.snapshot() as snapshot:
        position, booked, notes = await read_booked(snapshot, feed, events_max)
    facts = msgspec.json.encode([feed.kind, feed.name, booked, notes])
    etag = f'"{blake2b(facts, digest_size=16).hexdigest()}"'
    if etags is not None and matches(etags, etag):
        return Answer(position, None, etag)
    name = f"{composed(feed.name)} at Hourbook"
    if len(booked) <= INLINE_MAX:
        return Answer(position, render(name, booked, notes), etag)
    return Answer(position, await asyncio.to_thread(render, name, booked, notes), etag)


async def read_booked(reader: Reader, feed: Feed, events_max: int) -> tuple[int, list[Booked], list[Note]]:
    """Those nearest to today, in the order of their starts: all that run or come before any that is over. The notes say
    where something is missing. Raises UnknownId."""
    state = live(await reader.fetchrow(STATE, feed.name))
    if state["pool"] is None and feed.kind != "account":
        raise UnknownId("id", feed.kind, feed.name)
    name = spellings(feed.name) if feed.kind == "account" else feed.name
    arguments = (state["generation"], name, *(instant_of(hour) for hour in feed.period), feed.today)
    coming, over = [
        booked_in(await reader.fetch(SELECT.format(whose=WHOSE[feed.kind], limit=events_max + 1, **which), *arguments))
        for which in (COMING, OVER)
    ]
    room = events_max - min(len(coming), events_max)
    notes = []
    if over[room:]:
        notes.append(note_of(feed, over[room].ends, "Earlier bookings are missing", "that ended until then"))
    if coming[events_max:]:
        notes.append(note_of(feed, coming[events_max].starts, "Later bookings are missing", "that begin from then on"))
    booked = sorted([*over[:room], *coming[:events_max]], key=lambda one: (one.starts, one.id, one.segment))
    return state["position"], booked, notes


def note_of(feed: Feed, moment: datetime, summary: str, which: str) -> Note:
    """Known by the feed, the day and what is missing, which is all that it says."""
    day = moment.astimezone(UTC).date()
    says = (
        f"The bookings {which} ({day}, UTC) are not all in this calendar, which has room for those nearest to today. "
        "The calendar of a cluster has fewer, and so has this one of a range: its address with ?range=A,B, two dates."
    )
    return Note(str(uuid5(NAMESPACE_URL, f"hourbook:{feed.kind}:{feed.name}:{summary}:{day}")), day, summary, says)


def booked_in(records: Sequence[Record]) -> list[Booked]:
    return [_booked(record) for record in records]


def _booked(record: Record) -> Booked:
    id_, segment, pool, starts, ends, *counts, share, template, version, count = tuple(record)[:-8]
    account, actor, tentative, series, created, changed, created_data, changed_data = tuple(record)[-8:]
    return Booked(
        id=str(id_),
        segment=segment,
        pool=pool,
        starts=starts,
        ends=ends,
        counts=tuple(counts),
        share=share,
        template=template,
        template_version=version,
        template_count=count,
        account=account,
        actor=actor,
        tentative=tentative,
        series=None if series is None else str(series),
        created=created,
        changed=changed,
        created_at=decode_envelope(created_data).instant,
        changed_at=decode_envelope(changed_data).instant,
    )
