"""The schedule of the notices. A notice is a scheduled notification: a booking starts, ends soon or ends; a deadline
comes near.

There are no timers. The read models say which notices are due, and the row of notice_head says up to which hour they
are made. So a notifier that starts late makes those of the hours between. A notice is never made twice: it has an id.

The notices of an hour are made when the read models have all events from before that hour, because a booking can be
cancelled until then. A booking that is created or amended after its instant has passed is found by its event.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.hours import hour_of, instant_of
from shared.notices import ORDER, BookingNotice, ConflictNotice, Notice
from shared.postgres import Connection, Record

EVENTS_MAX = 5000  # read in one transaction


class LeadTimes(msgspec.Struct, frozen=True):
    """How long before the end of a booking, and before the deadline of a conflict, a notice is due."""

    ending: timedelta
    conflict: timedelta


LOOK = """
SELECT n.told_until, n.position, n.seq, g.position AS projected, h.position AS stored
FROM notice_head n, generation g, event_head h WHERE g.live
"""
HEAD = f"{LOOK} FOR UPDATE OF n"
BEGIN = "UPDATE notice_head SET told_until = $1, position = $2"
MOVE = "UPDATE notice_head SET told_until = $1, position = $2, seq = $3"


class Schedule:
    """Call `tick` again and again. The lock on the row of notice_head lets one process at a time do the work."""

    def __init__(self, lead_times: LeadTimes) -> None:
        self._lead_times = lead_times
        self._hour_began = (-1, 0)  # the present hour, and the store's last position when it was first seen

    async def tick(self, connection: Connection, now: datetime) -> int:
        """Makes the notices that are due at `now`, as far as the read models are, and returns their number. If it is
        not 0, call it again: more may be due. Raises asyncpg's errors: SerializationError if another process was
        faster."""
        look = await connection.fetchrow(LOOK)  # mostly nothing is due, and this takes no lock
        if look is None or (look["told_until"] is not None and self._span(look, now) is None):
            return 0
        async with connection.transaction(isolation="repeatable_read"):
            head = await connection.fetchrow(HEAD)
            if head is None:
                return 0
            if head["told_until"] is None:  # the first start: there are no notices of the time before
                await connection.execute(BEGIN, instant_of(hour_of(now)), head["projected"])
                return 0
            if (span := self._span(head, now)) is None:
                return 0
            until, position = span
            notices = await self._due(connection, head["told_until"], until, head["position"], position)
            seq = await store(connection, head["seq"], notices)
            await connection.execute(MOVE, until, position, seq)
            return seq - int(head["seq"])

    def _span(self, head: Record, now: datetime) -> tuple[datetime, int] | None:
        """Up to which instant notices can be made now, and for the events up to which position; None if that is so
        already. `head` is a row of HEAD."""
        hour = hour_of(now)
        if self._hour_began[0] != hour:
            self._hour_began = (hour, head["stored"])
        made_until, until = head["told_until"], instant_of(hour)
        if head["projected"] < self._hour_began[1]:
            until = made_until  # the read models do not have all events from before this hour yet
        position = min(head["projected"], head["position"] + EVENTS_MAX)
        if until <= made_until and position == head["position"]:
            return None
        return max(made_until, until), position

    async def _due(
        self, connection: Connection, made_until: datetime, until: datetime, after: int, position: int
    ) -> list[Notice]:
        lead = self._lead_times.ending
        changed = [record["booking"] for record in await connection.fetch(CHANGED_BOOKINGS, after, position)]
        named, marked = set(changed), set(changed)
        if until > made_until:
            await connection.execute(PLAN)
            named.update(record["id"] for record in await connection.fetch(DUE, made_until, until, lead))
        bookings = await connection.fetch(BOOKINGS, list(named), until) if named else ()
        notices = [
            notice
            for booking in bookings
            for notice in booking_notices(booking, made_until, until, lead, changed=booking["id"] in marked)
        ]
        touched_after = None if until > made_until else after
        conflicts = await connection.fetch(CONFLICTS, until, self._lead_times.conflict, touched_after)
        notices += [conflict_notice(conflict, self._lead_times.conflict) for conflict in conflicts]
        return sorted(notices, key=lambda notice: (notice.due, ORDER.index(notice.kind), notice.id))


# The bookings that these events created or amended.
CHANGED_BOOKINGS = """
SELECT DISTINCT (stored_json(data) ->> 'booking')::uuid AS booking FROM event
WHERE position > $1 AND position <= $2 AND type IN ('BookingCreated', 'BookingAmended')
"""
PLANNED = "force_custom_plan"  # for these hours: a plan for any hours would not know that few bookings have not ended
PLAN = f"SET LOCAL plan_cache_mode = '{PLANNED}'"
# The bookings that have a notice due between two instants. For each pool an index has the bookings that have not ended
# before: so it costs as much as there are pools and such bookings, however many have ended.
DUE = """
SELECT b.id FROM generation g JOIN pool p USING (generation) CROSS JOIN LATERAL (
    SELECT id FROM live_booking
    WHERE generation = p.generation AND pool = p.pool AND ends > $1
        AND ((starts > $1 AND starts <= $2) OR ends <= $2
            OR (ends > $1 + $3::interval AND ends <= $2 + $3::interval))
    OFFSET 0  -- PostgreSQL would read all bookings at once, and not by the index
) b WHERE g.live
"""
# Of these bookings, those that have begun: none has a notice that is due before. All segments of a booking in one row.
BOOKINGS = """
SELECT b.id, min(b.starts) AS starts, max(b.ends) AS ends, min(b.account) AS account, min(p.id) AS pool,
    min(p.project) AS project
