"""Many stored events folded into a state at once: those of bookings by columns, all others one by one.

The result is that of `evolve`, event by event. No event looks at what is free, and what is free is a sum: the size,
less what is booked, less what the shares reserve of the size. So it does not matter when a booking is taken off, and it
is done once for all of them. Only an account that is listed after it has booked must find its bookings in the state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from sys import intern
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from services.command.domain.blocks import COLUMNS, GONE, TENTATIVE, Block, Booking, merged
from services.command.domain.booking_table import with_loose
from services.command.domain.evolve import evolve, resize_held
from services.command.domain.replay_columns import (
    END,
    ENTRY,
    ROW,
    Finder,
    Numbers,
    Rows,
    add_shares,
    entries_of,
    grouped,
    id_of,
    joined,
    summed,
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
from shared.timeline import Timeline

OfBooking = BookingCreated | BookingAmended | BookingCancelled | BookingLapsed | BookingConfirmed | BookingContested
OF_BOOKINGS = (BookingCreated, BookingAmended, BookingCancelled, BookingLapsed, BookingConfirmed, BookingContested)
PENDING_MAX = 250_000  # events of bookings that are kept, to be folded at once


class Replay:
    """Folds stored events into `state`. It is whole only after `finish`; `version` counts the events meanwhile.

    A booking that ends before the floor of the state is not kept: 10,000 that live cost the same after 5,000,000 that
    are over."""

    def __init__(self, state: ProjectState) -> None:
        self.state, self._floor = state, state.floor
        self._began: dict[bytes, int] = {}  # of bookings that are not kept
        self._pools, self._accounts, self._capacities, self._texts = Numbers(), Numbers(), Numbers(), Numbers()
        self._rows = np.zeros(0, dtype=ROW)
        self._new: list[Rows] = []
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
        return not names.isdisjoint(self.state.names) or not names.isdisjoint(_booked(batch))

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
        rows["id"], rows["pool"] = _ids(created), self._pools.of(created.pools)
        rows["account"], rows["capacity"] = self._accounts.of(created.accounts), self._capacities_of(created.counts)
        rows["began"] = rows["start"] = created.starts
        rows["end"], rows["share"], rows["order"] = created.ends, created.shares, created.places + version
        rows["tentative"] = created.tentative
        if any(created.series.values):
            for number, series in enumerate(created.series.each()):
                if series is not None:
                    self._note_series(UUID(bytes=id_of(rows["id"][number])), series)
        if self._floor:
            self._note_reach(rows)
            rows = rows[rows["end"] > self._floor]
        self._new.append(rows)
        self._pending += len(rows)
        booked = np.unique(created.accounts.numbers).tolist()  # some values may be those of no row
        self.state.names.update(intern(created.accounts.values[number]) for number in booked)

    def _take_ended(self, version: int, ended: BookingColumns) -> None:
        rows = np.zeros(ended.rows, dtype=END)
        rows["id"], rows["version"] = _ids(ended), ended.places + version
        rows["pool"], rows["capacity"] = self._pools.of(ended.pools), self._capacities_of(ended.counts)
        rows["start"], rows["end"], rows["share"] = ended.starts, ended.ends, ended.shares
        rows = rows[rows["end"] > self._floor]
        self._ended.append(rows)
        self._pending += len(rows)

    def _capacities_of(self, counts: Vector) -> Vector:
        """The numbers of these capacities."""
        texts = np.ascontiguousarray(counts, dtype=np.int64).view("V48").reshape(-1).tolist()
        for text in set(texts).difference(self._texts):
            self._texts[text] = self._capacities[capacity_of(np.frombuffer(text, dtype=np.int64))]
        return np.array([self._texts[text] for text in texts], dtype=np.int64)

    def _note_reach(self, rows: Rows) -> None:
        """Notes which hours the bookings of each pool reach: those that are not kept count too."""
        for name, part in grouped(rows, "pool", self._pools.listed):
            self.state.pools[name].free.reach(int(part["start"].min()), int(part["end"].max()))

    def _note_series(self, booking: UUID, series: UUID | None) -> None:
        if series is not None:
            self.state.series[series] = max(self.state.series.get(series, 0), booking.int - series.int + 1)

    def settle(self) -> None:
        """Takes what the events so far book off the timelines, and ends and changes the bookings."""
        new = joined(self._new, ROW)
        ended = joined(self._ended, END)
        entries = [entries_of(new, 1)]
        rows = self._rows = np.concatenate((self._rows, new))
        if len(ended) or self._changes:
            finder = Finder(rows["id"])
            changes = self._changes_by_booking(ended)
            where = finder.find(ended["id"])
            plain = ~np.isin(ended["id"], np.array([*changes], dtype="S16"))
            entries += self._end(ended[plain], where[plain])
            entries.append(self._change(changes, finder))
        self._new, self._ended, self._changes, self._pending = [], [], [], 0
        self._book(np.concatenate(entries))

    def _end(self, ended: Rows, where: Vector) -> list[Rows]:
        """Ends bookings that have no other changes. `where`: their rows, or -1. Returns what they give back."""
        there = where >= 0
        known, rows = ended[there], where[there]
        given = entries_of(known, -1)
        given["account"] = self._rows["account"][rows]
        self._rows["end"][rows], self._rows["gone"][rows] = known["start"], True
        self._rows["tentative"][rows] = False
        return [given, *(self._end_older(one) for one in ended[~there])]

    def _end_older(self, ended: np.void) -> Rows:
        """Ends a booking that is in the state already."""
        key = UUID(bytes=id_of(ended["id"]))
        given = entries_of(np.array([ended], dtype=END), -1)
        booking = self.state.bookings[key]
        given["account"] = self._accounts[booking.account]
        self.state.tentative.pop(key, None)
        self.state.bookings.change(key, _gone(booking, int(ended["start"])))
        return given

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

    def _change(self, changes: dict[bytes, list[tuple[int, OfBooking | np.void]]], finder: Finder) -> Rows:
        """Changes bookings, each by its events in order. Returns what they take and give back."""
        taken, back = list[tuple[int, ...]](), list[tuple[Any, ...]]()
        where = finder.find(np.array([*changes], dtype="S16")).tolist()
        for (key, events), row in zip(changes.items(), where, strict=True):
            known = UUID(bytes=key)
            booking = self._booking(row) if row >= 0 else self.state.bookings.get(known)
            for version, event in events:
                booking = self._changed(booking, version, event, taken)
            if booking is None:
                continue
            if row >= 0:
                self._rows[row] = self._row(key, booking)
            elif known in self.state.bookings:
                self._change_older(known, booking)
            else:
                back.append(self._row(key, booking))
        self._rows = np.concatenate((self._rows, np.array(back, dtype=ROW)))
        return np.array(taken, dtype=ENTRY)

    def _change_older(self, key: UUID, booking: Booking) -> None:
        """Changes a booking that is in the state already."""
        self.state.bookings.change(key, booking)
        self.state.tentative.pop(key, None)
        if booking.tentative:
            self.state.tentative[key] = None

    def _changed(
        self, booking: Booking | None, version: int, event: OfBooking | np.void, taken: list[tuple[int, ...]]
    ) -> Booking | None:
        """The booking after the event; None: it is not kept. Adds to `taken` what the event takes and gives back."""
        if isinstance(event, BookingCreated):
            start, end = hour_of(event.start), hour_of(event.end)
            pool, account = intern(event.pool), intern(event.account)
            booking = Booking(pool, account, start, start, end, event.capacity, event.share, version, event.tentative)
            taken.append(self._entry(booking, start, end, 1))
            return booking
        if isinstance(event, BookingAmended):
            booking = self._amended(booking, version, event, taken)
            if booking is not None:
                taken.append(self._entry(booking, booking.start, booking.end, 1))
            return booking
        if booking is None:
            return None
        if isinstance(event, BookingConfirmed | BookingContested):
            return msgspec.structs.replace(booking, tentative=isinstance(event, BookingContested))
        start = int(event["start"]) if isinstance(event, np.void) else hour_of(event.start)
        taken.append(self._entry(booking, start, booking.end, -1))
        return _gone(booking, start)

    def _amended(
        self, booking: Booking | None, version: int, event: BookingAmended, taken: list[tuple[int, ...]]
    ) -> Booking | None:
        """The booking after an amendment. Adds to `taken` what it gives back."""
        since, start, end = hour_of(event.from_start), hour_of(event.start), hour_of(event.end)
        pool, account, key = event.pool, event.account, event.booking.bytes
        if booking is not None:
            taken.append(self._entry(booking, since, booking.end, -1))
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

    def _entry(self, booking: Booking, start: int, end: int, sign: int) -> tuple[int, ...]:
        pool, account = self._pools[booking.pool], self._accounts[booking.account]
        return pool, account, start, end, self._capacities[booking.capacity], booking.share, sign

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
        rows = rows[(rows["end"] > self._floor) & ((rows["end"] > rows["began"]) | (self._floor == 0))]
        if not len(rows):
            return
        high, low = np.ascontiguousarray(rows["id"]).view(">u8").reshape(-1, 2).T.astype("<u8")
        flags = rows["tentative"] * TENTATIVE + rows["gone"] * GONE
        made = {"high": high, "low": low, "flags": flags}
        columns = {
            name: np.asarray(made[name] if name in made else rows[name]).astype(kind) for name, kind in COLUMNS.items()
        }
        names = [*self._pools.listed], [*self._accounts.listed], [*self._capacities.listed]
        block = Block(columns, *names).at(np.lexsort((low, high)))
        table = self.state.bookings.freeze()
        self.state.bookings.install(table, merged((block, *with_loose(table))), len(table) + len(block))
        for key in rows["id"][rows["tentative"]]:
            self.state.tentative[UUID(bytes=id_of(key))] = None

    def _book(self, entries: Rows) -> None:
        """Adds the entries up in the timelines of the pools and of the accounts that the project lists."""
        entries = entries[entries["end"] > self._floor]
        entries["start"] = np.maximum(entries["start"], self._floor)
        counts = np.array([one.counts() for one in self._capacities] or [[0] * 6], dtype=np.int64)
        for name, part in grouped(entries, "pool", self._pools.listed):
            pool = self.state.pools[name]
            self.state.touched.add(name)
            self.state.timeline_bytes += pool.free.add_runs(*summed(part, -counts))
            self.state.timeline_bytes += add_shares(pool.size, pool.shares, pool.free, -1, part)
        if not self.state.accounts:
            return
        for name, part in grouped(entries, "account", self._accounts.listed):
            if (listed := self.state.listed(name)) is None:
                continue
            account = self.state.accounts[listed]
            self.state.touched.add(listed)
            self.state.timeline_bytes += account.held.add_runs(*summed(part, counts))
            for pool_id, shares in grouped(part[part["share"] > 0], "pool", self._pools.listed):
                own = account.shares.setdefault(pool_id, Timeline(width=1, floor=self._floor))
                self.state.timeline_bytes += add_shares(self.state.pools[pool_id].size, own, account.held, 1, shares)


def _booked(batch: EventBatch) -> set[str]:
    others = (one.account for _, one in batch.others if isinstance(one, BookingCreated))
    return {*batch.created.accounts.values, *others}


def _ids(bookings: BookingColumns) -> Rows:
    return np.ascontiguousarray(bookings.ids).view("S16").reshape(-1)


def _gone(booking: Booking, start: int) -> Booking:
    return msgspec.structs.replace(booking, end=start, tentative=False, gone=True)
