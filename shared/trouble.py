"""A lasting problem in the log: logged when it begins, when it changes, every minute, and when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

REPEAT_S = 60.0


class Trouble:
    """The problem of one part of a process; `who` is the part's name in the log.

    `problem` says what is wrong and what would be right; None if there is no problem. The log gets it as an error, at
    most every `repeat_s` seconds while it stays the same.
    """

    def __init__(
        self, log: logging.Logger, who: str, *, repeat_s: float = REPEAT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._who, self._repeat_s, self._clock = log, who, repeat_s, clock
        self._began = self._logged = clock()
        self.problem: str | None = None

    def report(self, problem: str) -> None:
        now = self._clock()
        if self.problem is None:
            self._began = now
        if problem == self.problem and now - self._logged < self._repeat_s:
            return
        self.problem, self._logged = problem, now
        lasting = f" (for {now - self._began:.0f} s)" if now > self._began else ""
        self._log.error("%s: %s%s", self._who, problem, lasting)

    def clear(self) -> None:
        if self.problem is not None:
            self._log.warning("%s: it goes on, after %.0f s", self._who, self._clock() - self._began)
        self.problem = None

    @property
    def seconds(self) -> float:
        """How long the problem has lasted; 0 if there is none."""
        return 0.0 if self.problem is None else self._clock() - self._began
