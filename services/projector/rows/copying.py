"""Values to and from PostgreSQL: in the binary format of COPY, the fastest way to insert rows; columns; counts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from shared.capacity import DIMENSIONS
from shared.postgres import Record

NULL = b"\xff\xff\xff\xff"
COUNTS = struct.Struct(">" + "iq" * len(DIMENSIONS))  # six counts, each after its length in bytes


def packed_text(text: str | None) -> bytes:
    """The text after its length in bytes; NULL for None."""
    if text is None:
        return NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def columns_of(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """The columns of the rows, for `unnest`. There must be a row."""
    return [list(column) for column in zip(*rows, strict=True)]


def counts_of(record: Record) -> tuple[int, int, int, int, int, int]:
    """The six counts of a row."""
    a, b, c, d, e, f = (record[dimension] for dimension in DIMENSIONS)
    return a, b, c, d, e, f
