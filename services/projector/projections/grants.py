"""live_grant: the grants that are left, as withdrawals have shortened them."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from services.projector.projections.availability import Counts


class GrantRow(NamedTuple):
    """A grant of `counts` to the pool in the hours `[start, end)`."""

    pool: int
    start: int
    end: int
    counts: Counts
    actor: str
    source: str | None


class GrantChanges:
    """`created`: grants of this batch. `ends`: grants of earlier batches, with the hour at which they now end."""

    def __init__(self) -> None:
        self.created: dict[UUID, GrantRow] = {}
        self.ends: dict[UUID, int] = {}

    def cut(self, grant: UUID, end: int) -> None:
        """Ends the grant at the hour `end`, or removes it if it starts there or later."""
        row = self.created.get(grant)
        if row is None:
            self.ends[grant] = end
        elif end <= row.start:
            del self.created[grant]
        else:
            self.created[grant] = row._replace(end=end)
