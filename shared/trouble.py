"""What keeps a work from going on: said aloud when it begins, when it changes, again and again, and when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

SAY_AGAIN_S = 60.0


class Trouble:
    """`words` say what is wrong, and what would be right; None: all is well. They go to the log as an error, no more
    often than every `again_s` while they stay the same."""

    def __init__(
        self,
        log: logging.Logger,
        who: str,
        *,
        again_s: float = SAY_AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._who, self._again_s, self._clock = log, who, again_s, clock
        self._began = self._said = clock()
        self.words: str | None = None

    def is_so(self, words: str) -> None:
        now = self._clock()
        if self.words is None:
            self._began = now
        if words == self.words and now - self._said < self._again_s:
            return
        self.words, self._said = words, now
        lasting = f" (for {now - self._began:.0f} s)" if now > self._began else ""
        self._log.error("%s: %s%s", self._who, words, lasting)

    def is_over(self) -> None:
        if self.words is not None:
            self._log.warning("%s: it goes on, after %.0f s", self._who, self._clock() - self._began)
        self.words = None

    @property
    def seconds(self) -> float:
        """How long it has lasted; 0 when all is well."""
        return 0.0 if self.words is None else self._clock() - self._began
