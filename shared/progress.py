"""The positions of the event store and of everything that follows it, read from the database for status and metrics."""

from __future__ import annotations

from typing import Literal, NamedTuple

from shared.events import decode_envelope
from shared.postgres import Connection


class Progress(NamedTuple):
    """One reading. Ages are in seconds, by the database's clock. The fields of the live generation are None if none is
    live.

    head                 the last position of the store
    generation           number of the live generation; its checkpoint is at `position`, and moved `moved_s` ago
    sealed               position of the latest signed checkpoint of the tree
    past                 position up to which as_of can be answered
    indexed              position up to which the history is indexed for searching
    noticed              position up to which notices are made for created and amended bookings
    told_s               age of the hour up to which notices are made; None before the first
    unpublished          number of notices that wait for their stream
    delivered            position of the webhook that is furthest behind with events; None if there is none
    notices_undelivered  number of notices that the webhook which is furthest behind with notices has not got
    webhooks_disabled    number of webhooks whose receiver answered 410
    webhooks_ended       number of webhooks whose maker has no right to them any more
    oldest_s             age of the oldest event that the read models do not have; None if they have all
    unsealed_s           likewise of the sealer; `unkept_s` of `past`, `unindexed_s` of `indexed`, `unnoticed_s` of
                         `noticed`; `unpublished_s` is the age of the oldest notice that waits
    """

    head: int
    generation: int | None
    position: int | None
    moved_s: float | None
    parked_position: int | None
    parked_error: str | None
    oldest_s: float | None
    sealed: int = 0
    past: int = 0
    indexed: int = 0
    noticed: int = 0
    told_s: float | None = None
    unpublished: int = 0
    delivered: int | None = None
    notices_undelivered: int | None = None
    webhooks_disabled: int = 0
    webhooks_ended: int = 0
    dead_letters: int = 0
    unpublished_s: float | None = None
    unsealed_s: float | None = None
    unkept_s: float | None = None
    unindexed_s: float | None = None
    unnoticed_s: float | None = None

    @property
    def behind(self) -> int | None:
        """The number of events that the live generation does not have. Not negative: the head may be read a moment
        before the position."""
        return None if self.position is None else max(0, self.head - self.position)


PROGRESS = """
SELECT h.position, g.generation, g.position, extract(epoch FROM now() - g.moved_at)::float8,
       g.parked_position, g.parked_error, (SELECT coalesce(max(size), 0) FROM audit_checkpoint),
       past.position, indexed.position,
       n.position, extract(epoch FROM now() - n.told_until)::float8, n.seq - n.published,
       (SELECT min(position) FROM webhook
        WHERE disabled IS NULL AND ended IS NULL AND (types IS NULL OR types <> '{}')),
       (SELECT n.seq - min(notice) FROM webhook WHERE disabled IS NULL AND ended IS NULL AND kinds <> '{}'),
       (SELECT count(*) FROM webhook WHERE disabled IS NOT NULL),
       (SELECT count(*) FROM webhook WHERE ended IS NOT NULL), (SELECT count(*) FROM webhook_dead_letter),
       (SELECT extract(epoch FROM now() - made_at)::float8 FROM notice WHERE seq = n.published + 1)
FROM event_head h CROSS JOIN past_head past CROSS JOIN event_index_head indexed CROSS JOIN notice_head n
LEFT JOIN generation g ON g.live
"""
DECIDED = "SELECT position, data, now() FROM event WHERE position = ANY ($1)"
STALL_S = 30.0


async def read_progress(connection: Connection) -> Progress:
    """Reads the present positions. Raises asyncpg's errors; LookupError if the database is not migrated."""
    record = await connection.fetchrow(PROGRESS)
    if record is None:
        raise LookupError("event_head is empty")
    head, generation, position, moved_s, parked_position, parked_error, *others = record
    read = Progress(head, generation, position, moved_s, parked_position, parked_error, None, *others)
    ages = await ages_after(connection, read.position, read.sealed, read.past, read.indexed, read.noticed)
    oldest_s, unsealed_s, unkept_s, unindexed_s, unnoticed_s = ages
    return read._replace(
        oldest_s=oldest_s, unsealed_s=unsealed_s, unkept_s=unkept_s, unindexed_s=unindexed_s, unnoticed_s=unnoticed_s
    )


async def ages_after(connection: Connection, *positions: int | None) -> list[float | None]:
    """The age of the event after each position, in seconds; None if there is no such event."""
    wanted = list({position + 1 for position in positions if position is not None})
    ages = {
        position: (now - decode_envelope(data).instant).total_seconds()
        for position, data, now in await connection.fetch(DECIDED, wanted)
    }
    return [None if position is None else ages.get(position + 1) for position in positions]


class Standing(NamedTuple):
    """The state of the live read models; `why` says why it is not "ok"."""

    state: Literal["ok", "missing", "parked", "stalled"]
    why: str | None = None


def standing_of(progress: Progress, stall_s: float = STALL_S) -> Standing:
    """The state of the live read models. They are stalled when events have waited for `stall_s` seconds and none was
    applied in that time. Being far behind is "ok" while they go on."""
    if progress.generation is None or progress.position is None or progress.moved_s is None:
        return Standing("missing", "no generation is live: `hourbook migrate` makes one")
    if progress.parked_position is not None or progress.parked_error is not None:
        return Standing("parked", f"parked at position {progress.parked_position}: {progress.parked_error}")
    if progress.oldest_s is not None and min(progress.oldest_s, progress.moved_s) > stall_s:
        return Standing("stalled", f"the read models stand still at {progress.position} while events wait")
    return Standing("ok")
