"""live_booking: what is left of each booking, in segments: what it held before it was amended, and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from services.projector.projections.availability import Counts
from shared.events import BookingAmended, FromTemplate
from shared.hours import hour_of

# Pool, first hour, hour after the last, counts, actor, account, share in basis points, whether it is tentative, the
# positions of its creation and of the claim, the segment's number, template, series, the position of the last event
# after the claim that changed it. A plain tuple: a rebuild makes millions.
BookingRow = tuple[
    int, int, int, Counts, str, str, int, bool, int, int, int, FromTemplate | None, UUID | None, int | None
]


class BookingChanges:
    """Rows to write, and changes to rows of earlier batches.

    `known` are the last segments of those bookings of earlier batches that this batch amends; they are written anew.
    `current` is the last segment of each booking that is created or known, `before` its segments that came to an end in
    this batch. Of all other bookings `ends` says where the last segment now ends, `tentative` what it is now, each with
    the position of the event that says so.
    """

    def __init__(self, known: Mapping[UUID, BookingRow]) -> None:
        self.known = known
        self.current: dict[UUID, BookingRow] = dict(known)
        self.before: list[tuple[UUID, BookingRow]] = []
        self.ends: dict[UUID, tuple[int, int]] = {}
        self.tentative: dict[UUID, tuple[bool, int]] = {}

    def rows(self) -> Iterator[tuple[UUID, BookingRow]]:
        yield from self.before
        yield from self.current.items()

    def cut(self, booking: UUID, end: int, position: int) -> None:
        """The booking ends at `end`; when that is its segment's start, nothing of that is left. What is left is a fact,
        and not tentative."""
        row = self.current.get(booking)
        if row is not None:
            self._cut_row(booking, row, end, position)
        elif booking not in self.known:
            self.ends[booking] = end, position
            self.tentative.pop(booking, None)

    def mark(self, booking: UUID, position: int, *, tentative: bool) -> None:
        row = self.current.get(booking)
        if row is not None:
            self.current[booking] = (*row[:7], tentative, *row[8:13], position)
        elif booking not in self.known:
            self.tentative[booking] = tentative, position

    def amend(self, event: BookingAmended, position: int) -> None:
        """Gives way from `from_start` on. What was before is a segment of its own. Raises KeyError for a booking of
        which nothing is left."""
        row = self.current[event.booking]
        pool, began, _, _, actor, account, _, _, created, _, segment, template, series, _ = row
        from_start = hour_of(event.from_start)
        if from_start > began:
            self.before.append((event.booking, _ended(row, from_start, position)))
            segment += 1
        if (event.capacity, event.share) != (event.from_capacity, event.from_share) or event.template is not None:
            template = event.template
        self.current[event.booking] = (
            pool,
            hour_of(event.start),
            hour_of(event.end),
            event.capacity.counts(),
            actor,
            account,
            event.share,
            event.tentative,
            created,
            position,
            segment,
            template,
            series,
            None,
        )

    def _cut_row(self, booking: UUID, row: BookingRow, end: int, position: int) -> None:
        if end <= row[1]:
            del self.current[booking]
        else:
            self.current[booking] = _ended(row, end, position)


def _ended(row: BookingRow, end: int, position: int) -> BookingRow:
    return (*row[:2], end, *row[3:7], False, *row[8:13], position)
