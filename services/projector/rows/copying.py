"""Values to and from PostgreSQL: in the binary format of COPY, the fastest way to insert rows; columns; counts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.capacity import DIMENSIONS, Vector
from shared.postgres import Record

Rows = npt.NDArray[np.void]

NULL = b"\xff\xff\xff\xff"
COUNTS = struct.Struct(">" + "iq" * len(DIMENSIONS))  # six counts, each after its length in bytes


def packed_text(text: str | None) -> bytes:
    """The text after its length in bytes; NULL for None."""
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def row_type(*columns: tuple[str, str]) -> np.dtype[np.void]:
    """A row of these columns (name, type of numpy): `fields`, the number of columns, and each value after its length,
    `<name>_size`."""
    values = [part for name, kind in columns for part in ((f"{name}_size", ">i4"), (name, kind))]
    return np.dtype([("fields", ">i2"), *values])


def empty_rows(count: int, kind: np.dtype[np.void], fields: int) -> Rows:
    """Rows whose lengths are set, and whose values are not. `fields` is the number of columns of a row, with those that
    are not in its type."""
    rows = np.empty(count, dtype=kind)
    rows["fields"] = fields
    for name in kind.names or ():
        if name.endswith("_size"):
            rows[name] = kind[name.removesuffix("_size")].itemsize
    return rows


def with_tails(rows: Rows, numbers: Vector, tails: Sequence[bytes]) -> list[bytes]:
    """The rows as bytes, each with its last columns behind it: row i with `tails[numbers[i]]`, packed columns. Rows
    whose tails are as long are packed together, so the order of the rows changes."""
    lengths = np.array([len(tail) for tail in tails], dtype=np.int64)[numbers]
    packed = []
    for length in sorted({len(tail) for tail in tails}):
        chosen = slice(None) if (lengths == length).all() else np.flatnonzero(lengths == length)
        table = np.array([tail if len(tail) == length else b"" for tail in tails], dtype=f"V{length}")
        each = table[numbers[chosen]]
        part = np.empty(len(each), dtype=[("row", rows.dtype), ("tail", each.dtype)])
        part["row"], part["tail"] = rows[chosen], each
        packed.append(part.tobytes())
    return packed


def columns_of(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """The columns of the rows, for `unnest`. There must be a row."""
    return [list(column) for column in zip(*rows, strict=True)]


def counts_of(record: Record) -> tuple[int, int, int, int, int, int]:
    """The six counts of a row."""
    a, b, c, d, e, f = (record[dimension] for dimension in DIMENSIONS)
    return a, b, c, d, e, f
