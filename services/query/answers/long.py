"""Answers of any length: their figures are held packed, and each piece is made when its turn to be sent has come."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from services.query.rollup import Cells

PIECE_BYTES = 128 * 1024  # of an answer's text, about
WINDOW_BYTES = 400  # what a window costs beside its figures


class Window(NamedTuple):
    """A piece of an answer: `before`, what `render` makes of its figures, `after`. They are `rows` rows, packed: a
    calendar is much the same from hour to hour, so that little is left of it."""

    before: bytes
    rows: int
    packed: bytes
    render: Callable[[Cells], bytes]
    after: bytes = b""

    def made(self) -> bytes:
        cells = np.frombuffer(zlib.decompress(self.packed), dtype="<i8").reshape(self.rows, -1)
        return self.before + self.render(cells) + self.after


class Long(NamedTuple):
    """A long answer as it is held: what stands before its windows, and after them."""

    head: bytes
    windows: tuple[Window, ...]
    tail: bytes

    @property
    def size(self) -> int:
        return len(self.head) + size_of(self.windows) + len(self.tail)


def window(cells: Cells, render: Callable[[Cells], bytes], before: bytes = b"", after: bytes = b"") -> Window:
    """`cells` has shape (rows, n)."""
    return Window(before, len(cells), zlib.compress(cells.astype("<i8", order="C", copy=False).data, 1), render, after)


def windows(
    cells: Cells,
    render: Callable[[Cells], bytes],
    text_bytes: int,
    between: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
) -> Iterator[Window]:
    """`cells`, shape (rows, n), by as many columns as make a piece; `text_bytes` is about what one makes. The pieces'
    texts have `between` between them, and all of it stands between `before` and `after`."""
    width, end = max(1, PIECE_BYTES // text_bytes), cells.shape[1]
    for begin in range(0, end, width):
        part, first, last = np.ascontiguousarray(cells[:, begin : begin + width]), begin == 0, begin + width >= end
        yield window(part, render, before if first else between, after if last else b"")


def size_of(held: Sequence[Window]) -> int:
    return sum(len(one.before) + len(one.packed) + len(one.after) + WINDOW_BYTES for one in held)
