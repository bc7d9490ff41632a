"""Events of bookings by columns: the arrays of many events, and how they are made of thin events.

A thin event has its fields as they are stored: ids and hours are texts, a capacity is JSON.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from shared.capacity import DIMENSIONS, NOTHING, Capacity, Vector
from shared.events.model import BookingCancelled, BookingCreated
from shared.events.parts import BasisPoints, FromTemplate
from shared.events.upcasting import FirstVersion
from shared.hours import hour_of
from shared.numbering import Numbers, numbered

Bytes = npt.NDArray[np.uint8]
Booleans = npt.NDArray[np.bool_]
Value = TypeVar("Value")


class Repeated(NamedTuple, Generic[Value]):
    """A column whose values repeat: row i has `values[numbers[i]]`. `numbers` has the shape (n,). Two of the values may
    be equal."""

    numbers: Vector
    values: Sequence[Value]

    def at(self, row: int) -> Value:
        """The value of one row."""
        value: Value = self.values[int(self.numbers[row])]
        return value

    def by(self, known: Numbers) -> Vector:
        """The numbers that `known` gives to the values, shape (n,)."""
        return known.of(self.values)[self.numbers]

    def only(self, rows: Booleans | slice) -> Repeated[Value]:
        """The rows of a mask or a slice."""
        return Repeated(self.numbers[rows], self.values)

    def each(self) -> list[Value]:
        """The value of each row."""
        return [self.values[number] for number in self.numbers.tolist()]


class BookingColumns(msgspec.Struct, frozen=True, kw_only=True):
    """BookingCreated or BookingCancelled events by columns, in their order: n events.

    places     their places in the batch, ascending; the first event of a batch has place 0
    ids        the bookings' ids, shape (n, 16)
    starts     hours, as `ends`
    counts     the capacity, shape (n, 6), in the order of DIMENSIONS
    shares     basis points
    accounts   empty texts for cancellations; `tentative`, `templates` and `series` are False and None for them
    """

    places: Vector
    ids: Bytes
    starts: Vector
    ends: Vector
    counts: Vector
    shares: Vector
    tentative: Booleans
    actors: Repeated[str]
    pools: Repeated[str]
    accounts: Repeated[str]
    templates: Repeated[FromTemplate | None]
    series: Repeated[UUID | None]

    @property
    def rows(self) -> int:
        """The number of events."""
        return len(self.places)

    def only(self, rows: Booleans | slice) -> BookingColumns:
        """The rows of a mask or a slice."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        for name, column in columns.items():
            columns[name] = column.only(rows) if isinstance(column, Repeated) else column[rows]
        return BookingColumns(**columns)

    def names(self) -> list[bytes]:
        """The ids as bytes."""
        return pieces_of(self.ids)


