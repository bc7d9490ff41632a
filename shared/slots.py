"""Slots: the starts at which a request fits throughout its duration, exact, in one pass over the hours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Fits = npt.NDArray[np.bool_]
Starts = npt.NDArray[np.int64]


def starts_that_fit(fits: Fits, duration: int) -> Starts:
    """The places, ascending, from which `duration` hours in a row fit. `fits`, shape (hours,), says of each whether it
    does; what lies beyond it is not known, and does not. Raises ValueError for a duration of less than an hour."""
    if duration < 1:
        raise ValueError(f"a duration of {duration} hours")
    misses = np.zeros(len(fits) + 1, dtype=np.int64)
    np.cumsum(~fits, out=misses[1:])
    return np.flatnonzero(misses[duration:] == misses[:-duration])


def earliest_starts(fits: Fits, first_hour: int, duration: int, limit: int) -> list[int]:
    """The first hours of the earliest slots, ascending, at most `limit`. `fits[0]` is of `first_hour`."""
    starts: list[int] = (starts_that_fit(fits, duration)[:limit] + first_hour).tolist()
    return starts


def nearest_start(fits: Fits, first_hour: int, wanted_start: int, duration: int, not_before: int) -> int | None:
    """The first hour of the slot nearest to `wanted_start`, not before `not_before`: of two that are equally far the
    earlier. None when nothing fits. `fits[0]` is of `first_hour`."""
    starts = starts_that_fit(fits, duration) + first_hour
    starts = starts[np.searchsorted(starts, not_before) :]
    if not len(starts):
        return None
    return int(starts[np.argmin(np.abs(starts - wanted_start))])
