"""Many stored events folded into a state at once: those of bookings by columns, all others one by one.

The result is that of `evolve`, event by event. No event looks at what is free, and what is free is a sum: the size,
less what is booked, less what the shares reserve of the size. So it does not matter when a booking is taken off, and it
is done once for all of them. Only an account that is listed after it has booked must find its bookings in the state.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from sys import intern
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain.blocks import Booking, merged
from services.command.domain.booking_table import with_loose
from services.command.domain.evolve import evolve, resize_held
from services.command.domain.replay_columns import (
    END,
    ENTRY,
    ROW,
    Entries,
    Finder,
    Rows,
    add_shares,
    at,
    block_of,
    distinct,
    grouped,
    id_of,
    ids_of,
    joined,
    summed,
    who_booked,
)
from services.command.domain.state import ProjectState
from shared.capacity import Vector, capacity_of
from shared.events import (
    AccountCreated,
    BookingAmended,
    BookingCancelled,
    BookingConfirmed,
    BookingContested,
    BookingCreated,
    BookingLapsed,
    ClusterCreated,
    Event,
)
from shared.events.batch import BookingColumns, EventBatch, decode_batch
from shared.hours import Period, hour_of, next_hour
from shared.names import spellings
from shared.numbering import Numbers
from shared.timeline import Timeline

OfBooking = BookingCreated | BookingAmended | BookingCancelled | BookingLapsed | BookingConfirmed | BookingContested
OF_BOOKINGS = (BookingCreated, BookingAmended, BookingCancelled, BookingLapsed, BookingConfirmed, BookingContested)
NEW_MAX = 50_000  # new bookings that are taken off the pools at once
PENDING_MAX = 200_000  # events that end or change bookings, to be folded at once


class Replay:
    """Folds stored events into `state`. It is whole only after `finish`; `version` counts the events meanwhile.

    A booking that ends before the floor of the state is not kept: 10,000 that live cost the same after 5,000,000 that
    are over."""

    def __init__(self, state: ProjectState) -> None:
        self.state, self._floor = state, state.floor
        self._began: dict[bytes, int] = {}  # of bookings that are not kept
        self._pools, self._accounts, self._capacities = Numbers(), Numbers(), Numbers()
        self._rows = np.zeros(0, dtype=ROW)
        self._new: list[Rows] = []
        self._booked: list[Rows] = []  # and not in `_rows` yet
        self._ended: list[Rows] = []
        self._changes: list[tuple[int, OfBooking]] = []
        self._pending = 0

    def take(self, stored: Sequence[bytes]) -> list[UUID]:
        """Folds the next events. Raises what `decode_batch` and `evolve` raise; do not use it after that.

        Mostly returns no id. If it returns ids, it has folded nothing: these bookings were not kept, and an amendment
        brings them back. Say with `learn` when they began, and `take` the events again."""
        batch = decode_batch(stored)
        if unknown := self._unknown(batch):
            return unknown
        self._fold(stored, batch)
        return []

    def learn(self, began: dict[UUID, int]) -> None:
        """Notes the hours at which bookings began, as their first events say."""
        for booking, hour in began.items():
            self._began.setdefault(booking.bytes, hour)

    def _unknown(self, batch: EventBatch) -> list[UUID]:
        """The bookings that come back, and of which it is not known when they began."""
        return [
            event.booking
            for _, event in batch.others
            if isinstance(event, BookingAmended)
            and hour_of(event.from_end) <= self._floor < hour_of(event.end)
            and event.booking.bytes not in self._began
        ]

    def _fold(self, stored: Sequence[bytes], batch: EventBatch) -> None:
        if self._lists_known(batch):
            self._take_apart(stored, batch)
            return
        version = self.state.version + 1
        for place, event in batch.others:
            self._take_one(version + place, event)
        self._take_created(version, batch.created)
        self._take_ended(version, batch.ended)
        self.state.version = version - 1 + batch.length
        if self._pending > PENDING_MAX:
            self.settle()

    def finish(self) -> None:
        """Makes the state whole."""
        self.settle()
        self._install()

    def _lists_known(self, batch: EventBatch) -> bool:
        """Whether some event lists an account that may have booked before."""
        names = {name for _, one in batch.others if isinstance(one, AccountCreated) for name in spellings(one.account)}
        return not names.isdisjoint(self.state.names) or not names.isdisjoint(who_booked(batch))

    def _take_apart(self, stored: Sequence[bytes], batch: EventBatch) -> None:
        """Folds events of which some list an account that may have booked before."""
        if batch.length > 1:
            for half in (stored[: batch.length // 2], stored[batch.length // 2 :]):
                self._fold(half, decode_batch(half))
        else:
            self.finish()
            ((_, event),) = batch.others
            evolve(self.state, event)

    def _take_one(self, version: int, event: Event) -> None:
        if isinstance(event, OF_BOOKINGS):
            self._changes.append((version, event))
            self._pending += 1
            if isinstance(event, BookingCreated):
                self.state.names.add(intern(event.account))
                self._note_series(event.booking, event.series)
        else:
            if isinstance(event, ClusterCreated) and event.cluster in self.state.pools:
                # `evolve` knows that nobody has shares in these hours; here, shares may not be given back yet
                period = Period(hour_of(event.start), hour_of(event.end))
                resize_held(self.state, event.cluster, period, event.capacity.vector())
            self.state.version = version - 1
            evolve(self.state, event)

    def _take_created(self, version: int, created: BookingColumns) -> None:
        rows = np.zeros(created.rows, dtype=ROW)
        rows["id"], rows["pool"] = ids_of(created), created.pools.by(self._pools)
        rows["account"], rows["capacity"] = created.accounts.by(self._accounts), self._capacities_of(created.counts)
        rows["began"] = rows["start"] = created.starts
        rows["end"], rows["share"], rows["order"] = created.ends, created.shares, created.places + version
        rows["tentative"] = created.tentative
        if any(created.series.values):
            for number, series in enumerate(created.series.each()):
                if series is not None:
                    self._note_series(UUID(bytes=id_of(rows["id"][number])), series)
        if self._floor:
            self._note_reach(rows)
            rows = at(rows, rows["end"] > self._floor)
        self._new.append(rows)
        if sum(map(len, self._new)) > NEW_MAX:
            self._book_new()
        booked = np.unique(created.accounts.numbers).tolist()  # some values may be those of no row
        self.state.names.update(intern(created.accounts.values[number]) for number in booked)

    def _take_ended(self, version: int, ended: BookingColumns) -> None:
        rows = np.zeros(ended.rows, dtype=END)
        rows["id"], rows["version"] = ids_of(ended), ended.places + version
        rows["pool"], rows["capacity"] = ended.pools.by(self._pools), self._capacities_of(ended.counts)
        rows["start"], rows["end"], rows["share"] = ended.starts, ended.ends, ended.shares
        rows = at(rows, rows["end"] > self._floor)
        self._ended.append(rows)
        self._pending += len(rows)

    def _capacities_of(self, counts: Vector) -> Vector:
        """The numbers of these capacities."""
        capacities, rows = distinct(counts)
        return self._capacities.of(map(capacity_of, capacities))[rows]

    def _note_reach(self, rows: Rows) -> None:
        """Notes which hours the bookings of each pool reach: those that are not kept count too."""
        numbers, places = np.unique(rows["pool"], return_inverse=True)
        lows, highs = np.full(len(numbers), sys.maxsize), np.zeros(len(numbers), dtype=np.int64)
        np.minimum.at(lows, places, rows["start"])
        np.maximum.at(highs, places, rows["end"])
        for number, low, high in zip(numbers.tolist(), lows.tolist(), highs.tolist(), strict=True):
            self.state.touched.add(self._pools.listed[number])
            self.state.pools[self._pools.listed[number]].free.reach(low, high)

    def _note_series(self, booking: UUID, series: UUID | None) -> None:
        if series is not None:
            self.state.series[series] = max(self.state.series.get(series, 0), booking.int - series.int + 1)

    def settle(self) -> None:
        """Takes what the events so far book off the timelines, and ends and changes the bookings."""
        self._book_new()
        ended = joined(self._ended, END)
        self._rows, self._booked = joined([self._rows, *self._booked], ROW), []
        self._ended, self._pending = [], 0
        if len(ended) or self._changes:
            finder, changes = Finder(self._rows["id"]), self._changes_by_booking(ended)
            self._changes = []
            if changes:
                ended = at(ended, ~np.isin(ended["id"], np.array([*changes], dtype="S16")))
            self._end(ended, finder.find(ended["id"]))
            taken, given = self._change(changes, finder)
            self._book(ended, -1)
            self._book(given, -1)
            self._book(taken, 1)

    def _book_new(self) -> None:
        """Takes the newest bookings off the pools."""
        new = joined(self._new, ROW)
        self._booked.append(new)
        self._new = []
        self._book(new, 1)

    def _end(self, ended: Rows, where: Vector) -> None:
        """Ends bookings that have no other changes. `where`: their rows, or -1. Notes the accounts in `ended`."""
        there = where >= 0
        rows = where[there]
        self._rows["end"][rows], self._rows["gone"][rows] = ended["start"][there], True
        self._rows["tentative"][rows] = False
        ended["account"][there] = self._rows["account"][rows]
        for place in np.flatnonzero(~there).tolist():
            ended["account"][place] = self._end_older(ended[place])

    def _end_older(self, ended: np.void) -> int:
        """Ends a booking that is in the state already. Returns the number of its account."""
        key = UUID(bytes=id_of(ended["id"]))
        booking = self.state.bookings[key]
        self.state.tentative.pop(key, None)
        self.state.bookings.change(key, _gone(booking, int(ended["start"])))
        return self._accounts[booking.account]

    def _changes_by_booking(self, ended: Rows) -> dict[bytes, list[tuple[int, OfBooking | np.void]]]:
        """The changes of each booking that was not only created or ended, with the versions of their events, in
        order."""
        found: defaultdict[bytes, list[tuple[int, OfBooking | np.void]]] = defaultdict(list)
        for version, event in self._changes:
            found[event.booking.bytes].append((version, event))
        for end in ended[np.isin(ended["id"], np.array([*found], dtype="S16"))] if found else ():
            found[id_of(end["id"])].append((int(end["version"]), end))
        for each in found.values():
            each.sort(key=lambda one: one[0])
        return found

    def _change(self, changes: dict[bytes, list[tuple[int, OfBooking | np.void]]], finder: Finder) -> tuple[Rows, Rows]:
        """Changes bookings, each by its events in order. Returns what they take, and what they give back."""
        entries, back = Entries([], []), list[tuple[Any, ...]]()
        where = finder.find(np.array([*changes], dtype="S16")).tolist()
        for (key, events), row in zip(changes.items(), where, strict=True):
            known = UUID(bytes=key)
            booking = self._booking(row) if row >= 0 else self.state.bookings.get(known)
            for version, event in events:
                booking = self._changed(booking, version, event, entries)
            if booking is None:
                continue
            if row >= 0:
                self._rows[row] = self._row(key, booking)
            elif known in self.state.bookings:
                self._change_older(known, booking)
            else:
                back.append(self._row(key, booking))
        if back:
            self._rows = joined([self._rows, np.array(back, dtype=ROW)], ROW)
        return np.array(entries.taken, dtype=ENTRY), np.array(entries.given, dtype=ENTRY)

    def _change_older(self, key: UUID, booking: Booking) -> None:
        """Changes a booking that is in the state already."""
        self.state.bookings.change(key, booking)
        self.state.tentative.pop(key, None)
        if booking.tentative:
            self.state.tentative[key] = None

    def _changed(
        self, booking: Booking | None, version: int, event: OfBooking | np.void, entries: Entries
    ) -> Booking | None:
        """The booking after the event; None: it is not kept. Adds to `entries` what the event takes and gives back."""
        if isinstance(event, BookingCreated):
            start, end = hour_of(event.start), hour_of(event.end)
            pool, account = intern(event.pool), intern(event.account)
            booking = Booking(pool, account, start, start, end, event.capacity, event.share, version, event.tentative)
            entries.taken.append(self._entry(booking, start, end))
            return booking
        if isinstance(event, BookingAmended):
            booking = self._amended(booking, version, event, entries)
            if booking is not None:
                entries.taken.append(self._entry(booking, booking.start, booking.end))
            return booking
        if booking is None:
            return None
        if isinstance(event, BookingConfirmed | BookingContested):
            return msgspec.structs.replace(booking, tentative=isinstance(event, BookingContested))
        start = int(event["start"]) if isinstance(event, np.void) else hour_of(event.start)
        entries.given.append(self._entry(booking, start, booking.end))
        return _gone(booking, start)

    def _amended(
        self, booking: Booking | None, version: int, event: BookingAmended, entries: Entries
    ) -> Booking | None:
        """The booking after an amendment. Adds to `entries` what it gives back."""
        since, start, end = hour_of(event.from_start), hour_of(event.start), hour_of(event.end)
        pool, account, key = event.pool, event.account, event.booking.bytes
        if booking is not None:
            entries.given.append(self._entry(booking, since, booking.end))
            pool, account, began = booking.pool, booking.account, booking.began
        elif since == start == next_hour(event.at):  # only then may it have begun
            if end <= self._floor:
                return None
            began = self._began[key]
        else:
            began = start
            if end <= self._floor:
                self._began[key] = start
                return None
        began = began if began < since else start
        return Booking(pool, account, began, start, end, event.capacity, event.share, version, event.tentative)

    def _entry(self, booking: Booking, start: int, end: int) -> tuple[int, ...]:
        pool, account = self._pools[booking.pool], self._accounts[booking.account]
        return pool, account, start, end, self._capacities[booking.capacity], booking.share

    def _booking(self, number: int) -> Booking:
        """The booking of a row."""
        row = self._rows[number].item()
        pools, accounts, capacities = self._pools.listed, self._accounts.listed, self._capacities.listed
        return Booking(
            pools[row[1]], accounts[row[2]], row[3], row[4], row[5], capacities[row[6]], row[7], row[8], row[9], row[10]
        )

    def _row(self, key: bytes, booking: Booking) -> tuple[Any, ...]:
        pool, account, *figures, capacity, share, order, tentative, gone = msgspec.structs.astuple(booking)
        numbers = self._pools[pool], self._accounts[account]
        return key, *numbers, *figures, self._capacities[capacity], share, order, tentative, gone

    def _install(self) -> None:
        """Gives the bookings to the state."""
        rows, self._rows = self._rows, np.zeros(0, dtype=ROW)
        if self._floor:
            for row in rows[rows["end"] <= self._floor]:
                self._began[id_of(row["id"])] = int(row["began"])
            if not (kept := (rows["end"] > self._floor) & (rows["end"] > rows["began"])).all():
                rows = at(rows, kept)
        if not len(rows):
            return
        names = [*self._pools.listed], [*self._accounts.listed], [*self._capacities.listed]
        block = block_of(rows, *names)
        table = self.state.bookings.freeze()
        self.state.bookings.install(table, merged((block, *with_loose(table))), len(table) + len(block))
        for key in rows["id"][rows["tentative"]]:
            self.state.tentative[UUID(bytes=id_of(key))] = None

    def _book(self, rows: Rows, sign: int) -> None:
        """Takes the rows off the pools (`sign` 1), or gives them back (-1). Likewise the other way round for what the
        listed accounts hold."""
        rows = at(rows, rows["end"] > self._floor)
        if not len(rows):
            return
        counts = sign * np.array([one.counts() for one in self._capacities], dtype=np.int64)
        begun = rows["start"] < self._floor
        if begun.any():
            rows = rows.copy()
            rows["start"][begun] = self._floor
        for name, part in grouped(rows, "pool", self._pools.listed):
            pool = self.state.pools[name]
            self.state.touched.add(name)
            self.state.timeline_bytes += pool.free.add_runs(*summed(part, -counts))
            self.state.timeline_bytes += add_shares(pool.size, pool.shares, pool.free, (sign, -1), part)
        for name, part in grouped(rows, "account", self._accounts.listed) if self.state.accounts else ():
            if (listed := self.state.listed(name)) is not None:
                self._hold(listed, part, counts, sign)

    def _hold(self, listed: str, rows: Rows, counts: Vector, sign: int) -> None:
        """Adds the rows to what an account holds (`sign` 1), or takes them off (-1)."""
        account = self.state.accounts[listed]
        self.state.touched.add(listed)
        hours = account.hours()
        self.state.timeline_bytes += account.held.add_runs(*summed(rows, counts))
        for name, part in grouped(at(rows, rows["share"] > 0), "pool", self._pools.listed):
            own = account.shares.setdefault(name, Timeline(width=1, floor=self._floor))
            self.state.timeline_bytes += add_shares(self.state.pools[name].size, own, account.held, (sign, 1), part)
        self.state.account_hours += account.hours() - hours


def _gone(booking: Booking, start: int) -> Booking:
    return msgspec.structs.replace(booking, end=start, tentative=False, gone=True)
