"""live_grant and live_booking: what is left of each grant and booking."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from services.projector.projections.availability import Counts


class Claim(NamedTuple):
    """`told` is a grant's source or a booking's account."""

    id: UUID
    pool: int
    start: int
    end: int
    counts: Counts
    actor: str
    told: str | None


class ClaimChanges:
    """`created` in this batch, and `ends`: those of earlier batches that now end at another hour."""

    def __init__(self) -> None:
        self.created: dict[UUID, Claim] = {}
        self.ends: dict[UUID, int] = {}

    def create(self, claim: Claim) -> None:
        self.created[claim.id] = claim

    def cut(self, claim_id: UUID, end: int) -> None:
        """The claim ends at `end`; when that is its start, nothing of it is left."""
        made = self.created.get(claim_id)
        if made is None:
            self.ends[claim_id] = end
        elif end <= made.start:
            del self.created[claim_id]
        else:
            self.created[claim_id] = made._replace(end=end)