class _Thin(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """The fields of every event. `at` is decoded, so that it is checked; the columns check the rest."""

    at: datetime
    actor: str
    command: str
    project: str
    reason: str | None = None
    schema: FirstVersion = 1
    auth: Literal["oidc", "keystone", "token"] | None = None


class ThinCreated(_Thin, frozen=True, kw_only=True, gc=False, tag="BookingCreated"):
    booking: str
    pool: str
    account: str
    start: str
    end: str
    capacity: msgspec.Raw = msgspec.Raw(b"{}")
    share: BasisPoints = 0
    template: FromTemplate | None = None
    tentative: bool = False
    series: UUID | None = None


class ThinCancelled(_Thin, frozen=True, kw_only=True, gc=False, tag="BookingCancelled"):
    booking: str
    pool: str
    start: str
    end: str
    capacity: msgspec.Raw = msgspec.Raw(b"{}")
    share: BasisPoints = 0


THIN: dict[type[msgspec.Struct], type[msgspec.Struct]] = {BookingCreated: ThinCreated, BookingCancelled: ThinCancelled}


def columns_of(places: Vector, events: list[Any]) -> BookingColumns:
    """The columns of thin events of one kind, without the events that are not as Hourbook stores them now."""
    if not events:
        return NONE
    commands, right_commands = _letters([event.command for event in events])
    names, right = _letters([event.booking for event in events])
    (_, digits), (values, more) = _values(commands), _values(names)
    right &= right_commands & digits & more
    starts, ends = _hours_of([event.start for event in events]), _hours_of([event.end for event in events])
    right &= (starts != NO_HOUR) & (ends != NO_HOUR)
    numbers, capacities = numbered([bytes(event.capacity) for event in events])
    counts = [_counts_of(stored) for stored in capacities]
    right &= np.array([one is not None for one in counts])[numbers]
    columns = BookingColumns(
        places=places,
        ids=_ids(values),
        starts=starts,
        ends=ends,
        counts=np.array([one or NOTHING.counts() for one in counts], dtype=np.int64)[numbers],
        shares=np.array([event.share for event in events], dtype=np.int64),
        actors=Repeated(*numbered([event.actor for event in events])),
        pools=Repeated(*numbered([event.pool for event in events])),
        **(_own_columns(events) if type(events[0]) is ThinCreated else _default_columns(len(events))),
    )
    return columns if right.all() else columns.only(right)


def _own_columns(events: list[ThinCreated]) -> dict[str, Any]:
    """The columns that only a created booking has, by name."""
    return {
        "accounts": Repeated(*numbered([event.account for event in events])),
        "tentative": np.array([event.tentative for event in events], dtype=bool),
        "templates": _mostly_none([event.template for event in events]),
        "series": _mostly_none([event.series for event in events]),
    }


def _mostly_none(values: list[Value | None]) -> Repeated[Value | None]:
    return Repeated(*numbered(values)) if any(values) else Repeated(np.zeros(len(values), dtype=np.int64), [None])


def _default_columns(rows: int) -> dict[str, Any]:
    """What these columns are for other events."""
    zeros = np.zeros(rows, dtype=np.int64)
    return {
        "accounts": Repeated(zeros, [""]),
        "tentative": zeros.astype(bool),
        "templates": Repeated(zeros, [None]),
        "series": Repeated(zeros, [None]),
    }


def joined(parts: Sequence[BookingColumns]) -> BookingColumns:
    """The rows of all parts, one after the other."""
    filled = [part for part in parts if part.rows]
    if len(filled) <= 1:
        return filled[0] if filled else NONE
    return BookingColumns(
        **{name: _joined_column([getattr(part, name) for part in filled]) for name in BookingColumns.__struct_fields__}
    )


def _joined_column(columns: list[Any]) -> Any:
    if not isinstance(columns[0], Repeated):
        return np.concatenate(columns)
    known = Numbers()
    return Repeated(np.concatenate([column.by(known) for column in columns]), known.listed)


ID = 36  # the letters of an id


def _letters(texts: list[str]) -> tuple[Bytes, Booleans]:
    """(The bytes of the texts, shape (n, 36); which texts are that long.) Zeros for the others."""
    right = np.ones(len(texts), dtype=bool)
    if not (joined := "".join(texts)).isascii() or {*map(len, texts)} != {ID}:
        plain = [text.isascii() and len(text) == ID for text in texts]
        right, joined = np.array(plain), "".join(t if ok else "0" * ID for t, ok in zip(texts, plain, strict=True))
    return np.frombuffer(joined.encode(), dtype=np.uint8).reshape(-1, ID), right


DASH = 16
VALUES = np.full(256, 255, dtype=np.uint8)  # of the hexadecimal digits, and of the dash
VALUES[list(b"0123456789abcdef-")] = range(17)
DASHES = [8, 13, 18, 23]
DIGITS = [place for place in range(ID) if place not in DASHES]


def _values(letters: Bytes) -> tuple[Bytes, Booleans | bool]:
    """(The value of each digit of the ids, which ids are as Hourbook writes them: 8-4-4-4-12 small hexadecimal digits.)
    `letters` has the shape (n, 36). True alone: all are."""
    values = VALUES.take(letters)
    values[:, DASHES] ^= DASH  # 0 for a dash; a digit is 16 or more then
    right = values < DASH
    return values, True if right.all() else np.asarray(right.all(axis=1))


def _ids(values: Bytes) -> Bytes:
    """The ids, shape (n, 16), of the values of their digits."""
    digits = values[:, DIGITS]
    digits[:, ::2] <<= np.uint8(4)
    return np.asarray(digits[:, ::2] | digits[:, 1::2])


NO_HOUR = -(2**40)
WHOLE_HOUR = re.compile(r"\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):00:00Z", re.ASCII)


class _Hours(dict[str, int]):
    """Hours by their texts; NO_HOUR for a text that is not a whole UTC hour as Hourbook writes it."""

    def __missing__(self, text: str) -> int:
        hour = NO_HOUR
        if WHOLE_HOUR.fullmatch(text):
            with contextlib.suppress(ValueError):
                hour = hour_of(datetime.fromisoformat(text))
        if len(self) >= 100_000:  # the hours of eleven years
            self.clear()
        self[text] = hour
        return hour


_hours = _Hours()


def _hours_of(texts: list[str]) -> Vector:
    return np.array(list(map(_hours.__getitem__, texts)), dtype=np.int64)


_capacity = msgspec.json.Decoder(Capacity)


@lru_cache(maxsize=4096)
def _counts_of(stored: bytes) -> tuple[int, ...] | None:
    """The counts of a capacity; None if it is none."""
    try:
        return _capacity.decode(stored).counts()
    except msgspec.DecodeError:
        return None


def pieces_of(rows: Bytes) -> list[bytes]:
    """Each row as bytes."""
    pieces: list[bytes] = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0].tolist()
    return pieces


_NOTHING = np.zeros(0, dtype=np.int64)
NONE = BookingColumns(
    places=_NOTHING,
    ids=np.zeros((0, 16), dtype=np.uint8),
    starts=_NOTHING,
    ends=_NOTHING,
    counts=np.zeros((0, len(DIMENSIONS)), dtype=np.int64),
    shares=_NOTHING,
    actors=Repeated(_NOTHING, []),
    pools=Repeated(_NOTHING, []),
    **_default_columns(0),
)
