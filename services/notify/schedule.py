"""The schedule of the notices. There are no timers: what is due follows from the read models, and a row says how far
they have been told. Whoever starts late, or again, tells what was due meanwhile; what was told is known by its id.

An hour's notices are made when the projection has reached all that was decided before the hour struck, for a booking
can be cancelled up to then. Bookings that are made or moved when their instant has passed are found by their events.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.hours import hour_of, instant_of
from shared.notices import ORDER, BookingNotice, ConflictNotice, Notice
from shared.postgres import Connection, Record

EVENTS_MAX = 5000  # looked at in one transaction


class Leads(msgspec.Struct, frozen=True):
    """How long before an end, and before a deadline, there is a notice."""

    ending: timedelta
    conflict: timedelta


HEAD = """
SELECT n.told_until, n.position, n.seq, g.position AS shown, h.position AS stored
FROM notice_head n, generation g, event_head h WHERE g.live FOR UPDATE OF n
"""
BEGIN = "UPDATE notice_head SET told_until = $1, position = $2"
MOVE = "UPDATE notice_head SET told_until = $1, position = $2, seq = $3"


class Schedule:
    """`tick` again and again, with the time. One at a time does the work; the head's row sees to that."""

    def __init__(self, leads: Leads) -> None:
        self._leads = leads
        self._struck = (-1, 0)  # an hour, and the store's head when it had struck

    async def tick(self, connection: Connection, now: datetime) -> int:
        """Makes the notices that are due, as far as the projection is; answers how many. More may wait when some were
        made. Raises asyncpg's errors, SerializationError among them when somebody else was faster."""
        async with connection.transaction(isolation="repeatable_read"):
            head = await connection.fetchrow(HEAD)
            if head is None:
                return 0
            hour = hour_of(now)
            if head["told_until"] is None:  # the first start: what was before is not told
                await connection.execute(BEGIN, instant_of(hour), head["shown"])
                return 0
            if self._struck[0] != hour:
                self._struck = (hour, head["stored"])
            told, until = head["told_until"], instant_of(hour)
            if head["shown"] < self._struck[1]:
                until = told  # the hour's own wait until the projection shows all that was decided before it
            position = min(head["shown"], head["position"] + EVENTS_MAX)
            if until <= told and position == head["position"]:
                return 0
            notices = await self._due(connection, told, max(told, until), head["position"], position)
            seq = await store(connection, head["seq"], notices)
            await connection.execute(MOVE, max(told, until), position, seq)
            return seq - int(head["seq"])

    async def _due(
        self, connection: Connection, told: datetime, until: datetime, after: int, position: int
    ) -> list[Notice]:
        moved = [record["booking"] for record in await connection.fetch(MOVED, after, position)]
        bookings = await connection.fetch(BOOKINGS, told, until, self._leads.ending, moved)
        notices = [
            notice
            for booking in bookings
            for notice in booking_notices(booking, told, until, self._leads.ending, moved=booking["id"] in moved)
        ]
        conflicts = await connection.fetch(CONFLICTS, until, self._leads.conflict)
        notices += [conflict_notice(conflict, self._leads.conflict) for conflict in conflicts]
        return sorted(notices, key=lambda notice: (notice.due, ORDER.index(notice.kind), notice.id))


