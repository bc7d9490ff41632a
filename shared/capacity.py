"""Capacity: six counts that are not negative, in OpenStack's units. Also shares: percentages of a capacity."""

from __future__ import annotations

import re
from typing import Annotated, Any, overload

import msgspec
import numpy as np
import numpy.typing as npt

from shared.errors import InvalidField

DIMENSIONS = ("servers", "cores", "memory", "tempdisc", "userdisc", "datadisc")

# The largest count. The int64 sum of an hour has room for nine million events that each add this much.
COUNT_MAX = 1_000_000_000_000

WHOLE = 10_000  # basis points of a share of 100%

_PERCENTAGE = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%", re.ASCII)

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Vector = npt.NDArray[np.int64]


class Capacity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """`servers` and `cores` are numbers of them, `memory` is in MiB, the three discs are in GiB. A field that is left
    out is 0."""

    servers: Count = 0
    cores: Count = 0
    memory: Count = 0
    tempdisc: Count = 0
    userdisc: Count = 0
    datadisc: Count = 0

    def __bool__(self) -> bool:
        return any(self.counts())

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """The six counts in the order of DIMENSIONS."""
        return (self.servers, self.cores, self.memory, self.tempdisc, self.userdisc, self.datadisc)

    def vector(self) -> Vector:
        """Shape (6,), int64, in the order of DIMENSIONS."""
        return np.array(self.counts(), dtype=np.int64)


NOTHING = Capacity()


def capacity_of(counts: Any) -> Capacity:
    """The capacity with six counts, in the order of DIMENSIONS. Takes any sequence of integers, also an array."""
    return Capacity(**{name: int(count) for name, count in zip(DIMENSIONS, counts, strict=True)})


def percentage(text: str) -> int:
    """A percentage in basis points: 1250 for `12.5%`. 0 for a text that is not a percentage."""
    match = _PERCENTAGE.fullmatch(text)
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0")) if match else 0


def checked_share(points: int, text: object) -> int:
    """The basis points. Raises InvalidField for a share of 0% or of more than 100%; the error repeats `text`, which the
    client gave."""
    if not 1 <= points <= WHOLE:
        raise InvalidField("share", f'{text!r} is not a share; give "0.01%" to "100%", or 1 to {WHOLE} basis points')
    return points


@overload
def reserved(size: int, shares: int) -> int: ...
@overload
def reserved(size: Vector | int, shares: Vector) -> Vector: ...
def reserved(size: Vector | int, shares: Vector | int) -> Vector | int:
    """How much of a size its shares reserve: size * shares / 10000, rounded up. `shares` are basis points.

    Takes integers, or arrays whose shapes broadcast: sizes (hours, 6) and shares (hours, 1) give (hours, 6). The SQL
    function `reserved` has the same rule.
    """
    held = size * shares
    held += WHOLE - 1  # in place: for ten years of hours, one more array costs a millisecond
    held //= WHOLE
    return held


def reserved_more(size: Vector, shares: Vector, change: Vector | int) -> Vector:
    """How much more of a size its shares reserve when `change` basis points are added to them. Shapes as in
    `reserved`."""
    more = reserved(size, shares + change)
    more -= reserved(size, shares)
    return more
