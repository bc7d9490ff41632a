"""The bookings of an iCalendar feed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import NAMESPACE_URL, uuid5

import msgspec

from services.query.answers.answers import Reply, matches
from services.query.database import Database, live
from services.query.questions.feed import Feed
from services.query.render.ics import Booked, Note, render
from services.query.views.overlapping import overlaps
from shared.errors import UnknownId
from shared.events import decode_envelope
from shared.hours import instant_of
from shared.names import composed, spellings
from shared.postgres import Reader, Record

EVENTS_MAX = 5_000
INLINE_MAX = 100  # more events are rendered in a thread


STATE = """
SELECT g.generation, g.position, p.pool FROM generation g
LEFT JOIN pool p ON p.generation = g.generation AND p.id = $1 WHERE g.live
"""
# The subquery chooses the bookings first, so that no more events are read than bookings are shown.
SELECT = f"""
SELECT b.id, b.segment, b.pool_id, b.starts, b.ends, b.servers, b.cores, b.memory, b.tempdisc, b.userdisc, b.datadisc,
    b.share, b.template, b.template_version, b.template_count, b.account, b.actor, b.tentative, b.series, b.created,
    b.last, created.data AS created_data, changed.data AS changed_data
FROM (
    SELECT b.*, p.id AS pool_id, coalesce(b.changed, b.claimed) AS last
    FROM live_booking b JOIN pool p ON p.generation = b.generation AND p.pool = b.pool
    WHERE {{whose}} AND {overlaps("$3", "$4")} AND {{when}} ORDER BY {{order}} LIMIT {{limit}}
) b
JOIN event created ON created.position = b.created
JOIN event changed ON changed.position = b.last
ORDER BY {{order}}
"""
WHOSE = {
    "project": """b.generation = $1 AND b.pool = ANY (ARRAY(
        SELECT w.pool FROM pool w WHERE w.generation = $1 AND w.project = $2))""",
    "cluster": """b.generation = $1 AND b.pool = ANY (ARRAY(
        SELECT w.pool FROM pool w WHERE w.generation = $1 AND w.project = split_part($2, '.', 1)
            AND (w.id = $2 OR starts_with(w.id, $2 || '.'))))""",
    "account": "b.generation = $1 AND b.account = ANY ($2::text[])",
    "account within": """b.generation = $1 AND b.account = ANY ($2::text[])
        AND (p.project = ANY ($6::text[]) OR EXISTS (
            SELECT FROM unnest($7::text[]) AS r (root) WHERE p.id = root OR starts_with(p.id, root || '.')
        ))""",
}
# COMING: bookings that run or will run, the earliest first. OVER: bookings that have ended, the latest first. No index
# is read by the condition of OVER, as it is written: an index is read by the period.
COMING = {"when": "b.ends > $5::timestamptz", "order": "b.starts, b.id, b.segment"}
OVER = {"when": "b.ends - $5::timestamptz <= interval '0'", "order": "b.ends DESC, b.id DESC, b.segment DESC"}


async def read_feed(database: Database, feed: Feed, etags: str | None, events_max: int = EVENTS_MAX) -> Reply:
    """The calendar, or no body when the client's `etags` name it. Raises UnknownId."""
    async with database.snapshot() as snapshot:
        position, booked, notes = await read_booked(snapshot, feed, events_max)
    facts = msgspec.json.encode([feed.kind, feed.name, booked, notes])
    etag = f'"{blake2b(facts, digest_size=16).hexdigest()}"'
    if etags is not None and matches(etags, etag):
        return Reply(position, None, etag)
    name = f"{composed(feed.name)} at Hourbook"
    if len(booked) <= INLINE_MAX:
        return Reply(position, render(name, booked, notes), etag)
    return Reply(position, await asyncio.to_thread(render, name, booked, notes), etag)


async def read_booked(reader: Reader, feed: Feed, events_max: int) -> tuple[int, list[Booked], list[Note]]:
    """(Position, bookings, notes). When there are more than `events_max` bookings, those that run or will run are
    preferred to those that have ended, and then those nearest to today. The bookings are ordered by start. The notes
    say where bookings are missing. Raises UnknownId."""
    state = live(await reader.fetchrow(STATE, feed.name))
    if state["pool"] is None and feed.kind != "account":
        raise UnknownId("id", feed.kind, feed.name)
    name = spellings(feed.name) if feed.kind == "account" else feed.name
    arguments = [state["generation"], name, *(instant_of(hour) for hour in feed.period), feed.today]
    whose = feed.kind
    if feed.kind == "account" and not feed.within.everything:
        whose = "account within"
        arguments += [feed.within.projects, feed.within.clusters]
    coming, over = [
        booked_in(await reader.fetch(SELECT.format(whose=WHOSE[whose], limit=events_max + 1, **which), *arguments))
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
    """The note about bookings that are missing before or after `moment`. Its id depends on all that it says."""
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
