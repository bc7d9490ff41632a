"""How many are taken together: fewer after a failure, whatever it was, and more again when it goes well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class BatchSize:
    """`now` is the number to take. Who cannot write a batch for its size would else try the same batch for ever."""

    def __init__(self, most: int) -> None:
        self._most = self.now = most

    @contextlib.contextmanager
    def learning(self, *innocent: type[Exception]) -> Iterator[None]:
        """Around the reading and writing of one batch. Of `innocent` errors nothing is learned."""
        try:
            yield
        except innocent:
            raise
        except Exception:
            self.now = max(1, self.now // 2)
            raise
        self.now = min(self._most, 2 * self.now)
