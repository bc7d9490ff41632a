"""live_grant and live_booking: what is left of each grant and booking."""

from __future__ import annotations

from uuid import UUID

from services.projector.projections.availability import Counts

# Pool, first hour, hour after the last, counts, actor; a grant's source or a booking's account. A plain tuple: a
# rebuild makes millions.
Claim = tuple[int, int, int, Counts, str, str | None]


class ClaimChanges:
    """`created` in this batch, and `ends`: those of earlier batches that now end at another hour."""

    def __init__(self) -> None:
        self.created: dict[UUID, Claim] = {}
        self.ends: dict[UUID, int] = {}

    def cut(self, claim_id: UUID, end: int) -> None:
        """The claim ends at `end`; when that is its start, nothing of it is left."""
        made = self.created.get(claim_id)
        if made is None:
            self.ends[claim_id] = end
            return
        pool, start, _, counts, actor, told = made
        if end <= start:
            del self.created[claim_id]
        else:
            self.created[claim_id] = (pool, start, end, counts, actor, told)