FROM generation g
JOIN live_booking b ON b.generation = g.generation AND b.id = ANY ($1::uuid[])
JOIN pool p ON p.generation = b.generation AND p.pool = b.pool
WHERE g.live GROUP BY b.id HAVING min(b.starts) <= $2
"""
# Runs of over-committed hours whose deadline is near, in the pools that events after $3 have touched; null: in all that
# may over-commit. The hours of a pool are read only if some of them are near.
CONFLICTS = """
WITH short AS (
    SELECT p.id, p.project, p.beyond_hours, s.hour,
        s.hour - row_number() OVER (PARTITION BY p.pool ORDER BY s.hour) * interval '1 hour' AS run
    FROM generation g JOIN pool p USING (generation)
    CROSS JOIN LATERAL (
        SELECT FROM short_hour WHERE generation = p.generation AND pool = p.pool
            AND hour >= $1 AND hour <= $1 + p.beyond_hours * interval '1 hour' + $2::interval LIMIT 1
    ) near
    CROSS JOIN LATERAL (
        SELECT hour FROM short_hour WHERE generation = p.generation AND pool = p.pool AND hour >= $1 OFFSET 0
    ) s
    WHERE g.live AND p.beyond_hours IS NOT NULL AND ($3::bigint IS NULL OR p.touched > $3)
)
SELECT id AS pool, project, min(hour) AS starts, max(hour) + interval '1 hour' AS ends, beyond_hours
FROM short GROUP BY id, project, beyond_hours, run
HAVING min(hour) - beyond_hours * interval '1 hour' - $2::interval <= $1
"""


def booking_notices(
    booking: Record, made_until: datetime, until: datetime, lead: timedelta, *, changed: bool
) -> list[Notice]:
    """The notices of a booking that are due after `made_until` and not after `until`. For a booking that was `changed`
    and has not ended, also those that were due before."""
    starts, ends = booking["starts"], booking["ends"]
    due = {
        "booking.started": (starts, starts),
        "booking.ending": (max(starts, ends - lead), ends),
        "booking.ended": (ends, ends),
    }
    late = changed and ends > until
    return [
        booking_notice(booking, kind, time, hour)
        for kind, (time, hour) in due.items()
        if time <= until and (time > made_until or late)
    ]


def booking_notice(booking: Record, kind: str, time: datetime, hour: datetime) -> Notice:
    """`hour` makes the notice's id: when the end of a booking is moved, there is another notice with the new hour."""
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
    """Stores the notices that are not stored yet, with the numbers after `seq`. Returns the last number."""
    if not notices:
        return seq
    columns = [
        [getattr(notice, name) for notice in notices] for name in ("id", "kind", "project", "subject", "due", "data")
    ]
    stored = await connection.fetch(STORE, seq, *columns)
    return max((record["seq"] for record in stored), default=seq)
