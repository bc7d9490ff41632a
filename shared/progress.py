"""How far the store and all that follows it have come, as the database says: for status and Prometheus."""

from __future__ import annotations

from typing import Literal, NamedTuple

from shared.events import decode_envelope
from shared.postgres import Connection


class Progress(NamedTuple):
    """The live generation's part is None when none is live. Ages are in seconds, by the database's clock.

    Beside the generation: up to where a checkpoint is `sealed`, the `past` is kept for as_of, the history is `indexed`
    for searching, and notices account for the events (`noticed`); `told_s` ago was the hour up to which they are told,
    None before the first. `delivered` is where the webhook of events that is furthest behind stands, None when there is
    none; `notices_undelivered` how many notices one of notices is behind at most. `oldest_s`, `unsealed_s`, … are how
    old the oldest event is that each of them has not reached; None when it has reached all.
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
    dead_letters: int = 0
    unpublished_s: float | None = None
    unsealed_s: float | None = None
    unkept_s: float | None = None
    unindexed_s: float | None = None
    unnoticed_s: float | None = None

    @property
    def behind(self) -> int | None:
        """Events that the live generation has not applied. It may be read a moment after the head."""
        return None if self.position is None else max(0, self.head - self.position)


PROGRESS = """
SELECT h.position, g.generation, g.position, extract(epoch FROM now() - g.moved_at)::float8,
       g.parked_position, g.parked_error, (SELECT coalesce(max(size), 0) FROM audit_checkpoint),
       past.position, indexed.position,
       n.position, extract(epoch FROM now() - n.told_until)::float8, n.seq - n.published,
       (SELECT min(position) FROM webhook WHERE disabled IS NULL AND (types IS NULL OR types <> '{}')),
       (SELECT n.seq - min(notice) FROM webhook WHERE disabled IS NULL AND kinds <> '{}'),
       (SELECT count(*) FROM webhook WHERE disabled IS NOT NULL), (SELECT count(*) FROM webhook_dead_letter),
       (SELECT extract(epoch FROM now() - made_at)::float8 FROM notice WHERE seq = n.published + 1)
FROM event_head h CROSS JOIN past_head past CROSS JOIN event_index_head indexed CROSS JOIN notice_head n
LEFT JOIN generation g ON g.live
"""
DECIDED = "SELECT position, data, now() FROM event WHERE position = ANY ($1)"
STALL_S = 30.0


async def read_progress(connection: Connection) -> Progress:
    """Raises asyncpg's errors; LookupError when the database has not been migrated to hold a head."""
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
    """How long ago the event after each position was decided, in seconds; None where there is none."""
    wanted = list({position + 1 for position in positions if position is not None})
    ages = {
        position: (now - decode_envelope(data).instant).total_seconds()
        for position, data, now in await connection.fetch(DECIDED, wanted)
    }
    return [None if position is None else ages.get(position + 1) for position in positions]


class Standing(NamedTuple):
    """Whether a part goes on: "ok", or what it is instead, and why."""

    state: Literal["ok", "missing", "parked", "stalled"]
    why: str | None = None


def standing_of(progress: Progress, stall_s: float = STALL_S) -> Standing:
    """How the live read models are. They may be far behind and go on; they are stalled when events have waited for
    `stall_s` and not one of them was applied in that time."""
    if progress.generation is None or progress.position is None or progress.moved_s is None:
        return Standing("missing", "no generation is live: `hourbook migrate` makes one")
    if progress.parked_position is not None or progress.parked_error is not None:
        return Standing("parked", f"parked at position {progress.parked_position}: {progress.parked_error}")
    if progress.oldest_s is not None and min(progress.oldest_s, progress.moved_s) > stall_s:
        return Standing("stalled", f"the read models stand still at {progress.position} while events wait")
    return Standing("ok")