# The bookings that these events made or moved.
MOVED = """
SELECT DISTINCT (stored_json(data) ->> 'booking')::uuid AS booking FROM event
WHERE position > $1 AND position <= $2 AND type IN ('BookingCreated', 'BookingAmended')
"""
# Bookings of which something is due between two instants, and those named; whole, in however many parts they are held.
BOOKINGS = """
WITH live AS (SELECT generation FROM generation WHERE live),
named AS (
    SELECT b.id FROM live JOIN live_booking b USING (generation)
    WHERE (b.starts > $1 AND b.starts <= $2) OR (b.ends > $1 AND b.ends <= $2)
        OR (b.ends > $1 + $3::interval AND b.ends <= $2 + $3::interval)
    UNION
    SELECT unnest($4::uuid[])
)
SELECT b.id, min(b.starts) AS starts, max(b.ends) AS ends, min(b.account) AS account, min(p.id) AS pool,
    min(p.project) AS project
FROM named CROSS JOIN live
JOIN live_booking b ON b.generation = live.generation AND b.id = named.id
JOIN pool p ON p.generation = b.generation AND p.pool = b.pool
GROUP BY b.id
"""
# Hours that are short, one after the other together, whose deadline is near.
CONFLICTS = """
WITH live AS (SELECT generation FROM generation WHERE live),
short AS (
    SELECT s.generation, s.pool, s.hour,
        s.hour - row_number() OVER (PARTITION BY s.pool ORDER BY s.hour) * interval '1 hour' AS run
    FROM live JOIN short_hour s USING (generation) WHERE s.hour >= $1
)
SELECT p.id AS pool, p.project, min(short.hour) AS starts, max(short.hour) + interval '1 hour' AS ends, p.beyond_hours
FROM short JOIN pool p USING (generation, pool)
WHERE p.beyond_hours IS NOT NULL
GROUP BY p.id, p.project, p.beyond_hours, short.run
HAVING min(short.hour) - p.beyond_hours * interval '1 hour' - $2::interval <= $1
"""


def booking_notices(booking: Record, told: datetime, until: datetime, lead: timedelta, *, moved: bool) -> list[Notice]:
    """What is to be told of a booking: all that was due after `told`; of one that was moved, also what was due before,
    as long as it runs."""
    starts, ends = booking["starts"], booking["ends"]
    due = {
        "booking.started": (starts, starts),
        "booking.ending": (max(starts, ends - lead), ends),
        "booking.ended": (ends, ends),
    }
    late = moved and ends > until
    return [
        booking_notice(booking, kind, time, hour)
        for kind, (time, hour) in due.items()
        if time <= until and (time > told or late)
    ]


def booking_notice(booking: Record, kind: str, time: datetime, hour: datetime) -> Notice:
    """`hour` is what the notice is known by: an end that is moved is told again, with its own."""
    booking_id: UUID = booking["id"]
    notice_id = f"{kind.replace('.', '-')}_{booking_id}_{hour:%Y%m%d%H}"
    body = BookingNotice(
        id=notice_id,
        type=kind,
        time=time,
        project=booking["project"],
        booking=str(booking_id),
        pool=booking["pool"],
        account=booking["account"],
        start=booking["starts"],
        end=booking["ends"],
    )
    data = msgspec.json.encode(body).decode()
    return Notice(0, notice_id, kind, booking["project"], str(booking_id), time, data)


def conflict_notice(conflict: Record, lead: timedelta) -> Notice:
    kind, pool, starts = "conflict.approaching", conflict["pool"], conflict["starts"]
    deadline = starts - timedelta(hours=conflict["beyond_hours"])
    notice_id = f"{kind.replace('.', '-')}_{pool.replace('.', '_')}_{starts:%Y%m%d%H}"
    body = ConflictNotice(
        id=notice_id,
        type=kind,
        time=deadline - lead,
        project=conflict["project"],
        pool=pool,
        start=starts,
        end=conflict["ends"],
        deadline=deadline,
    )
    return Notice(0, notice_id, kind, conflict["project"], pool, deadline - lead, msgspec.json.encode(body).decode())


STORE = """
INSERT INTO notice (seq, id, kind, project, subject, due, data)
SELECT $1 + row_number() OVER (ORDER BY n), id, kind, project, subject, due, data::json
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[]) WITH ORDINALITY
    AS t (id, kind, project, subject, due, data, n)
WHERE NOT EXISTS (SELECT FROM notice known WHERE known.id = t.id)
RETURNING seq
"""


async def store(connection: Connection, seq: int, notices: list[Notice]) -> int:
    """Stores those that are not there yet, after `seq`; answers the last one's seq."""
    if not notices:
        return seq
    columns = [
        [getattr(notice, name) for notice in notices] for name in ("id", "kind", "project", "subject", "due", "data")
    ]
    stored = await connection.fetch(STORE, seq, *columns)
    return max((record["seq"] for record in stored), default=seq)
