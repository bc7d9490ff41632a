"""A recurring booking as one thing: its rule, and what has become of each occurrence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.query.answers.answers import ViewResult
from services.query.answers.cache import CacheEntry, Version
from services.query.database import Database, live
from services.query.questions.model import SeriesQuestion
from services.query.render.blocks import render_object
from services.query.render.tables import table
from services.query.views.items import state_of
from services.query.views.search import check_indexed
from shared.events import BookingCancelled, BookingCreated, BookingLapsed, SeriesCreated, decode_event
from shared.hours import hour_of, iso
from shared.postgres import Reader

STATES = ("confirmed", "tentative", "cancelled", "lapsed", "skipped")

# The id of a series is the id of the command that made it, and so of its events.
MADE = """
SELECT g.generation, g.position, x.position AS indexed, e.stream, e.data
FROM generation g CROSS JOIN event_index_head x
LEFT JOIN event e ON e.command_id = $1 AND e.position <= g.position
WHERE g.live ORDER BY e.ordinal
"""
POOL = "SELECT data FROM event WHERE command_id = $1 AND ordinal = 0 AND type = 'SeriesCreated'"
HELD = """
SELECT id, min(starts) AS starts, max(ends) AS ends, bool_or(tentative) AS tentative
FROM live_booking WHERE generation = $1 AND id = ANY ($2::uuid[]) GROUP BY id
"""
# The last event that ended each of these bookings: from the index of the history, and of what is not indexed yet.
ENDED = """
SELECT DISTINCT ON (f.entity) f.entity, e.data FROM (
    SELECT b.entity, i.position FROM unnest($1::text[]) AS b (entity) CROSS JOIN LATERAL (
        SELECT n.position FROM event_index n
        WHERE n.entity = b.entity AND n.position <= $2 AND n.type IN ('BookingCancelled', 'BookingLapsed')
        ORDER BY n.position DESC LIMIT 1
    ) i
    UNION ALL
    SELECT d.entity, d.position FROM described_events($3, $2 + 1) d
    WHERE d.entity = ANY ($1::text[]) AND d.type IN ('BookingCancelled', 'BookingLapsed')
) f JOIN event e ON e.position = f.position ORDER BY f.entity, f.position DESC
"""


async def pool_of_series(database: Database, series: UUID) -> str | None:
    """The pool that a series books; None if there is no such series."""
    record = await database.fetchrow(POOL, series)
    made = None if record is None else decode_event(record["data"])
    return made.pool if isinstance(made, SeriesCreated) else None


async def read_series(database: Database, question: SeriesQuestion) -> ViewResult:
    """`{id, project, pool, account, rrule, timezone, first, position, occurrences: [{booking, start, end, state,
    refused}], counts}`."""
    async with database.snapshot() as snapshot:
        records = live(await snapshot.fetch(MADE, question.series))
        generation, position, indexed, project, _ = records[0]
        events = [decode_event(record["data"]) for record in records if record["data"] is not None]
        if not events or not isinstance(made := events[0], SeriesCreated):
            raise question.unknown()
        booked = [event for event in events if isinstance(event, BookingCreated)]
        found = await _found(snapshot, generation, position, indexed, [event.booking for event in booked])
    planned = [(event.start, found[event.booking]) for event in booked]
    planned += [
        (one.start, _row(None, hour_of(one.start), hour_of(one.end), "skipped", one.why)) for one in made.skipped
    ]
    planned.sort(key=lambda one: one[0])
    rows = [row for _, row in planned]
    version = Version(generation, position)
    if question.csv:
        return ViewResult(position, CacheEntry(version, table(rows, ["booking", "start", "end", "state", "refused"])))
    opening = {
        "id": str(question.series),
        "project": project,
        "pool": made.pool,
        "account": made.account,
        "rrule": made.rrule,
        "timezone": made.timezone,
        "first": iso(hour_of(planned[0][0])),
    }
    counts = {state: sum(row["state"] == state for row in rows) for state in STATES}
    return ViewResult(position, CacheEntry(version, *render_object(opening, {"occurrences": rows, "counts": counts})))


async def _found(
    reader: Reader, generation: int, position: int, indexed: int, bookings: Sequence[UUID]
) -> Mapping[UUID, dict[str, Any]]:
    """What has become of each of the bookings. Raises IndexBehind."""
    rows = {
        booking: _row(str(booking), hour_of(starts), hour_of(ends), state_of(tentative))
        for booking, starts, ends, tentative in await reader.fetch(HELD, generation, bookings)
    }
    if gone := [str(booking) for booking in bookings if booking not in rows]:
        check_indexed(position - indexed)
        for entity, data in await reader.fetch(ENDED, gone, position, indexed):
            ended = decode_event(data)
            assert isinstance(ended, BookingCancelled | BookingLapsed), "the statement asks for no other type"
            state = "lapsed" if isinstance(ended, BookingLapsed) else "cancelled"
            rows[UUID(entity)] = _row(entity, hour_of(ended.start), hour_of(ended.end), state)
    return rows


def _row(booking: str | None, start: int, end: int, state: str, refused: str | None = None) -> dict[str, Any]:
    return {"booking": booking, "start": iso(start), "end": iso(end), "state": state, "refused": refused}
