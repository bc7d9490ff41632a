"""live_booking: the segments of each booking. An amendment ends a segment and begins the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import compress
from typing import NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from services.projector.projections.availability import Counts
from shared.capacity import Vector
from shared.events import BookingAmended, FromTemplate
from shared.events.batch import Bytes, CreatedBookings, EndedBookings
from shared.hours import hour_of


class BookingRow(msgspec.Struct, frozen=True, gc=False):
    """A segment of a booking: it holds `[start, end)`, in hours, and `share` is in basis points.

    `created` and `claimed` are the positions of the events that made the booking and its claim. `changed` is the
    position of the last event after the claim that changed the segment.

    A rebuild makes millions of these. A struct is as fast as a tuple; with a NamedTuple the fold takes a fifth longer.
    """

    pool: int
    start: int
    end: int
    counts: Counts
    actor: str
    account: str
    share: int
    tentative: bool
    created: int
    claimed: int
    segment: int = 0
    template: FromTemplate | None = None
    series: UUID | None = None
    changed: int | None = None


class BookingRows(NamedTuple):
    """First segments of new bookings by columns, n rows: the columns of a BookingRow.

    ids      shape (n, 16)
    counts   shape (n, 6)
    """

    ids: Bytes
    pools: Vector
    starts: Vector
    ends: Vector
    counts: Vector
    shares: Vector
    tentative: Vector
    positions: Vector
    actors: list[str]
    accounts: list[str]
    templates: list[FromTemplate | None]
    series: list[UUID | None]

    def only(self, rows: npt.NDArray[np.bool_]) -> BookingRows:
        """Those of the rows that are true."""
        wanted = rows.tolist()
        columns = [list(compress(column, wanted)) if isinstance(column, list) else column[rows] for column in self]
        return BookingRows(*columns)  # type: ignore[arg-type]

    def row(self, number: int) -> BookingRow:
        """One row as a BookingRow."""
        a, b, c, d, e, f = self.counts[number].tolist()
        position = int(self.positions[number])
        return BookingRow(
            int(self.pools[number]),
            int(self.starts[number]),
            int(self.ends[number]),
            (a, b, c, d, e, f),
            self.actors[number],
            self.accounts[number],
            int(self.shares[number]),
            bool(self.tentative[number]),
            position,
            position,
            0,
            self.templates[number],
            self.series[number],
        )


class BookingChanges:
    """New rows, and changes to rows of earlier batches.

    many       new rows by columns: bookings of which nothing else happens in this batch
    many_ends  bookings of earlier batches of which nothing else happens: (ids, hours, positions), as in `ends`

    known      last segment of each earlier booking that this batch amends; its row is deleted and written again
    current    last segment of each booking that was created in this batch or is known
    before     earlier segments, which ended in this batch
    ends       all other bookings: (hour at which the last segment now ends, position of the event that says so)
    tentative  all other bookings: (whether it is tentative now, position of the event that says so)
    """

    def __init__(self, known: Mapping[UUID, BookingRow]) -> None:
        self.many: BookingRows | None = None
        self.many_ends: tuple[list[str], list[int], list[int]] = [], [], []
        self.known = known
        self.current: dict[UUID, BookingRow] = dict(known)
        self.before: list[tuple[UUID, BookingRow]] = []
        self.ends: dict[UUID, tuple[int, int]] = {}
        self.tentative: dict[UUID, tuple[bool, int]] = {}

    def rows(self) -> Iterator[tuple[UUID, BookingRow]]:
        """The rows to insert, each with its booking's id, without `many`."""
        yield from self.before
        yield from self.current.items()

    def create_many(self, pools: Vector, created: CreatedBookings, first_position: int) -> None:
        """Adds a row for each event. `pools` are the pools' numbers."""
        events = created.events
        self.many = BookingRows(
            created.ids,
            pools,
            created.starts,
            created.ends,
            created.counts,
            created.shares,
            np.array([event.tentative for event in events], dtype=np.int64),
            created.places + first_position,
            created.actors,
            created.accounts,
            [event.template for event in events],
            [event.series for event in events],
        )

    def end_many(self, ended: EndedBookings, first_position: int) -> None:
        """Ends a booking for each event, as `cut` does. `create_many` must have been called before."""
        here = ended.created >= 0
        earlier = np.flatnonzero(~here)
        self.many_ends = (
            [ended.bookings[row] for row in earlier.tolist()],
            ended.starts[earlier].tolist(),
            (ended.places[earlier] + first_position).tolist(),
        )
        if self.many is not None and here.any():
            self._end_here(ended.created[here], ended.starts[here], ended.places[here] + first_position)

    def _end_here(self, rows: Vector, ends: Vector, positions: Vector) -> None:
        """Ends rows of `many` at these hours. What stays of them stays as single rows."""
        assert self.many is not None
        for row, end, position in zip(rows.tolist(), ends.tolist(), positions.tolist(), strict=True):
            if end > self.many.starts[row]:
                self.current[UUID(bytes=self.many.ids[row].tobytes())] = _ended(self.many.row(row), end, position)
        stays = np.ones(len(self.many.pools), dtype=bool)
        stays[rows] = False
        self.many = self.many.only(stays)

    def cut(self, booking: UUID, end: int, position: int) -> None:
        """Ends the booking at the hour `end`. The last segment is removed if it starts there or later. If it stays, it
        is not tentative any more: it has happened."""
        row = self.current.get(booking)
        if row is None:
            if booking not in self.known:
                self.ends[booking] = end, position
                self.tentative.pop(booking, None)
        elif end <= row.start:
            del self.current[booking]
        else:
            self.current[booking] = _ended(row, end, position)

    def mark(self, booking: UUID, position: int, *, tentative: bool) -> None:
        """Sets whether the booking's last segment is tentative."""
        row = self.current.get(booking)
        if row is not None:
            self.current[booking] = msgspec.structs.replace(row, tentative=tentative, changed=position)
        elif booking not in self.known:
            self.tentative[booking] = tentative, position

    def amend(self, event: BookingAmended, position: int) -> None:
        """Replaces the last segment from the hour `from_start` on. What it held before that hour stays as a segment of
        its own. Raises KeyError if the booking has no segment left."""
        row = self.current[event.booking]
        from_start, segment, template = hour_of(event.from_start), row.segment, row.template
        if from_start > row.start:
            self.before.append((event.booking, _ended(row, from_start, position)))
            segment += 1
        if (event.capacity, event.share) != (event.from_capacity, event.from_share) or event.template is not None:
            template = event.template
        self.current[event.booking] = msgspec.structs.replace(
            row,
            start=hour_of(event.start),
            end=hour_of(event.end),
            counts=event.capacity.counts(),
            share=event.share,
            tentative=event.tentative,
            claimed=position,
            segment=segment,
            template=template,
            changed=None,
        )


def _ended(row: BookingRow, end: int, position: int) -> BookingRow:
    return msgspec.structs.replace(row, end=end, tentative=False, changed=position)
