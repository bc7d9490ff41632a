"""Long answers: the figures are kept compressed, and the text of each piece is made when it is about to be sent."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from services.query.rollup import Cells

PIECE_BYTES = 128 * 1024  # of an answer's text, about
WINDOW_BYTES = 400  # memory of a window without its figures


class Window(NamedTuple):
    """A piece of an answer. Its text is `before`, then `render` of its figures, then `after`. `packed` are the figures,
    `rows` rows of them, compressed: a calendar differs little from hour to hour, so they become small."""

    before: bytes
    rows: int
    packed: bytes
    render: Callable[[Cells], bytes]
    after: bytes = b""

    def made(self) -> bytes:
        """The text."""
        cells = np.frombuffer(zlib.decompress(self.packed), dtype="<i8").reshape(self.rows, -1)
        return self.before + self.render(cells) + self.after


class Long(NamedTuple):
    """A long answer as it is kept: the text `head`, the windows, and the text `tail`."""

    head: bytes
    windows: tuple[Window, ...]
    tail: bytes

    @property
    def size(self) -> int:
        return len(self.head) + size_of(self.windows) + len(self.tail)


def window(cells: Cells, render: Callable[[Cells], bytes], before: bytes = b"", after: bytes = b"") -> Window:
    """A window of `cells`, shape (rows, n)."""
    return Window(before, len(cells), zlib.compress(cells.astype("<i8", order="C", copy=False).data, 1), render, after)


def windows(
    cells: Cells,
    render: Callable[[Cells], bytes],
    text_bytes: int,
    between: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
) -> Iterator[Window]:
    """The windows of `cells`, shape (rows, n), each of about PIECE_BYTES. `text_bytes` is about the length of the text
    of one column. The whole text begins with `before`, ends with `after`, and has `between` between two windows."""
    width, end = max(1, PIECE_BYTES // text_bytes), cells.shape[1]
    for begin in range(0, end, width):
        part, first, last = np.ascontiguousarray(cells[:, begin : begin + width]), begin == 0, begin + width >= end
        yield window(part, render, before if first else between, after if last else b"")


def size_of(held: Sequence[Window]) -> int:
    """Bytes of memory, about."""
    return sum(len(one.before) + len(one.packed) + len(one.after) + WINDOW_BYTES for one in held)
