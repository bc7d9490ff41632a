"""From hours to blocks: for each dimension the minimum (in every hour) and the maximum (in the best hour)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.capacity import reserved
from shared.hours import Period
from shared.postgres import hours_received

VALUES = ("granted", "booked", "shared", "available")

Cells = npt.NDArray[np.int64]


class Rollup(NamedTuple):
    """`starts` and `ends` are hours, shape (blocks,). `minimum` and `maximum` are amounts, shape (values, dimensions,
    blocks). `fits`, shape (2, blocks), is how many of a template fit, in the worst and in the best hour; None when the
    question names no template.
    """

    starts: Cells
    ends: Cells
    minimum: Cells
    maximum: Cells
    fits: Cells | None = None


def scatter(period: Period, hours: bytes, columns: Sequence[bytes], before: Cells | None = None) -> Cells:
    """Counts of shape (columns, period.hours): row i of each packed column goes to the hour packed at i.

    `hours` are big-endian timestamps as PostgreSQL sends them, each within the period. Each of `columns` is packed
    big-endian int64, one for each of `hours`. An hour without a row is as in `before`, which is not changed; without
    it, it is zero.
    """
    cells = np.zeros((len(columns), period.hours), dtype=np.int64) if before is None else before.copy()
    places = hours_received(hours, since=period.start)
    for row, column in zip(cells, columns, strict=True):
        row[places] = np.frombuffer(column, dtype=">i8")
    return cells


def values_to_read(values: Sequence[str]) -> tuple[str, ...]:
    """The stored values that these values are made of. `shares` is one number an hour; the others are one for each
    dimension. Available alone is computed by PostgreSQL."""
    if tuple(values) == ("available",):
        return ("available",)
    wanted = {
        "granted": {"granted", "shared", "available"},
        "booked": {"booked", "available"},
        "shares": {"shared", "available"},
    }
    return tuple(value for value, gives in wanted.items() if gives & set(values))


def hourly_values(values: Sequence[str], read: Mapping[str, Cells], shape: tuple[int, int]) -> Cells:
    """The named values of every hour, shape (values, dimensions, hours).

    `read` holds the values that `values_to_read` names, each of `shape` (dimensions, hours); its shares are in basis
    points, shape (1, hours). What shares reserve is rounded up in each hour."""
    cells = np.zeros((len(values), *shape), dtype=np.int64)
    shared = reserved(read["granted"], read["shares"]) if "shares" in read and read["shares"].any() else None
    for cell, value in zip(cells, values, strict=True):
        if value == "available" and value not in read:
            np.subtract(read["granted"], read["booked"], out=cell)
            if shared is not None:
                cell -= shared
        elif value != "shared":
            cell[:] = read[value]
        elif shared is not None:
            cell[:] = shared
    return cells


def times_it_fits(available: Cells, required: Sequence[int]) -> Cells:
    """How many times `required` fits into each hour, shape (hours,). `available` has shape (dimensions, hours), with
    only those dimensions of which `required` needs something."""
    each = np.maximum(available, 0) // np.array(required, dtype=np.int64)[:, None]
    fewest: Cells = each.min(axis=0)
    return fewest


def roll_up(cells: Cells, period: Period, block_starts: Sequence[int]) -> Rollup:
    """Blocks of `cells`, shape (values, dimensions, period.hours). Block i ends where block i+1 starts."""
    if len(block_starts) == period.hours:
        hours = np.arange(period.start, period.end + 1, dtype=np.int64)
        return Rollup(hours[:-1], hours[1:], cells, cells)
    starts = np.array(block_starts, dtype=np.int64)
    ends = np.append(starts[1:], period.end)
    edges = starts - period.start
    return Rollup(starts, ends, np.minimum.reduceat(cells, edges, axis=-1), np.maximum.reduceat(cells, edges, axis=-1))


def instants(hours: Cells) -> list[str]:
    """The text of each hour, as `2020-01-01T00:00:00Z`."""
    texts: list[str] = np.datetime_as_string(hours.astype("datetime64[h]"), unit="s", timezone="UTC").tolist()
    return texts
