"""Values that come again and again, as numbers: columns of many rows then hold each different value once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from shared.capacity import Vector

Value = TypeVar("Value")


class Numbers(dict[Any, int]):
    """Values and their numbers, from 0 on in the order in which they are asked for. `listed` has the values by
    number."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[Any] = []

    def __missing__(self, value: Any) -> int:
        self[value] = number = len(self)
        self.listed.append(value)
        return number

    def of(self, values: Iterable[Any]) -> Vector:
        """The number of each value, shape (n,)."""
        return np.array(list(map(self.__getitem__, values)), dtype=np.int64)


def numbered(values: Iterable[Value]) -> tuple[Vector, list[Value]]:
    """(The number of each value, shape (n,); the different values by number, from 0 on.)"""
    known = Numbers()
    return known.of(values), known.listed
