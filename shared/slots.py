"""Slots: the hours at which a request can start and fits in every hour of its duration. One pass over the hours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Fits = npt.NDArray[np.bool_]
Starts = npt.NDArray[np.int64]


def starts_that_fit(fits: Fits, duration: int) -> Starts:
    """The indices, ascending, at which `duration` hours in a row fit. `fits`, shape (hours,), says for each hour
    whether the request fits; it does not fit in later hours. Raises ValueError for a duration of less than an hour."""
    if duration < 1:
        raise ValueError(f"a duration of {duration} hours")
    misses = np.zeros(len(fits) + 1, dtype=np.int64)
    np.cumsum(~fits, out=misses[1:])
    return np.flatnonzero(misses[duration:] == misses[:-duration])


def earliest_starts(fits: Fits, first_hour: int, duration: int, limit: int) -> list[int]:
    """The start hours of the earliest slots, ascending, `limit` at most. `fits[0]` is the hour `first_hour`."""
    starts: list[int] = (starts_that_fit(fits, duration)[:limit] + first_hour).tolist()
    return starts


def nearest_start(fits: Fits, first_hour: int, wanted_start: int, duration: int, not_before: int) -> int | None:
    """The start hour of the slot that is nearest to `wanted_start` and not before `not_before`. The earlier one if two
    are equally near; None if nothing fits. `fits[0]` is the hour `first_hour`."""
    starts = starts_that_fit(fits, duration) + first_hour
    starts = starts[np.searchsorted(starts, not_before) :]
    if not len(starts):
        return None
    return int(starts[np.argmin(np.abs(starts - wanted_start))])
