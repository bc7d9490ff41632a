"""The size of batches: halved after an error, doubled after a success."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class BatchSize:
    """`now` is the number of events to take next. So a batch that is too large to be written is not tried for ever."""

    def __init__(self, most: int) -> None:
        self._most = self.now = most

    @contextlib.contextmanager
    def adapting(self, *unrelated: type[Exception]) -> Iterator[None]:
        """A context for reading and writing one batch. `unrelated` errors do not change the size."""
        try:
            yield
        except unrelated:
            raise
        except Exception:
            self.now = max(1, self.now // 2)
            raise
        self.now = min(self._most, 2 * self.now)
