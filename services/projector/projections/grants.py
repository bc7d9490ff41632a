"""live_grant: what is left of each grant."""

from __future__ import annotations

from uuid import UUID

from services.projector.projections.availability import Counts

# Pool, first hour, hour after the last, counts, actor, source.
GrantRow = tuple[int, int, int, Counts, str, str | None]


class GrantChanges:
    """`created` in this batch, and `ends`: those of earlier batches that now end at another hour."""

    def __init__(self) -> None:
        self.created: dict[UUID, GrantRow] = {}
        self.ends: dict[UUID, int] = {}

    def cut(self, grant: UUID, end: int) -> None:
        """The grant ends at `end`; when that is its start, nothing of it is left."""
        made = self.created.get(grant)
        if made is None:
            self.ends[grant] = end
            return
        pool, start, _, counts, actor, source = made
        if end <= start:
            del self.created[grant]
        else:
            self.created[grant] = (pool, start, end, counts, actor, source)
