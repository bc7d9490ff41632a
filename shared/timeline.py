"""A capacity for each hour, as steps and pages. The domain checks decisions with it, the fold reads sizes from it.

Where the value seldom changes, a timeline holds a step for each change: ten years of one value are two steps. Where it
changes often, a timeline holds pages: arrays with a row for each of PAGE_HOURS hours. So its memory follows its
changes, not its length.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np

from shared.capacity import DIMENSIONS, Vector

WIDTH = len(DIMENSIONS)
PAGE_BITS = 10
PAGE_HOURS = 1 << PAGE_BITS
IN_PAGE = PAGE_HOURS - 1
STEPS_MAX = 8  # in the hours of one page; with more steps, a page takes their place
STEP_BYTES = 160  # of a step in memory: its row and its hour
HOUR = np.dtype(np.int64)
ZEROS = np.zeros(WIDTH, dtype=HOUR)
ZEROS.flags.writeable = False
NONE: set[int] = set()  # the pages of its own of a timeline that has none: never add to it

Runs = tuple[Vector, Vector]


class Timeline:
    """Every hour has a row of `width` int64. All hours outside of `[base, end)` are zero. `[base, end)` are the hours
    from the first to the last that was ever written; those before `floor` are not kept.

    The width is 6, the dimensions of a capacity. Shares, in basis points, have a width of 1.

    From the hour `_edges[n]` to the next edge, each hour has the row `_rows[n]`; before the first edge, zeros.
    `_pages` has the pages by number, which is hour >> PAGE_BITS. In the hours of a page the steps mean nothing.
    Copies share rows and pages. A row is never changed. A page is copied before a write, unless `_own` has its number.
    """

    __slots__ = ("_edges", "_own", "_pages", "_rows", "base", "end", "floor", "width")

    def __init__(self, *, width: int = WIDTH, floor: int = 0) -> None:
        self.base = self.end = 0
        self.width = width
        self.floor = floor
        self._edges: list[int] = []
        self._rows: list[Vector] = []
        self._pages: dict[int, Vector] = {}
        self._own = NONE

    def fork(self) -> Timeline:
        """A what-if copy, which shares the pages until it is written. Forget it before this timeline is written."""
        copy = Timeline.__new__(Timeline)
        copy.base, copy.end, copy.width, copy.floor = self.base, self.end, self.width, self.floor
        copy._edges, copy._rows, copy._pages = self._edges[:], self._rows[:], self._pages.copy()
        copy._own = NONE
        return copy

    def freeze(self) -> Timeline:
        """A copy that never changes. This timeline copies each page when it is written next."""
        self._own = NONE
        return self.fork()

    @property
    def hours(self) -> int:
        """The number of hours from the first to the last that was ever written."""
        return self.end - self.base

    @property
    def held(self) -> int:
        """Roughly the bytes of its pages and steps in memory."""
        return len(self._pages) * PAGE_HOURS * self.width * HOUR.itemsize + len(self._edges) * STEP_BYTES

    def grown_by(self, start: int, end: int) -> int:
        """The number by which `hours` would grow if `[start, end)` were written."""
        if self.base <= start and end <= self.end:
            return 0
        return end - start if self.base == self.end else max(0, self.base - start) + max(0, end - self.end)

    def reach(self, start: int, end: int) -> None:
        """Notes that the hours `[start, end)` were written: `[base, end)` contains them."""
        if self.base == self.end:
            self.base, self.end = start, end
        else:
            self.base, self.end = min(self.base, start), max(self.end, end)

    def any(self) -> bool:
        """Whether some hour is not zero."""
        return any(cells.any() for _, _, cells in self.pieces(self.base, self.end))

    def last_hour(self) -> int:
        """The hour after the last one that is not zero; 0 if every hour is zero."""
        starts, _ = self.runs()
        return int(starts[-1]) if len(starts) else 0

    def runs(self) -> Runs:
        """The hours at which the value changes, ascending, and the row from each of them on, shape (runs, width). The
        last row is zero. Both are empty if every hour is zero."""
        starts, rows = [np.zeros(0, dtype=HOUR)], [np.zeros((0, self.width), dtype=HOUR)]
        for low, _, cells in self.pieces(self._first(), self.end):
            new = np.ones(len(cells), dtype=np.bool_)
            new[1:] = (cells[1:] != cells[:-1]).any(axis=1)
            places = np.flatnonzero(new)
            starts.append(places + low)
            rows.append(cells[places])
        starts.append(np.array([self.end]))
        rows.append(np.zeros((1, self.width), dtype=HOUR))
        return _merged(np.concatenate(starts), np.concatenate(rows))

    def read(self, start: int, end: int) -> Vector:
        """The hours `[start, end)`, shape (end - start, width). It may be a view of a page or a row: do not write to
        it."""
        page = self._pages.get(start >> PAGE_BITS)
        if page is not None:
            low = start & IN_PAGE
            high = low + end - start
            if high <= PAGE_HOURS:
                return page[low:high]
            after = self._pages.get((start >> PAGE_BITS) + 1)
            if after is not None and high <= 2 * PAGE_HOURS:
                return np.concatenate((page[low:], after[: high - PAGE_HOURS]))
        place = bisect_right(self._edges, start)
        one_step = place == len(self._edges) or self._edges[place] >= end
        if one_step and (not self._pages or not self._numbers(start, end)):  # a view that repeats its row
            row = self._rows[place - 1] if place else ZEROS
            return np.ndarray((end - start, self.width), HOUR, row, 0, (0, HOUR.itemsize))
        cells = np.empty((end - start, self.width), dtype=HOUR)
        for low, high, piece in self.pieces(start, end):
            cells[low - start : high - start] = piece
        return cells

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, Vector]]:
        """The hours `[start, end)` in pieces `[low, high)`: each with a row for every hour, or with one row for all of
        its hours, shape (1, width). Do not write to them."""
        for number in self._numbers(start, end):
            low = number << PAGE_BITS
            if start < low:
                yield from self._steps(start, low)
                start = low
            high = min(end, low + PAGE_HOURS)
            yield start, high, self._pages[number][start - low : high - low]
            start = high
        if start < end:
            yield from self._steps(start, end)

    def has(self, start: int, end: int, amount: Vector) -> bool:
        """Whether no hour of `[start, end)` has less than `amount`, shape (width,). It is quick where steps are few."""
        return not any((amount > cells).any() for _, _, cells in self.pieces(start, end))

    def add(self, start: int, end: int, amount: Vector | int) -> int:
        """Adds to the hours `[start, end)` a number, a vector for all hours (width,) or one for each (hours, width).
        Returns by how many bytes `held` has grown; less than 0 if it has shrunk."""
        number = start >> PAGE_BITS
        if number in self._own and self.floor <= start and self.base <= start and end <= self.end:
            low = start & IN_PAGE
            high = low + end - start
            if high <= PAGE_HOURS:
                self._pages[number][low:high] += amount
                return 0
            if high <= 2 * PAGE_HOURS and number + 1 in self._own and (isinstance(amount, int) or amount.ndim == 1):
                self._pages[number][low:] += amount
                self._pages[number + 1][: high - PAGE_HOURS] += amount
                return 0
        return self._add(start, end, amount) if start < end else 0

    def write(self, start: int, end: int, value: Vector) -> int:
        """Sets the hours `[start, end)` to one vector for all hours (width,), or to one for each (hours, width).
        Returns by how many bytes `held` has grown; less than 0 if it has shrunk."""
        if start < self.floor:
            start, value = self._above_floor(start, end, value)  # type: ignore[assignment]
        if start >= end:
            return 0
        if value.ndim == 1:
            return self.write_runs(np.array([start, end]), value[None, :])
        new = np.ones(end - start, dtype=np.bool_)
        new[1:] = (value[1:] != value[:-1]).any(axis=1)
        firsts = np.flatnonzero(new)
        return self.write_runs(np.append(firsts + start, end), value[firsts])

    def write_runs(self, starts: Vector, rows: Vector) -> int:
        """Sets the hours from `starts[n]` to `starts[n + 1]` to `rows[n]`. `starts` ascends, and has one more than
        `rows`. Returns by how many bytes `held` has grown; less than 0 if it has shrunk."""
        if not len(rows):
            return 0
        before, start, end = self.held, int(starts[0]), int(starts[-1])
        self.reach(start, end)
        if start < self.floor:
            if end <= self.floor:
                return 0
            rows = rows[starts.searchsorted(self.floor, "right") - 1 :]
            starts = np.append(self.floor, starts[starts > self.floor])
            start = self.floor
        if len(rows) > STEPS_MAX:
            numbers, counts = np.unique(starts[:-1] >> PAGE_BITS, return_counts=True)
            for number in numbers[counts > STEPS_MAX].tolist():
                self._make_page(number)
        paged = self._numbers(start, end)
        for number in paged:
            part, low = self._part(number, start, end), max(start, number << PAGE_BITS)
            first, last = starts.searchsorted(low, "right") - 1, starts.searchsorted(low + len(part))
            lengths = np.diff(starts[first : last + 1].clip(low, low + len(part)))
            part[:] = rows[first:last].repeat(lengths, axis=0)
        low, high = self._between_pages(start, end)
        if low < high:
            edges = _outside(starts[:-1], paged, low, high) if paged else starts[:-1]
            self._replace_steps(edges.tolist(), high, rows[starts.searchsorted(edges, "right") - 1])
        return self.held - before

    def add_runs(self, starts: Vector, rows: Vector) -> int:
        """Adds `rows[n]` to the hours from `starts[n]` to `starts[n + 1]`. Arguments and answer as in `write_runs`."""
        if not len(rows):
            return 0
        own, held = self.runs()
        edges = np.union1d(starts, own[(own > starts[0]) & (own < starts[-1])])
        held = np.concatenate((ZEROS[None, : self.width], held))[own.searchsorted(edges[:-1], "right")]
        return self.write_runs(edges, held + rows[starts.searchsorted(edges[:-1], "right") - 1])

    def drop_before(self, hour: int) -> int:
        """Forgets the hours before `hour`: from now on they read as zero, and writing them changes only `base`. Returns
        by how many bytes `held` has shrunk, as a number below 0."""
        if hour <= self.floor:
            return 0
        before, self.floor = self.held, hour
        if hour <= self._first():
            return 0
        self._pages = {number: page for number, page in self._pages.items() if number + 1 << PAGE_BITS > hour}
        self._own = self._own & self._pages.keys()
        if (number := hour >> PAGE_BITS) in self._pages:
            self._part(number, number << PAGE_BITS, hour)[:] = 0
        first = self._edge(hour)
        first += not self._rows[first].any()
        del self._edges[:first], self._rows[:first]
        return self.held - before

    def _first(self) -> int:
        """An hour before which every hour is zero. An account's `base` may be later: for bounds."""
        return min(self.base, *self._edges[:1], *[number << PAGE_BITS for number in self._pages], self.end)

    def _above_floor(self, start: int, end: int, amount: Vector | int) -> tuple[int, Vector | int]:
        """Where the hours `[start, end)` that are kept begin, and the amount of these."""
        self.reach(start, end)
        kept = min(end, max(start, self.floor))
        return kept, amount if isinstance(amount, int) or amount.ndim == 1 else amount[kept - start :]

    def _add(self, start: int, end: int, amount: Vector | int) -> int:
        """As `add`, for any hours."""
        if start < self.floor:
            start, amount = self._above_floor(start, end, amount)
            if start == end:
                return 0
        before = self.held
        if not isinstance(amount, int) and amount.ndim == 2 and not self._is_paged(start, end):
            if (amount != amount[0]).any():
                return self.write(start, end, self.read(start, end) + amount)
            amount = amount[0]
        self.reach(start, end)
        for number in self._numbers(start, end):
            part, low = self._part(number, start, end), max(0, (number << PAGE_BITS) - start)
            part += amount if isinstance(amount, int) or amount.ndim == 1 else amount[low : low + len(part)]
        start, end = self._between_pages(start, end)
        if start < end:
            first, last = self._edge(start), self._edge(end)
            self._rows[first:last] = [_sealed(row + amount) for row in self._rows[first:last]]
            self._tidy(start, first, end, last)
        return self.held - before

    def _numbers(self, start: int, end: int) -> list[int]:
        """The numbers of the pages that have some of the hours `[start, end)`, ascending."""
        if not self._pages:
            return []
        first, last = start >> PAGE_BITS, (end - 1) >> PAGE_BITS
        if len(self._pages) <= last - first:
            return sorted(number for number in self._pages if first <= number <= last)
        return [number for number in range(first, last + 1) if number in self._pages]

    def _is_paged(self, start: int, end: int) -> bool:
        """Whether each of the hours `[start, end)` is in a page."""
        return len(self._numbers(start, end)) == max(0, ((end - 1) >> PAGE_BITS) - (start >> PAGE_BITS) + 1)

    def _part(self, number: int, start: int, end: int) -> Vector:
        """The hours of a page that are in `[start, end)`, to be written."""
        page = self._pages[number]
        if number not in self._own:
            page = page.copy()
            self._put(number, page)
        low = number << PAGE_BITS
        return page[max(0, start - low) : end - low]

    def _steps(self, start: int, end: int) -> Iterator[tuple[int, int, Vector]]:
        """As `pieces`, by the steps alone."""
        place = bisect_right(self._edges, start)
        while start < end:
            high = min(end, self._edges[place]) if place < len(self._edges) else end
            yield start, high, self._row(place - 1)[None]
            start, place = high, place + 1

    def _row(self, place: int) -> Vector:
        return self._rows[place] if place >= 0 else ZEROS[: self.width]

    def _between_pages(self, start: int, end: int) -> tuple[int, int]:
        """The hours `[start, end)` without a page at either side. No hours if each of them is in a page."""
        while start < end and start >> PAGE_BITS in self._pages:
            start = (start >> PAGE_BITS) + 1 << PAGE_BITS
        while start < end and (end - 1) >> PAGE_BITS in self._pages:
            end = (end - 1) >> PAGE_BITS << PAGE_BITS
        return start, end

    def _edge(self, hour: int) -> int:
        """The place of the edge at this hour, which is made if there is none."""
        place = bisect_left(self._edges, hour)
        if place == len(self._edges) or self._edges[place] != hour:
            self._rows.insert(place, self._row(place - 1))
            self._edges.insert(place, hour)
        return place

    def _replace_steps(self, edges: list[int], end: int, rows: Vector) -> None:
        """Puts these steps in the place of those from the first of `edges` up to the hour `end`."""
        last = self._edge(end)
        first = bisect_left(self._edges, edges[0])
        self._edges[first:last] = edges
        self._rows[first:last] = [_sealed(row.copy()) for row in rows]
        self._tidy(edges[0], first, end, first + len(edges))

    def _tidy(self, start: int, first: int, end: int, last: int) -> None:
        """Takes away the edges at the hours `start` and `end` if they change nothing; `first` and `last` are their
        places. Makes a page where there are too many steps."""
        for place in (last, first):
            if self._rows[place].tobytes() == self._row(place - 1).tobytes():
                del self._edges[place], self._rows[place]
        if len(self._edges) > STEPS_MAX:
            for hour in (start, end):
                place = bisect_left(self._edges, hour >> PAGE_BITS << PAGE_BITS) + STEPS_MAX
                if place < len(self._edges) and self._edges[place] >> PAGE_BITS == hour >> PAGE_BITS:
                    self._make_page(hour >> PAGE_BITS)

    def _make_page(self, number: int) -> None:
        """Makes a page of the steps in its hours."""
        if number in self._pages:
            return
        low, high = number << PAGE_BITS, number + 1 << PAGE_BITS
        page = np.empty((PAGE_HOURS, self.width), dtype=HOUR)
        for start, end, row in self._steps(low, high):
            page[start - low : end - low] = row
        last = self._edge(high)
        first = bisect_left(self._edges, low)
        del self._edges[first:last], self._rows[first:last]
        self._put(number, page)

    def _put(self, number: int, page: Vector) -> None:
        self._pages[number] = page
        if self._own is NONE:
            self._own = set()
        self._own.add(number)


def _sealed(row: Vector) -> Vector:
    row.flags.writeable = False
    return row


def _outside(starts: Vector, paged: list[int], low: int, high: int) -> Vector:
    """Where steps are needed in `[low, high)`: at `low`, at the `starts` that are in no page, and after each page."""
    edges = np.unique(np.concatenate((starts, [low], np.array(paged) + 1 << PAGE_BITS)))
    return edges[(edges >= low) & (edges < high) & ~np.isin(edges >> PAGE_BITS, paged)]


def _merged(starts: Vector, rows: Vector) -> Runs:
    """Without the runs that have the same row as the run before them, or have no hours."""
    has_hours = np.append(starts[1:] > starts[:-1], True)
    starts, rows = starts[has_hours], rows[has_hours]
    new = np.append(rows[:1].any(axis=1), (rows[1:] != rows[:-1]).any(axis=1))
    return starts[new], rows[new]
